"""A slide in a store with tissue, a run and readers, for tests of the desk."""

import numpy as np

from core.ports import ModelOrigin
from core.slides.tissue import Tissue
from core.store import Candidate, RunSpec, SlideRecord

MPP = 0.25
SIDE0 = 40_000  # level-0 pixels: 10 mm
ORIGIN = ModelOrigin("m", "00" * 32, "cpu", "float32")
PARAMETERS = {
    "slide": {"mpp_x": MPP, "mpp_y": MPP},
    "detector": {"threshold": 0.1},
    "classifier": {"review_threshold": 0.3, "count_threshold": 0.7},
    "grid": {"mpp": 0.25, "window_px": 1024, "core_px": 896, "halo_px": 64, "shift_px": [0, 0]},
}


def add_slide(store, identity="ab", *, mpp=MPP):
    """A square slide of 10 mm."""
    origin = "" if mpp is None else "openslide.mpp"
    return store.add_slide(
        SlideRecord("q", identity, f"{identity}.svs", SIDE0, SIDE0, mpp, mpp, origin, "aperio")
    )


def all_tissue():
    """Tissue everywhere, in cells of 100 µm: coarse, so that tests are quick."""
    mask = np.ones((100, 100), dtype=bool)
    return Tissue(mask, 100.0, 100 / MPP, 100 / MPP, (0.0, 0.0), 100.0)


def candidate(x0, y0, probability=0.5):
    """A candidate with the label that its probability gives it."""
    return Candidate(x0, y0, 0.5, probability, "mitosis" if probability >= 0.7 else "imposter")


def start_run(store, slide_id, candidates=(), key="run"):
    """A run with candidates that is not finished."""
    run = store.open_run(RunSpec(key, slide_id, PARAMETERS, ORIGIN, ORIGIN, "0.1.0"))
    store.save_candidates(run.id, list(candidates))
    return run


def add_run(store, slide_id, candidates, key="run"):
    """A finished run with candidates."""
    run = start_run(store, slide_id, candidates, key)
    return store.finish_run(run.id, "done", {}).id
