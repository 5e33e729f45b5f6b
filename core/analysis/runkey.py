"""The key of a run: the same question to the same pixels and models has the same key."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from core.analysis.tiling import Regions
from core.ports import Classifier, Detector, ModelOrigin, SubtypeClassifier
from core.slides.reader import Slide

# Raised when a change of the code changes what the same inputs give (tiling, tissue, merging).
PIPELINE_VERSION = 1


def run_parameters(
    slide: Slide,
    regions: Regions,
    detector: Detector,
    classifier: Classifier,
    subtype: SubtypeClassifier | None = None,
) -> dict[str, Any]:
    """Everything that decides a run's result, JSON-able; kept with the run as its origin.

    Without a model for atypical mitoses there is nothing of it among them.
    """
    mpp = slide.require_mpp()
    return {
        "pipeline": PIPELINE_VERSION,
        "slide": {
            "identity_kind": slide.identity.kind,
            "identity": slide.identity.digest,
            "mpp_x": mpp.x,
            "mpp_y": mpp.y,
            "mpp_origin": slide.mpp_origin,
        },
        "pixels": {"backend": slide.backend},
        "regions": {
            kind: None if region is None else hashlib.sha256(region.normalize().wkb).hexdigest()
            for kind, region in (("tumour", regions.tumour), ("excluded", regions.excluded))
        },
        "detector": {
            **_model(detector.origin),
            "mpp": detector.mpp,
            "window_px": detector.window_px,
            "halo_px": detector.halo_px,
            "threshold": detector.threshold,
        },
        **classifier_parameters(classifier, subtype),
    }


def classifier_parameters(
    classifier: Classifier, subtype: SubtypeClassifier | None
) -> dict[str, Any]:
    """The part of a run's parameters in which runs of one detection set differ."""
    parameters: dict[str, Any] = {
        "classifier": {
            **_model(classifier.origin),
            "mpp": classifier.mpp,
            "crop_px": classifier.crop_px,
            "review_threshold": classifier.review_threshold,
            "count_threshold": classifier.count_threshold,
        }
    }
    if subtype is not None:
        parameters["subtype"] = {
            **_model(subtype.origin),
            "mpp": subtype.mpp,
            "crop_px": subtype.crop_px,
            "threshold": subtype.threshold,
        }
    return parameters


def _model(origin: ModelOrigin) -> dict[str, str]:
    # Device and precision are recorded per window: a run may go on elsewhere.
    return {"name": origin.name, "sha256": origin.sha256}


def run_key(parameters: Mapping[str, Any]) -> str:
    """SHA-256 of the parameters as canonical JSON, lower-case hex."""
    text = json.dumps(parameters, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def detection_key(parameters: Mapping[str, Any]) -> str:
    """The key of the detection set: that of the run without what classifies."""
    return run_key(detection_parameters(parameters))


def detection_parameters(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """What runs of one detection set share."""
    own = ("classifier", "subtype")
    return {name: part for name, part in parameters.items() if name not in own}
