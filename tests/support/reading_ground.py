"""Tissue, ground and figures for tests of the reading desk's rules, without a slide."""

import numpy as np

from core.geometry import Mpp
from core.reading.ground import make_ground
from core.reading.view import Figures
from core.slides.tissue import Tissue
from core.store.records import RegionRecord


def tissue_of(mask, mpp, cell_um=16.0, origin0=(0.0, 0.0)):
    mask = np.asarray(mask, dtype=bool)
    mm2 = float(mask.sum()) * cell_um**2 / 1e6
    return Tissue(mask, cell_um, cell_um / mpp.x, cell_um / mpp.y, origin0, mm2)


def full_ground(rows=400, cols=500, mpp=None, regions=(), failed0=(), cell_um=16.0):
    """All tissue: 8 x 6.4 mm unless told."""
    mpp = mpp or Mpp(0.25, 0.25)
    return make_ground(tissue_of(np.ones((rows, cols)), mpp, cell_um), mpp, regions, failed0)


def region(kind, polygon0, lineage="r", **properties):
    return RegionRecord(1, 1, lineage, 1, kind, polygon0.wkb, properties)


def figures_at(xy0, *, verdict=0, label=2, probability=0.9, in_area=False, to_review=False):
    xy0 = np.asarray(xy0, dtype=float).reshape(-1, 2)
    n = len(xy0)

    def column(value, dtype):
        return np.broadcast_to(np.asarray(value, dtype=dtype), n).copy()

    return Figures(
        key=np.arange(1, n + 1, dtype=np.int64),
        x0=xy0[:, 0].copy(),
        y0=xy0[:, 1].copy(),
        probability=column(probability, np.float32),
        score=column(0.5, np.float32),
        label=column(label, np.uint8),
        verdict=column(verdict, np.uint8),
        disputed=column(False, bool),
        in_area=column(in_area, bool),
        to_review=column(to_review, bool),
    )
