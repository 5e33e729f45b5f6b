"""The demo slide: synthetic H&E with mitoses and imposters at known places.

Nothing is ever trained on it. It is written by looking at real frames only, and no model is scored
on it while it changes.
"""

import dataclasses
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.slides.pyramid import write_pyramid
from core.slides.synthetic.layout import TissuePlan, lay_out
from core.slides.synthetic.render import make_scene, paint_tile
from core.slides.synthetic.stain import Optics, draw_stain

TILE_PX = 1024

__all__ = ["DemoTruth", "TissuePlan", "render_demo_slide"]


@dataclass(frozen=True, slots=True)
class DemoTruth:
    """What was planted.

    Attributes:
        path: the slide.
        mpp: µm per level-0 pixel, both axes.
        mitoses: (N, 2) float64 x0, y0 of the mitoses' centres, level-0 px.
        imposters: (M, 2) float64 x0, y0 of the planted look-alikes.
        phases: what each mitosis is: plate, clump, ring, anaphase or telophase.
        imposter_kinds: what each imposter is.
    """

    path: Path
    mpp: float
    mitoses: NDArray[np.float64]
    imposters: NDArray[np.float64]
    phases: tuple[str, ...]
    imposter_kinds: tuple[str, ...]


def render_demo_slide(
    path: Path,
    *,
    seed: int = 0,
    side_mm: float = 2.0,
    mpp: float = 0.25,
    plan: TissuePlan | None = None,
) -> DemoTruth:
    """Render the demo slide: a pyramidal tiled JPEG TIFF that OpenSlide opens with its mpp.

    Deterministic: the same arguments give the same picture and truth. Memory stays small; the
    picture lies in a temporary file beside `path` until it is encoded.

    Args:
        path: file to write.
        seed: of the tissue, its colours and what is planted.
        side_mm: side of the square slide; 0.4 makes a quick one for tests.
        mpp: µm per level-0 pixel.
        plan: densities; its `side_mm` gives way to the argument's.

    Raises:
        SlideError: the file cannot be written.
    """
    chosen = plan or TissuePlan()
    chosen = dataclasses.replace(chosen, side_mm=side_mm)
    layout = lay_out(chosen, seed)
    stain = draw_stain(np.random.default_rng([seed, 7]))
    scene = make_scene(layout, stain, Optics(), mpp, seed)
    side = round(side_mm * 1000 / mpp)
    with tempfile.TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as folder:
        picture = np.memmap(Path(folder) / "picture.raw", np.uint8, "w+", shape=(side, side, 3))
        for top in range(0, side, TILE_PX):
            for left in range(0, side, TILE_PX):
                width, height = min(TILE_PX, side - left), min(TILE_PX, side - top)
                tile = paint_tile(scene, left, top, width, height)
                picture[top : top + height, left : left + width] = tile
        write_pyramid(path, picture, mpp)
    return DemoTruth(
        path,
        mpp,
        layout.mitoses_um / mpp,
        layout.imposters_um / mpp,
        tuple(layout.phases),
        tuple(layout.imposter_kinds),
    )
