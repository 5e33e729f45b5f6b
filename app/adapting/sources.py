"""From a source of labels to cells with their pixels, the same for stores and folders."""

import hashlib
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.adapting.labelled import pictures
from app.adapting.request import CLASS_NAMES, AdaptRequest, FolderSource, StoreSource
from app.adapting.verdicts import LabelledPoint, check_readers, chosen_slides, labelled_points
from core.cancel import CancelToken
from core.errors import InputError, SlideError
from core.slides.crops import read_crop
from core.slides.reader import Slide, SlideReadError, open_slide
from core.store import Store, StoredSlide, open_store
from models.training.adapt_data import MPP, Examples
from models.training.classifier_training import cut_tile
from models.training.data import read_rgb, resize_to_mpp

Told = Callable[[int, int], None]

#: Below this many of a class no honest fold can be made; see `check_enough`.
LEAST = 5
#: Below this many of a class an estimate is hardly one: at 20 the 95 % interval of a recall of 0.5
#: still reaches from 0.3 to 0.7 (binomial).
FEW = 20


@dataclass(frozen=True, slots=True)
class Loaded:
    """Cells of a source.

    Attributes:
        examples: the cells.
        identities: hash by slide, which tells a slide without naming it.
        origin: where the labels come from, without names and paths.
        notes: what was left out, in plain words.
    """

    examples: Examples
    identities: Mapping[str, str]
    origin: str
    notes: tuple[str, ...]


@dataclass(slots=True)
class _Gathered:
    """Cells as they come."""

    tiles: list[NDArray[np.uint8]] = field(default_factory=list)
    positive: list[bool] = field(default_factory=list)
    slide: list[str] = field(default_factory=list)
    source: list[str] = field(default_factory=list)
    score: list[float] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    identities: dict[str, str] = field(default_factory=dict)

    def add(
        self, tile: NDArray[np.uint8], positive: bool, slide: str, source: str, score: float
    ) -> None:
        self.tiles.append(tile)
        self.positive.append(positive)
        self.slide.append(slide)
        self.source.append(source)
        self.score.append(score)

    def examples(self, crop_px: int) -> Examples:
        return Examples(
            np.stack(self.tiles),
            np.array(self.positive),
            np.array(self.slide),
            np.array(self.source),
            np.array(self.score, np.float32),
            crop_px,
        )


def load(
    request: AdaptRequest, crop_px: int, tile_px: int, token: CancelToken, told: Told
) -> Loaded:
    """Read the cells of a source.

    Args:
        request: names the source and the task.
        crop_px: side of the crop at 0.25 µm/px.
        tile_px: side of the tile around it.
        token: cancels between cells.
        told: how many of how many cells are read.

    Raises:
        InputError: nothing can be read, there is one class only, or too few of one.
        StoreError: the store cannot be opened.
    """
    source = request.source
    into = _Gathered()
    if isinstance(source, StoreSource):
        origin = _from_store(source, request, tile_px, into, token, told)
    else:
        origin = _from_folder(source, request, tile_px, into, token, told)
    check_enough(np.array(into.positive, bool), request, into.notes)
    return Loaded(into.examples(crop_px), into.identities, origin, tuple(into.notes))


def check_enough(
    positive: NDArray[np.bool_], request: AdaptRequest, notes: list[str] | tuple[str, ...] = ()
) -> None:
    """Refuse labels that nothing can be learnt from.

    Raises:
        InputError: one class is missing or has fewer than `LEAST` cells.
    """
    names = CLASS_NAMES[request.task]
    counts = (int(positive.sum()), int((~positive).sum()))
    why = f" {' '.join(notes)}" if notes else ""
    if not sum(counts):
        raise InputError(f"There are no labels to learn from.{why}", _more(request))
    for name, other, n in zip(names, reversed(names), counts, strict=True):
        if n == 0:
            raise InputError(
                f"All {sum(counts)} labels say {other}; without any {name} nothing can be learnt."
                + why,
                _more(request),
            )
        if n < LEAST:
            raise InputError(
                f"{n} labels say {name}, and at least {LEAST} are needed to hold some out.{why}",
                _more(request),
            )


def _more(request: AdaptRequest) -> str:
    if isinstance(request.source, StoreSource):
        return "Give more verdicts, or choose more slides or readers."
    return "Choose more slides, or another folder."


def _from_store(
    source: StoreSource,
    request: AdaptRequest,
    tile_px: int,
    into: _Gathered,
    token: CancelToken,
    told: Told,
) -> str:
    if not source.path.is_file():
        raise InputError(f"There is no store {source.path}.", "Check the name after --from.")
    with open_store(source.path, read_only=True) as store:
        check_readers(store, source)
        work, left_out = _points_by_slide(store, source, request)
        total = sum(len(points) for _, points in work)
        names = Counter(slide.shown_name for slide, _ in work)
        for slide, points in work:
            name = slide.shown_name
            if names[name] > 1:
                name = f"{name} (slide {slide.id})"
            into.identities[name] = slide.identity
            fault = _read_points(slide, name, points, tile_px, into, token, told, total)
            if fault:
                into.notes.append(f"Left out: {name}, {len(points)} verdicts. {fault}")
    if any(left_out.values()):
        said = ", ".join(f"{n} {reason}" for reason, n in sorted(left_out.items()) if n)
        into.notes.append(f"Left out, since they are neither class: {said}.")
    if isinstance(source.readers, str):
        whose = "all readers" if source.readers == "all" else "the consensus"
    else:
        whose = f"{len(source.readers)} chosen reader{'s' * (len(source.readers) > 1)}"
    return f"verdicts of {whose}"


def _points_by_slide(
    store: Store, source: StoreSource, request: AdaptRequest
) -> tuple[list[tuple[StoredSlide, list[LabelledPoint]]], Counter[str]]:
    work, left_out = [], Counter[str]()
    for slide in chosen_slides(store, source):
        points, without = labelled_points(store, slide, source, request.task)
        left_out += without
        if points:
            work.append((slide, points))
    return work, left_out


def _read_points(
    stored: StoredSlide,
    name: str,
    points: list[LabelledPoint],
    tile_px: int,
    into: _Gathered,
    token: CancelToken,
    told: Told,
    total: int,
) -> str:
    """Read the tiles of a slide's points; returns why the slide is left out, if it is."""
    try:
        slide = _open(stored)
    except SlideError as error:
        return error.message
    unreadable = 0
    with slide:
        if (slide.identity.kind, slide.identity.digest) != (
            stored.identity_kind,
            stored.identity,
        ):
            return "Another slide lies at its place now."
        if slide.mpp is None:
            return "Its µm per pixel is not known."
        for point in points:
            token.check()
            try:
                tile = read_crop(slide, point.x0, point.y0, tile_px, MPP)
            except SlideReadError:
                unreadable += 1
                continue
            source = f"point {point.point_id}"
            into.add(tile, point.positive, name, source, point.detector_score)
            told(len(into.tiles), total)
    if unreadable:
        into.notes.append(f"Left out: {unreadable} points beside unreadable tiles of {name}.")
    return ""


def _open(stored: StoredSlide) -> Slide:
    """The file of a slide, at the pixel size that the store has for it."""
    if not stored.path:
        raise SlideError("Where its file lies is not known.", "")
    slide = open_slide(Path(stored.path))
    mpp = stored.mpp
    if mpp is None or (slide.mpp is not None and abs(slide.mpp.x / mpp.x - 1) < 1e-6):
        return slide
    slide.close()
    return open_slide(Path(stored.path), mpp=mpp.x)


def _from_folder(
    source: FolderSource,
    request: AdaptRequest,
    tile_px: int,
    into: _Gathered,
    token: CancelToken,
    told: Told,
) -> str:
    found, notes = pictures(source, request.task)
    into.notes += notes
    total = sum(len(picture.positive) for picture in found)
    for picture in found:
        token.check()
        rgb = resize_to_mpp(read_rgb(picture.path), picture.mpp, MPP)
        scale = picture.mpp / MPP
        points = picture.xy_px or ((rgb.shape[1] / 2 / scale, rgb.shape[0] / 2 / scale),)
        for k, ((x, y), positive) in enumerate(zip(points, picture.positive, strict=True)):
            tile = cut_tile(rgb, x * scale, y * scale, tile_px)
            into.add(tile, positive, picture.slide, f"{picture.name}#{k}", float("nan"))
        slide_hash = hashlib.sha256(picture.slide.encode()).hexdigest()
        into.identities.setdefault(picture.slide, slide_hash)
        told(len(into.tiles), total)
    return "a labelled folder"
