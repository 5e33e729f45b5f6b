"""From stain concentrations to the picture of a scanner: Beer–Lambert, blur, sharpening, noise."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from core.slides.synthetic.noise import Float, NoiseBank

# Units of dye over which the glass's white turns into the tissue's.
FAINT = 0.08


@dataclass(frozen=True, slots=True)
class Stain:
    """Optical density per channel (R, G, B) of one unit of each dye, and the light of the slide.

    A unit is the amount that gives 1.0 of density (log10) in green. The vectors are the lower and
    upper 5 % of red at equal green in MITOS-ATYPIA-14 frames of H03, H04 and H07: eosin
    (174..221, 57..110, 132..186), chromatin (55..72, 14..22, 69..86). Empty lumina are greyish,
    (229, 221, 225), while the scanner's colour correction lifts faintly stained tissue above
    them, to (250, 235, 245): hence two whites.
    """

    haematoxylin: tuple[float, float, float]
    eosin: tuple[float, float, float]
    pigment: tuple[float, float, float]
    glass: tuple[float, float, float]
    tissue_white: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class Optics:
    """The scanner.

    Attributes:
        blur_um: standard deviation of the point spread.
        sharpen: weight of the unsharp mask; the Hamamatsu frames show its bright rims.
        sharpen_um: radius of the unsharp mask.
        noise_grey: standard deviation of the noise in grey levels (empty lumina: 2).
        flare: stray light as a share of white; real chromatin keeps 5 to 14 grey levels of green.
    """

    blur_um: float = 0.235
    sharpen: float = 0.8
    sharpen_um: float = 0.55
    noise_grey: float = 3.2
    flare: float = 0.03


def draw_stain(rng: np.random.Generator) -> Stain:
    """A laboratory's colours: slides H03 to H17 and the MIDOG patches differ by about this much."""
    red_h, blue_h = rng.uniform(0.46, 0.54), rng.uniform(0.40, 0.46)
    red_e, blue_e = rng.uniform(0.13, 0.19), rng.uniform(0.34, 0.42)
    return Stain(
        haematoxylin=(red_h, 1.0, blue_h),
        eosin=(red_e, 1.0, blue_e),
        pigment=(0.72, 1.0, 1.25),
        glass=(229.0, 221.0, 225.0),
        tissue_white=(249.0, 237.0, 246.0),
    )


def develop(
    dyes: Float, stain: Stain, optics: Optics, noise: NoiseBank, corner: tuple[int, int], mpp: float
) -> NDArray[np.uint8]:
    """The picture of a piece of tissue.

    Args:
        dyes: (3, h, w) float32 units of haematoxylin, eosin and pigment.
        stain: colours of the dyes.
        optics: blur, sharpening and noise.
        noise: where the sensor's noise is cut from.
        corner: left and top of the piece on the slide, so that the noise has no seams.
        mpp: µm per pixel.

    Returns:
        (h, w, 3) uint8 sRGB. The outer µm of the piece are wrong (no light from outside it).
    """
    height, width = dyes.shape[1:]
    vectors = np.array([stain.haematoxylin, stain.eosin, stain.pigment], np.float32)
    grain = noise.cut("sensor", corner[0], corner[1], width, height) * 0.6
    rgb = np.empty((height, width, 3), np.uint8)
    emptiness = np.exp(dyes.sum(0) * np.float32(-1 / FAINT))
    for channel in range(3):
        density = np.tensordot(vectors[:, channel], dyes, axes=1)
        light = np.exp(-np.log(10) * density, dtype=np.float32) * (1 - optics.flare)
        white, glass = stain.tissue_white[channel], stain.glass[channel]
        light = (light + optics.flare) * (white + (glass - white) * emptiness)
        light = gaussian_filter(light, optics.blur_um / mpp, truncate=3)
        if optics.sharpen:
            soft = gaussian_filter(light, optics.sharpen_um / mpp, truncate=3)
            light += optics.sharpen * (light - soft)
        own = noise.cut(
            "smooth_sensor", corner[0] + 331 * channel, corner[1] + 97 * channel, width, height
        )
        light += optics.noise_grey * (grain + 0.8 * own)
        rgb[..., channel] = np.clip(np.rint(light), 0, 255)
    return rgb
