"""The demo slide: synthetic H&E with mitoses and imposters at known places.

Nothing is ever trained on it. The renderer is FROZEN: it was made by looking at real frames
(MITOS-ATYPIA-14 without H05, MIDOG patches) beside its own, and finished before any model was
scored on it. To tune it to a model's scores would make the demo's recall and precision worthless.
"""

import dataclasses
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from core.cancel import CancelToken
from core.errors import SlideError
from core.slides.pyramid import write_pyramid
from core.slides.synthetic.layout import TissuePlan, lay_out
from core.slides.synthetic.render import Scene, make_scene, paint_tile
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
    threads: int = 2,
    token: CancelToken | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
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
        threads: painting threads; the picture does not depend on them.
        token: stops the work between strips.
        progress: told how many strips are painted, and how many there are.

    Raises:
        SlideError: the file cannot be written.
        Cancelled: `token` was cancelled; nothing is left behind.
    """
    layout = lay_out(dataclasses.replace(plan or TissuePlan(), side_mm=side_mm), seed)
    stain = draw_stain(np.random.default_rng([seed, 7]))
    scene = make_scene(layout, stain, Optics(), mpp, seed)
    side = round(side_mm * 1000 / mpp)
    try:
        with tempfile.TemporaryDirectory(dir=path.parent, ignore_cleanup_errors=True) as folder:
            raw = Path(folder) / "picture.raw"
            _write_raw(raw, scene, side, threads, token or CancelToken(), progress)
            picture = np.memmap(raw, np.uint8, "r", shape=(side, side, 3))
            write_pyramid(path, picture, mpp, threads=threads)
            del picture
    except OSError as error:
        raise SlideError(f"Cannot write the demo slide {path}: {error.strerror}.") from error
    # Painting counts from the centre of the first pixel, the slide's frame from its corner.
    return DemoTruth(
        path,
        mpp,
        layout.mitoses_um / mpp + 0.5,
        layout.imposters_um / mpp + 0.5,
        tuple(layout.phases),
        tuple(layout.imposter_kinds),
    )


def _write_raw(
    raw: Path,
    scene: Scene,
    side: int,
    threads: int,
    token: CancelToken,
    progress: Callable[[int, int], None],
) -> None:
    """Paint strip by strip into a file of RGB bytes, so that a full disk is an ordinary error."""

    def tile(left: int) -> None:
        width = min(TILE_PX, side - left)
        strip[:, left : left + width] = paint_tile(scene, left, top, width, len(strip))

    with raw.open("wb") as file, ThreadPoolExecutor(max_workers=threads) as pool:
        strips = range(0, side, TILE_PX)
        for done, top in enumerate(strips):
            token.check()
            progress(done, len(strips))
            strip = np.empty((min(TILE_PX, side - top), side, 3), np.uint8)
            list(pool.map(tile, range(0, side, TILE_PX)))
            file.write(strip.tobytes())
