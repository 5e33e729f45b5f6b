"""Makes the pictures of the help anew: `python -m app.help_pictures [FOLDER]`.

The real desktop, offscreen, on the demo slide with the shipped networks: run it after the window
has changed, and look at what it wrote.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import shapely
from PIL import Image
from PySide6.QtCore import QRect, QSize
from PySide6.QtWidgets import QApplication, QWidget

from app.demo_slide import make_demo
from app.desktop import Desktop, build
from app.help_pages import help_folder
from app.selftest.seeing import pixels_of, start_application
from app.theme import apply_theme
from core.cancel import CancelToken
from core.reading.desk import Desk
from core.reading.view import DeskView
from core.settings import Settings

WINDOW_PX, WIDTH_PX = QSize(1440, 900), 660
#: Of the viewer alone.
VIEWER_PX = 460
PROTOCOL = "breast_mm2"
#: How many candidates, by falling probability, get a verdict: mitoses first, then, after a gap,
#: imposters.
MITOSES, IMPOSTERS = 10, slice(60, 68)
#: A tumour region, level-0 pixels.
TUMOUR0 = shapely.Polygon([(300, 350), (6900, 250), (7250, 2900), (7000, 7300), (450, 7500)])
_PATIENCE_S = 900.0


def main(folder: Path) -> None:
    """Write all pictures into a folder."""
    application = start_application()
    assert isinstance(application, QApplication)
    apply_theme(application, "light")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="mitoscope-help-", ignore_cleanup_errors=True) as place:
        slide = make_demo(Path(place), CancelToken())
        settings = Settings(reader="A. Reader", theme="light")
        desktop = build(Path(place) / "store.sqlite", settings, adapters=Path(place) / "adapters")
        desktop.window.resize(WINDOW_PX)
        desktop.window.show()
        try:
            _read(desktop, slide)
            _draw(desktop, folder)
        finally:
            desktop.stop()


def _read(desktop: Desktop, slide: Path) -> None:
    """Open, analyse, draw the tumour, and give some verdicts as two readers."""
    room, window = desktop.room, desktop.window
    room.set_protocol(PROTOCOL)
    desktop.open([slide])
    _wait(lambda: room.view is not None and bool(room.view.pieces))
    window.analysis.start()
    _wait(lambda: room.view is not None and room.view.run is not None and not desktop.worker.queue)
    _wait(lambda: room.view is not None and room.view.figures.key.size > 0)

    def decide(desk: Desk) -> DeskView:
        view = desk.draw_region("tumour", TUMOUR0)
        keys = view.figures.key[view.figures.probability.argsort()[::-1]].tolist()
        other = Desk(
            room.store, view.slide_id, room.store.add_reader("B. Reader"), protocol_id=PROTOCOL
        )
        other.use_run(None if view.run is None else view.run.id)
        other.give(keys[: MITOSES - 2], "mitosis")
        other.give(keys[MITOSES - 2 : MITOSES], "imposter")
        desk.give(keys[:MITOSES], "mitosis")
        desk.give(keys[IMPOSTERS], "imposter")
        return desk.refresh()

    room.ask(decide)
    _wait(lambda: room.view is not None and bool((room.view.figures.verdict != 0).any()))


def _draw(desktop: Desktop, folder: Path) -> None:
    window, room = desktop.window, desktop.room
    view = room.view
    assert view is not None
    row = int(view.figures.probability.argmax())
    window.docks.show("gallery")
    room.select([int(view.figures.key[row])])
    window.viewing.canvas.fit()
    _settle(desktop)
    _save(window, folder / "window.png", WIDTH_PX)
    for name, panel in (
        ("analysis", window.analysis),
        ("count", window.count),
        ("readers", window.readers),
        ("adapt", window.adapt),
        ("gallery", window.gallery),
    ):
        window.docks.show(name)
        _settle(desktop)
        _save(panel, folder / f"{name}.png")
    window.viewing.canvas.fit()
    _settle(desktop)
    _save(window.viewing, folder / "viewer.png", VIEWER_PX)


def _save(widget: QWidget, path: Path, width_px: int = 0) -> None:
    """Save what a widget shows, without the empty ground below it."""
    image = Image.fromarray(pixels_of(widget.grab().toImage()))
    if width_px:
        height_px = round(image.height * width_px / image.width)
        image = image.resize((width_px, height_px), Image.Resampling.LANCZOS)
    else:
        image = image.crop((0, 0, image.width, _used(widget)))
    _write(image, path)


def _write(image: Image.Image, path: Path) -> None:
    """Save with a palette: a third of the room, and the eye sees no difference."""
    image.quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=4).save(path, optimize=True)


def _used(widget: QWidget) -> int:
    """Down to where something is shown, pixels."""
    rgb = pixels_of(widget.grab(QRect(0, 0, widget.width(), widget.height())).toImage())
    lively = (rgb != rgb[:, :1]).any((1, 2)).nonzero()[0]
    return min(len(rgb), int(lively[-1]) + 12) if len(lively) else len(rgb)


def _settle(desktop: Desktop, seconds: float = 1.5) -> None:
    """Let everything that is on its way be painted."""
    until_s = time.monotonic() + seconds
    canvas = desktop.window.viewing.canvas
    _wait(lambda: time.monotonic() > until_s and canvas.is_sharp())


def _wait(done: Callable[[], bool]) -> None:
    until_s = time.monotonic() + _PATIENCE_S
    while not done():
        if time.monotonic() > until_s:
            raise TimeoutError("the desktop did not get ready for its pictures")
        QApplication.processEvents()
        time.sleep(0.01)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else help_folder() / "pictures")
