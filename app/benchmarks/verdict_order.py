"""`mitoscope benchmark verdict-order`: which figures to read next so that a probe learns most.

The figures are the shipped detector's candidates on the screened frames, embedded by the shipped
backbone, which was tuned on patches and has seen none of these slides. For each seed some slides
are held out, and a reader's verdicts on the others (the labels) are given in batches: the probe is
fitted anew on all verdicts so far, orders the figures that have none, and the next batch is taken
from the front. The first batch is ordered by a probe of TUPAC crops, which stands for the model
that a laboratory starts with.

The shipped detector has seen the frames, so the ordinary false alarms among its candidates are
fewer than on a new slide; this is alike for all orders.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.torch import load_file
from scipy.special import expit

from app.training.out_of_fold import propose
from core.cancel import CancelToken
from core.errors import InputError
from core.reading.teaching import doubtful_order, teaching_order
from models.crop_net import CropNet
from models.device import Device
from models.embeddings import Embedder, EmbeddingCache
from models.heatmap import HeatmapNet
from models.registry import backbone, read_manifest, shipped, weights_folder
from models.training.adapt_data import slide_folds
from models.training.adapt_probe import Probe, fit_probe
from models.training.classifier_training import CROP_PX, MPP, cut_tiles
from models.training.data import field_slides, load_frames, load_patches
from models.training.metrics import auroc, average_precision

BACKBONE = "mitoscope-lite0"
START_SET = "tupac_prlab"
VERDICTS = (25, 50, 100, 200, 400)
HELD_OUT_FOLDS = 3
#: With fewer verdicts of either class the probe before is kept.
LEAST_PER_CLASS = 5
#: Out of fold, at the shipped detector's threshold: 447 of 5,406 (manifest of the classifier).
MITOSES_AMONG_CANDIDATES = 0.083

Order = Callable[["Pool", NDArray[np.float32], NDArray[np.int64], np.random.Generator], "Rows"]
Rows = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Pool:
    """Figures with their true labels.

    Attributes:
        embedding: (N, dim) float32.
        mitosis: (N,) bool.
        slide: (N,).
    """

    embedding: NDArray[np.float32]
    mitosis: NDArray[np.bool_]
    slide: NDArray[np.str_]

    def select(self, keep: NDArray[np.bool_]) -> "Pool":
        """Those for which `keep` (N,) holds."""
        return Pool(self.embedding[keep], self.mitosis[keep], self.slide[keep])


@dataclass(frozen=True, slots=True)
class OrderFigures:
    """Means over seeds of one order after so many verdicts, with standard deviations.

    Attributes:
        mitoses_read: among the verdicts.
        best_f1: of the held-out candidates, at the threshold that is best for them.
        f1_over_random: mean difference of `best_f1` to random order, seed by seed.
        seeds_above_random: in how many seeds that is above 0.
    """

    order: str
    verdicts: int
    seeds: int
    mitoses_read: float
    auroc: float
    auroc_sd: float
    average_precision: float
    best_f1: float
    best_f1_sd: float
    f1_over_random: float
    seeds_above_random: int


def _random(
    pool: Pool, _p: NDArray[np.float32], said: NDArray[np.int64], rng: np.random.Generator
) -> Rows:
    return np.asarray(rng.permutation(np.flatnonzero(said == 0)), np.intp)


def _likely(
    _pool: Pool, p: NDArray[np.float32], said: NDArray[np.int64], _rng: np.random.Generator
) -> Rows:
    return np.asarray(np.argsort(np.where(said == 0, -p, np.inf), kind="stable"), np.intp)


def _unsure(
    _pool: Pool, p: NDArray[np.float32], said: NDArray[np.int64], _rng: np.random.Generator
) -> Rows:
    return doubtful_order(p, None, said, threshold=_count_threshold(p))


def _diverse(
    pool: Pool, p: NDArray[np.float32], said: NDArray[np.int64], _rng: np.random.Generator
) -> Rows:
    return doubtful_order(p, pool.embedding, said, threshold=_count_threshold(p))


def _teaching(
    pool: Pool, p: NDArray[np.float32], said: NDArray[np.int64], _rng: np.random.Generator
) -> Rows:
    return teaching_order(p, pool.embedding, said, threshold=_count_threshold(p))


def _count_threshold(p: NDArray[np.float32]) -> float:
    """Where a calibrated model would count: as many figures as there are likely to be mitoses.

    A probe of both classes alike says 0.5 far above that.
    """
    return float(np.quantile(p, 1 - MITOSES_AMONG_CANDIDATES))


ORDERS: dict[str, Order] = {
    "random": _random,
    "most likely first": _likely,
    "uncertain": _unsure,
    "uncertain and diverse": _diverse,
    "by turns with random": _teaching,
}


def read_pool(data: Path, device: Device, cache: Path, token: CancelToken) -> tuple[Pool, Pool]:
    """The candidates of all frames but the test slide's, and the crops that the start learns from.

    Raises:
        InputError: the data hold no screened frames, or no TUPAC crops.
    """
    entry = backbone(BACKBONE)
    embedder = Embedder(CropNet(entry), entry, device, cache=EmbeddingCache(cache))
    manifest = read_manifest(weights_folder() / f"{shipped('detector')}.json")
    network = HeatmapNet()
    network.load_state_dict(load_file(weights_folder() / f"{shipped('detector')}.safetensors"))
    network.eval()
    crops, mitosis, slide = [], [], []
    for name in field_slides(data):
        coarse = [f for f in load_frames(data, mpp=manifest["mpp"], slides=[name]) if f.whole]
        fine = {f.file: f.rgb for f in load_frames(data, mpp=MPP, slides=[name]) if f.whole}
        for found in propose(network, coarse):
            token.check()
            keep = (found.scores >= manifest["threshold"]) & ~found.is_near
            crops.append(cut_tiles(fine[found.file], found.xy_um[keep] / MPP, CROP_PX))
            mitosis.append(found.is_mitosis[keep])
            slide += [name] * int(keep.sum())
    if not crops:
        raise InputError("The data hold no screened frames.", "--data names a folder with them.")
    patches = load_patches(data, mpp=MPP, datasets=[START_SET])
    if not patches:
        raise InputError(f"The data hold no crops of the set {START_SET}.")
    centres = [
        cut_tiles(p.rgb, np.array([[p.rgb.shape[1] / 2, p.rgb.shape[0] / 2]]), CROP_PX)
        for p in patches
    ]
    start = Pool(
        embedder(np.concatenate(centres), token=token),
        np.array([p.label == "mitosis" for p in patches]),
        np.array([p.slide for p in patches]),
    )
    embedding = embedder(np.concatenate(crops), token=token)
    return Pool(embedding, np.concatenate(mitosis), np.array(slide)), start


def measure(
    pool: Pool,
    start: Pool,
    *,
    seeds: int,
    token: CancelToken,
    verdicts: Sequence[int] = VERDICTS,
) -> list[OrderFigures]:
    """Every order, seed by seed, on the same held-out slides.

    Raises:
        InputError: too few candidates or mitoses to hold slides out.
    """
    found: dict[tuple[str, int], list[tuple[int, float, float, float]]] = {}
    first = fit_probe(start.embedding, start.mitosis, start.slide)
    folds = slide_folds(pool.mitosis, pool.slide, HELD_OUT_FOLDS)
    mitoses = np.bincount(folds[pool.mitosis], minlength=HELD_OUT_FOLDS)
    others = np.bincount(folds[~pool.mitosis], minlength=HELD_OUT_FOLDS)
    if min(mitoses.min(), others.min()) < 1 or len(pool.mitosis) < max(verdicts):
        raise InputError(
            f"The detector found {len(pool.mitosis)} candidates, {int(pool.mitosis.sum())} of them "
            f"mitoses: too few to hold out a third of the slides and read {max(verdicts)}."
        )
    for seed in range(seeds):
        held_out = folds == seed % HELD_OUT_FOLDS
        test, read = pool.select(held_out), pool.select(~held_out)
        for name, order in ORDERS.items():
            for n, row in _one(read, test, first, order, seed, verdicts, token).items():
                found.setdefault((name, n), []).append(row)
    return [_figures(name, n, rows, found[("random", n)]) for (name, n), rows in found.items()]


def _one(
    read: Pool,
    test: Pool,
    first: Probe,
    order: Order,
    seed: int,
    verdicts: Sequence[int],
    token: CancelToken,
) -> dict[int, tuple[int, float, float, float]]:
    """After each number of verdicts: mitoses read, AUROC, average precision, best F1."""
    rng = np.random.default_rng(seed)
    # A part of the figures, so that the orders that draw no lots differ from seed to seed too.
    read = read.select(rng.random(len(read.mitosis)) < 0.7)
    said = np.zeros(len(read.mitosis), np.int64)
    probe = first
    rows = {}
    for n in verdicts:
        token.check()
        probability = expit(probe(read.embedding))
        batch = order(read, probability, said, rng)[: n - int((said != 0).sum())]
        said[batch] = np.where(read.mitosis[batch], 1, 2)
        known = said != 0
        mitoses = int(read.mitosis[known].sum())
        if min(mitoses, int(known.sum()) - mitoses) >= LEAST_PER_CLASS:
            probe = fit_probe(
                read.embedding[known], read.mitosis[known], read.slide[known], seed=seed
            )
        score = probe(test.embedding)
        rows[n] = (
            mitoses,
            auroc(test.mitosis, score),
            average_precision(test.mitosis, score),
            best_f1(test.mitosis, score),
        )
    return rows


def best_f1(truth: NDArray[np.bool_], score: NDArray[np.float32]) -> float:
    """The highest F1 over all thresholds."""
    hits = np.cumsum(truth[np.argsort(-score, kind="stable")])
    return float((2 * hits / (np.arange(1, len(truth) + 1) + truth.sum())).max())


def _figures(
    name: str,
    n: int,
    rows: Sequence[tuple[int, float, float, float]],
    random: Sequence[tuple[int, float, float, float]],
) -> OrderFigures:
    values = np.array(rows)
    over = values[:, 3] - np.array(random)[:, 3]
    mean, spread = values.mean(axis=0), values.std(axis=0, ddof=min(1, len(values) - 1))
    return OrderFigures(
        name,
        n,
        len(values),
        round(float(mean[0]), 1),
        round(float(mean[1]), 4),
        round(float(spread[1]), 4),
        round(float(mean[2]), 4),
        round(float(mean[3]), 4),
        round(float(spread[3]), 4),
        round(float(over.mean()), 4),
        int((over > 0).sum()),
    )
