"""Pieces of tissue that a reader can exclude as a whole: control sections, second sections."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import shapely
from scipy import ndimage
from shapely.geometry.base import BaseGeometry

from core.analysis.tiling import TISSUE_MARGIN_UM
from core.geometry import UM2_PER_MM2
from core.reading.view import PieceView
from core.slides.tissue import Tissue
from core.store.records import RegionRecord

# In the properties of an excluded region: a level-0 place in the piece that it excludes.
PIECE = "piece0"


def find_pieces(tissue: Tissue) -> tuple[PieceView, ...]:
    """The connected pieces of tissue, largest first; none excluded. Once per tissue: it is slow.

    Cells that touch, at corners too, are one piece, as in the search for hot spots. An outline
    takes in the margin around the tissue in which figures still count, but never of another piece.
    """
    labels, count = ndimage.label(tissue.mask, structure=np.ones((3, 3)))
    if not count:
        return ()
    far, (rows, columns) = ndimage.distance_transform_edt(labels == 0, return_indices=True)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    territory = np.where(far * tissue.um_per_px <= TISSUE_MARGIN_UM, labels[rows, columns], 0)
    slices = ndimage.find_objects(territory)
    found = []
    for index, label in enumerate(np.argsort(-sizes, kind="stable")[:count].tolist()):
        part = slices[label - 1]
        mm2 = float(sizes[label]) * tissue.um_per_px**2 / UM2_PER_MM2
        found.append(PieceView(index, _outline0(tissue, territory, label, part), mm2, False))
    return tuple(found)


def pieces(tissue: Tissue, regions: Iterable[RegionRecord]) -> tuple[PieceView, ...]:
    """The pieces of tissue with what is excluded; `find_pieces` and `with_exclusions` in one."""
    return with_exclusions(find_pieces(tissue), regions)


def with_exclusions(
    found: Sequence[PieceView], regions: Iterable[RegionRecord]
) -> tuple[PieceView, ...]:
    """The same pieces, marked as excluded where a region excludes them as a whole."""
    known = list(regions)
    return tuple(
        replace(piece, excluded=excluding_region(piece, known) is not None) for piece in found
    )


def excluding_region(piece: PieceView, regions: Iterable[RegionRecord]) -> RegionRecord | None:
    """The region that excludes a piece as a whole; None if there is none."""
    for region in regions:
        place0 = region.properties.get(PIECE)
        if region.kind == "excluded" and place0 and piece.polygon0.covers(shapely.Point(place0)):
            return region
    return None


def exclusion(piece: PieceView) -> tuple[shapely.Polygon, dict[str, Any]]:
    """Polygon and properties of the region that excludes a piece."""
    point = piece.polygon0.representative_point()
    return piece.polygon0, {PIECE: [float(point.x), float(point.y)]}


def _outline0(
    tissue: Tissue, territory: Any, label: int, part: tuple[slice, slice]
) -> BaseGeometry:
    """The outline of a piece's cells, level-0 pixels; one polygon where they hang together."""
    x0 = tissue.origin0[0] + part[1].start * tissue.cell0_x
    y0 = tissue.origin0[1] + part[0].start * tissue.cell0_y
    own = Tissue(
        territory[part] == label, tissue.um_per_px, tissue.cell0_x, tissue.cell0_y, (x0, y0), 0.0
    )
    return own.polygon0()
