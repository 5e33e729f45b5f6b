"""Which library reads the pixels of a slide: the fastest that agrees with OpenSlide."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from core.errors import SlideError
from core.slides.agreement import compare_sources
from core.slides.backends import FastSlidePixels, OpenSlidePixels, PixelSource, SlideReadError
from core.slides.tiletable import TileTable
from core.slides.turbo import TurboPixels

Backend = Literal["auto", "openslide", "turbo", "fastslide"]
BACKENDS: tuple[str, ...] = get_args(Backend)
# Those beside OpenSlide, in the order in which `auto` tries them.
_FASTER: tuple[Backend, ...] = ("turbo", "fastslide")


@dataclass(frozen=True, slots=True)
class Choice:
    """What reads a slide.

    Attributes:
        sources: the one to read with comes first; all are to be closed with the slide.
        backend: its name, never `auto`.
        note: why it was taken.
    """

    sources: Sequence[PixelSource]
    backend: Backend
    note: str


def choose_source(
    reference: OpenSlidePixels, tiles: TileTable | None, backend: Backend = "auto"
) -> Choice:
    """Pick the pixel library.

    Args:
        reference: OpenSlide on the slide; closed if this fails.
        tiles: the slide's tile table, None where its format has none.
        backend: what was asked for. `auto` takes `turbo` where it shows the same pixels as
            OpenSlide to the last bit, else fastslide where it agrees, else OpenSlide.

    Raises:
        SlideError: the library asked for cannot read the slide.
    """
    if backend == "openslide":
        return Choice([reference], "openslide", "OpenSlide was asked for")
    if backend != "auto":
        try:
            source = _make(backend, reference, tiles)
        except SlideReadError as error:
            reference.close()
            raise SlideError(
                f"{backend} cannot read the slide {reference.path.name}: {error.message}",
                "Use --backend openslide or auto.",
            ) from error
        return Choice([source, reference], backend, f"{backend} was asked for")
    if tiles is None:
        # Without a tile table damage could pass unnoticed, see tiletable.
        note = "not a TIFF with JPEG tiles: OpenSlide alone reads it"
        return Choice([reference], "openslide", note)
    return _fastest(reference, tiles)


def _fastest(reference: OpenSlidePixels, tiles: TileTable) -> Choice:
    refused: list[str] = []
    for name in _FASTER:
        try:
            source = _make(name, reference, tiles)
        except SlideReadError as error:
            refused.append(f"{name} was not used: {error.message}")
            continue
        exact = _whole_levels(reference) if name == "turbo" else ()
        verdict = compare_sources(reference, source, reference.level_dimensions, exact)
        if verdict.agrees:
            return Choice([source, reference], name, f"{name} {verdict.note}")
        source.close()
        refused.append(f"{name} was not used: {verdict.note}")
    return Choice([reference], "openslide", "; ".join(refused))


def _make(name: Backend, reference: OpenSlidePixels, tiles: TileTable | None) -> PixelSource:
    if name == "fastslide":
        return FastSlidePixels(reference.path, reference, tiles)
    return TurboPixels(reference, tiles)


def _whole_levels(reference: OpenSlidePixels) -> list[int]:
    """Levels that OpenSlide shows as they are; where its factor is broken, it interpolates."""
    return [level for level, factor in enumerate(reference.downsamples) if factor == round(factor)]
