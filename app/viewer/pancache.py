"""Keeps what was built for one view while the reader pans near it, so that a pan frame is cheap."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

from app.viewer.transform import ViewTransform

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Panned(Generic[T]):
    """Something built for a wider view, and where it now lies.

    Attributes:
        value: what was built.
        dx, dy: how far its top left is from the screen's, logical pixels.
    """

    value: T
    dx: float
    dy: float


class PanCache(Generic[T]):
    """One value for the view with a margin on every side; rebuilt by zoom, rotation and resizing.

    Args:
        margin_px: how far can be panned before it is rebuilt, logical pixels.
    """

    def __init__(self, margin_px: int = 256) -> None:
        self._margin_px = margin_px
        self._held: tuple[ViewTransform, float, T] | None = None

    def clear(self) -> None:
        """Drop the value: what it shows has changed."""
        self._held = None

    def at(
        self, transform: ViewTransform, dpr: float, build: Callable[[ViewTransform], T]
    ) -> Panned[T]:
        """The value for a view.

        Args:
            transform: what the screen shows.
            dpr: device pixels per logical pixel of what is painted on.
            build: makes the value for a transform wider and higher than the screen's by twice
                the margin; called only when the kept one does not serve.
        """
        wide = self._wide(transform)
        if self._held is not None:
            held, held_dpr, value = self._held
            if held_dpr == dpr and replace(held, centre0=wide.centre0) == wide:
                x, y = wide.to_screen(*held.centre0)
                dx, dy = x - wide.width_px / 2, y - wide.height_px / 2
                if max(abs(dx), abs(dy)) <= self._margin_px:
                    return Panned(value, dx - self._margin_px, dy - self._margin_px)
        value = build(wide)
        self._held = (wide, dpr, value)
        return Panned(value, -self._margin_px, -self._margin_px)

    def _wide(self, transform: ViewTransform) -> ViewTransform:
        return replace(
            transform,
            width_px=transform.width_px + 2 * self._margin_px,
            height_px=transform.height_px + 2 * self._margin_px,
        )
