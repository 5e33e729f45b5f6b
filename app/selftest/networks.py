"""The shipped networks against known answers: on the CPU, and on the GPU where there is one.

Torch is imported by the checks, not with this module.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from app.selftest.bench import Bench, Check, expect
from core.slides.crops import read_crop, read_crops
from core.slides.reader import open_slide

if TYPE_CHECKING:
    from models.device import Device

#: Side of the picture that the detector is shown, and how many crops the classifiers are.
WINDOW_PX, CROPS = 768, 6
#: Points of the detector are the same when they lie this near, pixels of the window.
SAME_PX = 2.0

Pixels = NDArray[np.uint8]
Numbers = NDArray[np.float32]


def _cpu() -> "Device":
    from models.device import pick_device

    return pick_device("cpu")


def _gpu() -> "Device | None":
    from models.device import pick_device

    device = pick_device("auto")
    return None if device.kind == "cpu" else device


def _detector(bench: Bench, device: "Device") -> str:
    from models.detector import load_detector

    detector = load_detector(device=device)
    with open_slide(bench.truth.path, backend="openslide") as slide:
        middle0 = slide.width0 / 2, slide.height0 / 2
        window = read_crop(slide, *middle0, WINDOW_PX, detector.mpp)
    points = detector.detect(window[None])[0]
    _no_fallback(detector.warnings)
    order = np.argsort(-points.scores, kind="stable")
    found = np.column_stack([points.xy_px, points.scores])[order].astype(np.float64)
    bench.fresh["detector"] = {
        "sha256": detector.origin.sha256,
        "points": [[round(x, 1), round(y, 1), round(score, 3)] for x, y, score in found],
    }
    known = bench.known["detector"]
    _same_weights(known, detector.origin.sha256)
    allowed = bench.known["tolerances"]["score"]
    wanted = np.array(known["points"]).reshape(-1, 3)
    # A point that is barely above the threshold may be barely below it on another machine.
    sure = detector.threshold + allowed
    lacking = _unmatched(wanted[wanted[:, 2] >= sure], found, allowed)
    added = _unmatched(found[found[:, 2] >= sure], wanted, allowed)
    expect(
        lacking + added == 0,
        f"of {len(wanted)} known candidates {lacking} are lacking or scored otherwise; {added} "
        "others were found",
    )
    return f"{len(found)} candidates as known, scores within {allowed} ({_place(device)})"


def _unmatched(wanted: NDArray[np.float64], found: NDArray[np.float64], allowed: float) -> int:
    """How many have no fellow at the same place with the same score."""
    apart = np.linalg.norm(wanted[:, None, :2] - found[None, :, :2], axis=-1)
    differ = np.abs(wanted[:, None, 2] - found[None, :, 2])
    return int((~((apart <= SAME_PX) & (differ <= allowed)).any(1)).sum())


def _classifier(bench: Bench, device: "Device") -> str:
    from models.classifier import load_classifier

    classifier = load_classifier(device=device)
    crops = _crops(bench, classifier.crop_px, classifier.mpp)
    logits = classifier.logits(crops)
    _no_fallback(classifier.warnings)
    found = classifier.calibration(logits, np.full(len(crops), 0.5, np.float32))
    note = _compare(bench, "classifier", classifier.origin.sha256, found)
    return f"{note} ({_place(device)})"


def _atypical(bench: Bench, device: "Device") -> str:
    from models.registry import ships

    if not ships("atypical"):
        return "no model for atypical mitoses ships"
    from models.atypical import load_atypical

    model = load_atypical(device=device)
    crops = _crops(bench, model.crop_px, model.mpp)[:CROPS]
    found = model.atypical(crops)
    _no_fallback(model.warnings)
    note = _compare(bench, "atypical", model.origin.sha256, found)
    return f"{note} ({_place(device)})"


def _crops(bench: Bench, crop_px: int, mpp: float) -> Pixels:
    """Crops of planted mitoses, then of as many look-alikes."""
    truth = bench.truth
    points0 = np.concatenate([truth.mitoses[:CROPS], truth.imposters[:CROPS]])
    with open_slide(truth.path, backend="openslide") as slide:
        return read_crops(slide, points0, crop_px, mpp)


def _compare(bench: Bench, name: str, sha256: str, found: Numbers) -> str:
    bench.fresh[name] = {
        "sha256": sha256,
        "probabilities": [round(float(value), 3) for value in found],
    }
    known = bench.known[name]
    _same_weights(known, sha256)
    wanted = np.array(known["probabilities"])
    expect(len(found) == len(wanted), f"{len(found)} answers, but {len(wanted)} are known")
    largest = float(np.abs(found - wanted).max())
    allowed = bench.known["tolerances"]["probability"]
    expect(largest <= allowed, f"a probability differs by {largest:.3f}; {allowed} is allowed")
    return f"{len(found)} probabilities within {largest:.3f} of the known ones"


def _no_fallback(warnings: Sequence[str]) -> None:
    """A network that went on with the CPU says nothing of the GPU."""
    expect(not warnings, "; ".join(warnings))


def _same_weights(known: dict[str, Any], sha256: str) -> None:
    expect(
        known["sha256"] == sha256,
        "the known answers are of other weights; `mitoscope self-test --fresh` makes new ones",
    )


def _merged(bench: Bench) -> str:
    """The classifier with its LoRA adapter merged gives what it gives with the adapter beside."""
    import torch
    from peft import set_peft_model_state_dict

    from models import adapters
    from models.crop_net import CropNet
    from models.registry import backbone, load_weights, read_manifest, shipped, weights_folder

    folder = weights_folder() / shipped("classifier")
    manifest = read_manifest(folder / adapters.MANIFEST)
    lora, entry = manifest["lora"], backbone(manifest["backbone"])
    settings = adapters.LoraSettings(lora["rank"], lora["alpha"], lora["dropout"])
    beside = adapters.attach(CropNet(entry), lora["targets"], settings).eval()
    state = load_weights(folder / adapters.WEIGHTS, manifest["sha256"])
    set_peft_model_state_dict(beside, state)
    merged = adapters.load_merged(CropNet(entry), folder, entry)
    crops = _crops(bench, manifest["crop_px"], manifest["mpp"])
    x = torch.from_numpy(crops).permute(0, 3, 1, 2).float() / 255.0
    with torch.inference_mode():
        plain = CropNet(entry).eval()(x)
        apart, together = beside(x), merged(x)
    largest = float((apart - together).abs().max())
    allowed = bench.known["tolerances"]["merge_logit"]
    expect(largest <= allowed, f"a logit differs by {largest:.2g} after merging")
    learnt = float((plain - together).abs().max())
    expect(learnt > 0.1, f"the adapter changes no logit by more than {learnt:.2g}")
    return f"rank {lora['rank']} merged: logits within {largest:.1g}; the adapter adds {learnt:.1f}"


def _analysed(bench: Bench) -> str:
    """The whole way from the file to the count, on the device that the program chooses."""
    from app.analysing import Question, analyse_slide, load_models
    from core.counting.protocols import get_protocol
    from core.store import open_store

    models = load_models("auto")
    with (
        open_store(bench.folder / "analysis.sqlite") as store,
        open_slide(bench.truth.path) as slide,
    ):
        from core.analysis.tiling import Regions

        result = analyse_slide(slide, Regions(), Question(get_protocol()), models, store)
        wrong = store.verify_events()
    row = result.row
    found = {"candidates": row.candidates, "mitoses": row.mitoses_on_slide}
    bench.fresh["analysis"] = found
    expect(row.failed_windows == 0, f"{row.failed_windows} windows failed")
    expect(not wrong, f"audit trail: {'; '.join(wrong)}")
    allowed = bench.known["tolerances"]["analysis"]
    for name, value in found.items():
        wanted = bench.known["analysis"][name]
        expect(
            abs(value - wanted) <= allowed[name], f"{value} {name} were found, not about {wanted}"
        )
    return (
        f"{row.candidates} candidates, {row.mitoses_on_slide} mitoses of "
        f"{len(bench.truth.mitoses)} planted ({models.why})"
    )


def _on(
    networks: Sequence[Callable[[Bench, "Device"], str]], find: Callable[[], "Device | None"]
) -> Callable[[Bench], str]:
    def run(bench: Bench) -> str:
        device = find()
        if device is None:
            from models.device import pick_device

            return f"not tried: {pick_device('auto').why}"
        return "; ".join(network(bench, device) for network in networks)

    return run


def _place(device: "Device") -> str:
    return f"{device.kind}, {device.precision}"


CHECKS = (
    Check("detector", _on([_detector], _cpu)),
    Check("classifier", _on([_classifier], _cpu)),
    Check("LoRA merge", _merged),
    Check("atypical mitoses", _on([_atypical], _cpu)),
    Check("analysis", _analysed),
    Check("GPU", _on([_detector, _classifier, _atypical], _gpu)),
)
