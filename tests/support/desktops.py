"""A whole desktop on a small slide with tiny models, and a guard of the GUI thread."""

import threading
import traceback
from pathlib import Path

from blobs import BlobClassifier, BlobDetector

from app.analysing import Models
from core.slides.reader import Slide
from core.store.base import StoreBase
from core.store.writer import Writer

LONG_MS = 60_000


class HeldDetector(BlobDetector):
    """Finds blobs; waits before each batch while it is held."""

    def __init__(self):
        self.reached, self._free = threading.Event(), threading.Event()
        self._free.set()

    def hold(self):
        self.reached.clear()
        self._free.clear()

    def let_go(self):
        self._free.set()

    def detect(self, windows):
        self.reached.set()
        assert self._free.wait(60)
        return super().detect(windows)


def tiny_models(detector):
    return lambda _device: Models(detector, BlobClassifier(), "blobs need no device")


def guard_gui_thread(monkeypatch):
    """Notes what decodes, reads files or asks the store in the GUI thread; returns the notes."""
    offences = []

    def watch(owner, name):
        original = getattr(owner, name)

        def call(*args, **kwargs):
            if threading.current_thread() is threading.main_thread():
                offences.append(
                    f"{owner.__name__}.{name}\n{''.join(traceback.format_stack(limit=8))}"
                )
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, call)

    for owner, names in (
        (Slide, ("_read_source", "close", "thumbnail")),
        (StoreBase, ("reading", "write", "flush", "close")),
        (Writer, ("write", "post", "flush")),
        (Path, ("open", "exists", "is_file", "stat", "read_text", "write_text", "replace")),
    ):
        for name in names:
            watch(owner, name)
    return offences
