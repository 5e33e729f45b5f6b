"""Adapters as the desktop sees them, and what a reader does with them, for tests without torch."""

import hashlib
import json

from blobs import BlobClassifier
from desktops import LONG_MS

from core.ports import ModelOrigin


def write_adapter(folder, name, **changes):
    """An adapter's folder as a list sees it; its weights are no network's."""
    (folder / name).mkdir(parents=True)
    weights = b"weights of " + name.encode()
    (folder / name / "adapter.safetensors").write_bytes(weights)
    comparison = {"rows": [{"metric": "f1", "shipped": 0.6, "new": 0.75}]}
    manifest = {
        "name": name,
        "backbone": "tiny",
        "backbone_sha256": "",
        "mode": "probe",
        "task": "mitosis",
        "sha256": hashlib.sha256(weights).hexdigest(),
        "data": {"cells": 90, "slides": ["a", "b", "c"]},
        "comparison": comparison,
    }
    (folder / name / "manifest.json").write_text(json.dumps(manifest | changes))
    return folder / name


class OwnClassifier(BlobClassifier):
    """What the adapter's folder stands for in these tests."""

    count_threshold = 0.3

    def __init__(self, folder):
        sha256 = hashlib.sha256((folder / "manifest.json").read_bytes()).hexdigest()
        self.origin = ModelOrigin(folder.name, sha256, "cpu", "float32")

    def classify(self, crops, detector_scores):
        return super().classify(crops, detector_scores) / 2


def ready(qtbot, desktop, path):
    qtbot.waitUntil(lambda: bool(desktop.shelf.classifiers), timeout=LONG_MS)
    with qtbot.waitSignal(desktop.room.slide_opened, timeout=LONG_MS):
        desktop.open([path])
    qtbot.waitUntil(lambda: desktop.room.tissue is not None, timeout=LONG_MS)
    qtbot.waitUntil(lambda: desktop.room.view.area is not None, timeout=LONG_MS)


def run_done(qtbot, desktop, name):
    def done():
        run = desktop.room.view.run
        return run is not None and run.state == "done" and run.classifier.name == name

    qtbot.waitUntil(done, timeout=LONG_MS)


def choose(choice, text):
    choice.box.setCurrentIndex(choice.box.findText(text))
    choice.box.activated.emit(choice.box.currentIndex())
