"""Draw the icons from `resources/icons/mitoscope.svg`: `python resources/installer/draw_icons.py`.

They are committed, since packagers' machines need not be able to draw; run this after a change.
"""

from pathlib import Path

from PIL import Image
from PySide6.QtCore import Qt
from PySide6.QtGui import QGuiApplication, QImage, QPainter
from PySide6.QtSvg import QSvgRenderer

ICONS = Path(__file__).resolve().parents[1] / "icons"
#: Pixels; those that the freedesktop icon theme and the Windows shell ask for.
SIZES = (16, 32, 48, 64, 128, 256)


def main() -> None:
    """Write a PNG of each size, the icon of Windows, and that of macOS."""
    application = QGuiApplication(["draw_icons", "-platform", "offscreen"])
    renderer = QSvgRenderer(str(ICONS / "mitoscope.svg"))
    for size in (*SIZES, 512):
        image = QImage(size, size, QImage.Format.Format_ARGB32)
        image.fill(Qt.GlobalColor.transparent)
        painter = QPainter(image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        renderer.render(painter)
        painter.end()
        image.save(str(ICONS / f"mitoscope-{size}.png"))
    application.quit()
    drawn = [Image.open(ICONS / f"mitoscope-{size}.png") for size in SIZES]
    drawn[-1].save(
        ICONS / "mitoscope.ico", sizes=[(size, size) for size in SIZES], append_images=drawn[:-1]
    )
    large = ICONS / "mitoscope-512.png"
    Image.open(large).save(ICONS / "mitoscope.icns")
    large.unlink()


if __name__ == "__main__":
    main()
