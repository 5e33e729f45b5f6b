"""What the pipeline asks of a detector and a classifier: uint8 arrays in, arrays out.

`core` knows no network library; `models` implements these protocols.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

#: Where networks can be asked to run; `auto` is the best that there is.
DEVICES = ("auto", "cuda", "mps", "cpu")


@dataclass(frozen=True, slots=True)
class ModelOrigin:
    """Which model gave a number.

    Attributes:
        name: registry name, for instance `mitoscope-detector-1`.
        sha256: of the weights file, lower-case hex.
        device: where it ran: `cpu`, `cuda`, `mps`.
        precision: `float32`, `bfloat16` or `float16`.
    """

    name: str
    sha256: str
    device: str
    precision: str


@dataclass(frozen=True, slots=True)
class WindowPoints:
    """Candidates of one window.

    Attributes:
        xy_px: (N, 2) float32, x then y, in pixels of the window; the centre of the top-left pixel
            is (0.5, 0.5).
        scores: (N,) float32 in 0..1.
    """

    xy_px: NDArray[np.float32]
    scores: NDArray[np.float32]


class Detector(Protocol):
    """A dense candidate detector.

    Attributes:
        mpp: µm per pixel of the windows that it wants.
        window_px: side of a window in pixels, halo included.
        halo_px: margin on each side whose points belong to the neighbouring window.
        grid_px: windows must start at multiples of this, counted from the slide's origin, so that
            the result does not depend on the grid.
        threshold: points below this score are not returned.
    """

    @property
    def mpp(self) -> float:
        """µm per pixel of what the model wants to see."""
        ...

    @property
    def window_px(self) -> int:
        """Side of a window, halo included."""
        ...

    @property
    def halo_px(self) -> int:
        """Margin of a window that belongs to its neighbours."""
        ...

    @property
    def grid_px(self) -> int:
        """Windows start at multiples of this."""
        ...

    @property
    def batch_size(self) -> int:
        """How many images go through at a time."""
        ...

    @property
    def threshold(self) -> float:
        """Lowest score returned."""
        ...

    @property
    def origin(self) -> ModelOrigin:
        """Name, hash, device and precision."""
        ...

    def detect(self, windows: NDArray[np.uint8]) -> list[WindowPoints]:
        """Find candidates in windows: (B, window_px, window_px, 3) uint8 sRGB."""
        ...


class Classifier(Protocol):
    """Gives a candidate's crop the probability of being a mitosis.

    Attributes:
        mpp: µm per pixel of the crops that it wants.
        crop_px: side of a crop in pixels.
        review_threshold: from this probability on a reader must look at a candidate.
        count_threshold: from this probability on a candidate is labelled a mitosis.
    """

    @property
    def mpp(self) -> float:
        """µm per pixel of what the model wants to see."""
        ...

    @property
    def crop_px(self) -> int:
        """Side of a crop."""
        ...

    @property
    def batch_size(self) -> int:
        """How many images go through at a time."""
        ...

    @property
    def review_threshold(self) -> float:
        """From here on a reader must look."""
        ...

    @property
    def count_threshold(self) -> float:
        """From here on the label is mitosis."""
        ...

    @property
    def origin(self) -> ModelOrigin:
        """Name, hash, device and precision."""
        ...

    def classify(
        self, crops: NDArray[np.uint8], detector_scores: NDArray[np.float32]
    ) -> NDArray[np.float32]:
        """Calibrated probabilities, (B,) float32 in 0..1.

        Args:
            crops: (B, crop_px, crop_px, 3) uint8 sRGB, the candidate at the centre.
            detector_scores: (B,) float32, the detector's scores of the same candidates.
        """
        ...

    def level(
        self, probabilities: NDArray[np.float64], detector_scores: NDArray[np.float64]
    ) -> "Levelled":
        """Make up for the slide's stain and scanner, once all its candidates are known.

        Args:
            probabilities: (N,) from `classify`, of all candidates of the slide.
            detector_scores: (N,) of the same candidates.
        """
        ...


class SubtypeClassifier(Protocol):
    """Tells atypical from normal mitoses; asked only for likely mitoses.

    Attributes:
        mpp: µm per pixel of the crops that it wants.
        crop_px: side of a crop in pixels.
        threshold: a mitosis from this probability on is labelled atypical.
    """

    @property
    def mpp(self) -> float:
        """µm per pixel of what the model wants to see."""
        ...

    @property
    def crop_px(self) -> int:
        """Side of a crop."""
        ...

    @property
    def batch_size(self) -> int:
        """How many images go through at a time."""
        ...

    @property
    def threshold(self) -> float:
        """From here on a mitosis is labelled atypical."""
        ...

    @property
    def origin(self) -> ModelOrigin:
        """Name, hash, device and precision."""
        ...

    def atypical(self, crops: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Calibrated probabilities of being atypical, if it is a mitosis: (B,) float32 in 0..1.

        Args:
            crops: (B, crop_px, crop_px, 3) uint8 sRGB, the candidate at the centre.
        """
        ...


@dataclass(frozen=True, slots=True)
class Levelled:
    """Probabilities of a slide's candidates, made up for its stain and scanner.

    Attributes:
        probabilities: (N,) float64 in 0..1.
        shift: how far the slide's candidates lie above those of the training slides, log odds.
    """

    probabilities: NDArray[np.float64]
    shift: float
