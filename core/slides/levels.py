"""The true scale of each pyramid level; OpenSlide's is an average of rounded sizes."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LevelScale:
    """Level-0 pixels per pixel of a level, along each axis."""

    x: float
    y: float


def true_scales(
    dimensions: tuple[tuple[int, int], ...], downsamples: tuple[float, ...]
) -> tuple[LevelScale, ...]:
    """Undo the rounding of level sizes.

    Writers make levels by whole-number factors and round the remainder up or down, so 2050 px
    become 513 at factor 4 and OpenSlide says 3.998: half a millimetre off at the far edge of a
    large slide. Where both sides fit one whole factor, that is it; else the sides' own ratios, or
    OpenSlide's number where the sizes contradict it (Philips pads its levels).

    Args:
        dimensions: (width, height) of each level, level 0 first.
        downsamples: OpenSlide's factors.
    """
    return tuple(
        _scale(dimensions[0], size, downsample)
        for size, downsample in zip(dimensions, downsamples, strict=True)
    )


def _scale(size0: tuple[int, int], size: tuple[int, int], downsample: float) -> LevelScale:
    nearest = round(downsample)
    fitting = [
        factor
        for factor in range(max(1, nearest - 1), nearest + 2)
        if all(a in (b // factor, -(-b // factor)) for a, b in zip(size, size0, strict=True))
    ]
    if fitting:
        # Of several (small levels) a power of two is what writers use.
        best = min(fitting, key=lambda f: (f & (f - 1) != 0, abs(f - downsample)))
        return LevelScale(best, best)
    x, y = size0[0] / size[0], size0[1] / size[1]
    if max(abs(x - downsample), abs(y - downsample)) > 0.02 * downsample:
        return LevelScale(downsample, downsample)
    return LevelScale(x, y)
