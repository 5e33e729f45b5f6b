"""A slide of dark blobs, and models that are pure functions of its pixels: tests without torch."""

from pathlib import Path

import numpy as np
from scipy import ndimage

from core.ports import Levelled, ModelOrigin, WindowPoints
from core.slides.pyramid import write_pyramid

TISSUE_RGB = (225, 170, 200)
MITOSIS_DARKNESS = 150
IMPOSTER_DARKNESS = 90


def blob_slide(path: Path, width0=2400, height0=1800, *, mpp=0.25, seed=0, count=60, margin0=200):
    """Write a slide: a rectangle of tissue in white, dark blobs on it at random places.

    Returns the (N, 2) places of the blobs and (N,) whether each is a dark one, a "mitosis".
    """
    rng = np.random.default_rng(seed)
    rgb = np.full((height0, width0, 3), 250, np.uint8)
    # Fine grain, without which the tissue would count as out of focus.
    grain = ndimage.gaussian_filter(rng.normal(0, 1, (height0, width0)), 0.8) * 25
    tissue = np.clip(np.array(TISSUE_RGB) + grain[..., None], 0, 255).astype(np.uint8)
    inner = slice(margin0, height0 - margin0), slice(margin0, width0 - margin0)
    rgb[inner] = tissue[inner]
    low, high = margin0 + 40, np.array([width0, height0]) - margin0 - 40
    places: list[np.ndarray] = []
    while len(places) < count:
        place = rng.uniform(low, high)
        if all(np.hypot(*(place - other)) > 80 for other in places):
            places.append(place)
    dark = np.arange(count) % 3 == 0
    for (x0, y0), is_dark in zip(places, dark, strict=True):
        left, top = int(x0) - 30, int(y0) - 30
        rows, cols = np.mgrid[top : top + 60, left : left + 60] + 0.5
        bell = np.exp(-((cols - x0) ** 2 + (rows - y0) ** 2) / (2 * 8.0**2))
        part = rgb[top : top + 60, left : left + 60].astype(np.float64)
        darkness = MITOSIS_DARKNESS if is_dark else IMPOSTER_DARKNESS
        rgb[top : top + 60, left : left + 60] = np.clip(part - darkness * bell[..., None], 0, 255)
    write_pyramid(path, rgb, mpp, quality=95)
    return np.array(places), dark


class BlobDetector:
    """Maxima of the smoothed darkness."""

    mpp = 0.5
    window_px = 256
    halo_px = 32
    grid_px = 4
    batch_size = 2
    threshold = 0.25
    origin = ModelOrigin("blobs", "0" * 64, "cpu", "float32")

    def detect(self, windows):
        return [self._points(window) for window in windows]

    def _points(self, window):
        smooth = ndimage.gaussian_filter(255.0 - window.mean(axis=2), 2.0)
        top = (smooth == ndimage.maximum_filter(smooth, 9)) & (smooth > 255 * self.threshold)
        top[[0, -1]] = top[:, [0, -1]] = False
        top &= smooth - ndimage.uniform_filter(smooth, 17) > 10
        rows, cols = np.nonzero(top)
        x = cols + 0.5 + _vertex(smooth[rows, cols - 1], smooth[rows, cols], smooth[rows, cols + 1])
        y = rows + 0.5 + _vertex(smooth[rows - 1, cols], smooth[rows, cols], smooth[rows + 1, cols])
        scores = (smooth[rows, cols] / 255).astype(np.float32)
        return WindowPoints(np.stack([x, y], axis=1).astype(np.float32), scores)


def _vertex(before, here, after):
    bend = before - 2 * here + after
    return np.where(bend < 0, (before - after) / (2 * np.minimum(bend, -1e-9)), 0.0)


class BlobClassifier:
    """The darkness at the middle of the crop as a probability."""

    mpp = 0.25
    crop_px = 32
    batch_size = 8
    review_threshold = 0.2
    count_threshold = 0.5
    low_res_note = "F1 0.60 instead of 0.70 was measured at 0.5 µm/px"
    origin = ModelOrigin("darkness", "1" * 64, "cpu", "float32")

    def classify(self, crops, detector_scores):
        middle = crops[:, 12:20, 12:20].mean(axis=(1, 2, 3))
        return np.clip((170 - middle) / 150, 0, 1).astype(np.float32)

    def level(self, probabilities, detector_scores):
        return Levelled(probabilities, 0.0)


class BlobSubtype:
    """The grain in a corner of the crop as a probability of being atypical."""

    mpp = 0.25
    crop_px = 24
    batch_size = 4
    threshold = 0.5
    origin = ModelOrigin("grain", "2" * 64, "cpu", "float32")

    def __init__(self):
        self.asked = 0

    def atypical(self, crops):
        self.asked += len(crops)
        return (crops[:, :5, :5].mean(axis=(1, 2, 3)) * 3 % 1).astype(np.float32)
