"""A desktop in a process of its own, which says on stdout what it shows: x_desktop.py SLIDE STORE.

It analyses the slide and then waits for keys, which come from outside.
"""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[2]), str(Path(__file__).parent)]


def main(slide: Path, store: Path) -> int:
    from desktops import HeldDetector, tiny_models
    from PySide6.QtCore import QTimer
    from PySide6.QtWidgets import QApplication

    from app.desktop import build
    from core.reading.view import MITOSIS
    from core.settings import Settings

    application = QApplication(["mitoscope"])
    settings = Settings(reader="A. Reader", backend="openslide", theme="light")
    desktop = build(store, settings, load=tiny_models(HeldDetector()))
    window, room = desktop.window, desktop.room
    window.move(0, 0)
    window.resize(1280, 720)
    window.show()
    window.activateWindow()

    def say(*words: object) -> None:
        sys.stdout.write(" ".join(map(str, words)) + "\n")
        sys.stdout.flush()

    def viewed(view: object) -> None:
        done = view.run is not None and view.run.state == "done"
        say("view", "done" if done else "new", int((view.figures.verdict == MITOSIS).sum()))

    room.view_changed.connect(viewed)
    room.selection_changed.connect(lambda keys: say("selected", len(keys)))
    room.tissue_found.connect(lambda _tissue: say("ready"))
    canvas = window.viewing.canvas
    canvas.transform_changed.connect(lambda _view: say("zoom", round(canvas.magnification(), 3)))
    desktop.bridge.bug.connect(lambda error: say("bug", repr(error)))
    QTimer.singleShot(120_000, application.quit)
    desktop.open([slide])
    status = application.exec()
    desktop.stop()
    return status


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2])))
