"""The slide's label and macro image, shown when somebody asks and never kept."""

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PySide6.QtCore import QSize, Qt, Slot
from PySide6.QtGui import QPixmap, QResizeEvent
from PySide6.QtWidgets import QComboBox, QDialog, QLabel, QVBoxLayout, QWidget

from app.bridge import WorkThread
from app.viewer.colour import to_image
from core.errors import UserError

if TYPE_CHECKING:
    from app.room import OpenedSlide

#: What people look for first.
_FIRST = ("label", "macro")


class AssociatedView(QDialog):
    """Shows the images that lie beside the tissue in a slide file; reads them on the io thread.

    Args:
        opened: the slide; the dialog is to be closed before it.
        io: reads.
        parent: owner.
    """

    def __init__(
        self, opened: "OpenedSlide", io: WorkThread, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        self.setWindowTitle(self.tr("Label and macro image"))
        self._slide, self._io = opened.slide, io
        self._pixmap = QPixmap()
        self._gone = False
        self.finished.connect(self._forget)
        warning = QLabel(self.tr("These images may show the patient's name. They are not stored."))
        warning.setWordWrap(True)
        self._names = QComboBox()
        self._names.setAccessibleName(self.tr("Image"))
        self._names.currentTextChanged.connect(self._load)
        self._names.hide()
        self._picture = QLabel(self.tr("Reading …"))
        self._picture.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._picture.setMinimumSize(QSize(320, 240))
        self._picture.setTextInteractionFlags(Qt.TextInteractionFlag.NoTextInteraction)
        layout = QVBoxLayout(self)
        layout.addWidget(warning)
        layout.addWidget(self._names)
        layout.addWidget(self._picture, 1)
        io.submit(self._slide.associated_names, self._named, self._failed)

    @Slot(object)
    def _named(self, names: tuple[str, ...]) -> None:
        if self._gone:
            return
        if not names:
            self._picture.setText(self.tr("This slide file holds no label and no macro image."))
            return
        order = sorted(names, key=lambda name: (_FIRST.index(name) if name in _FIRST else 9, name))
        self._names.setVisible(len(order) > 1)
        self._names.addItems(order)

    @Slot(str)
    def _load(self, name: str) -> None:
        self._pixmap = QPixmap()
        self._picture.setText(self.tr("Reading …"))
        self._io.submit(
            partial(self._slide.read_associated, name), partial(self._show, name), self._failed
        )

    def _show(self, name: str, rgb: NDArray[np.uint8]) -> None:
        if not self._gone and name == self._names.currentText():
            self._pixmap = QPixmap.fromImage(to_image(rgb))
            self._fit()

    def _failed(self, error: UserError) -> None:
        if not self._gone:
            self._picture.setText(f"{error.message}\n{error.hint}".strip())

    @Slot()
    def _forget(self) -> None:
        self._gone = True
        self._pixmap = QPixmap()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """See `QWidget`."""
        super().resizeEvent(event)
        self._fit()

    def _fit(self) -> None:
        if not self._pixmap.isNull():
            self._picture.setPixmap(
                self._pixmap.scaled(
                    self._picture.size(),
                    Qt.AspectRatioMode.KeepAspectRatio,
                    Qt.TransformationMode.SmoothTransformation,
                )
            )
