"""The grid of crops: paints and loads what is on the screen, however many figures there are."""

import numpy as np
from PySide6.QtCore import QEvent, QPoint, QRect, QSize, Qt, Slot
from PySide6.QtGui import (
    QHelpEvent,
    QKeyEvent,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPalette,
    QPen,
    QResizeEvent,
)
from PySide6.QtWidgets import (
    QAbstractScrollArea,
    QApplication,
    QFrame,
    QRubberBand,
    QToolTip,
    QWidget,
)

from app.crops import CropLoader, CropLook, CropPlace
from app.panels.gallery_delegate import (
    CELL_H,
    CELL_W,
    CROP_PX,
    Cell,
    caption_of,
    models_say,
    paint_cell,
)
from app.panels.gallery_filter import labelled_atypical
from app.panels.gallery_model import FigureList
from app.room import Room
from app.texts import percent
from app.theme import theme_in_use
from app.viewer.colour import ColourSettings
from app.viewer.marks import MarkKind, mark_kinds
from core.errors import PixelSizeError
from core.reading.view import VERDICTS, DeskView

BAR_UM = 10


class GalleryGrid(QAbstractScrollArea):
    """Cells of one size in rows; only the visible ones cost anything.

    Args:
        room: whose selection is shown and set.
        figures: what is listed, in which order.
        loader: of crops.
    """

    def __init__(
        self, room: Room, figures: FigureList, loader: CropLoader, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._room, self._list, self._loader = room, figures, loader
        self._kinds = np.empty(0, np.uint8)
        self._flagged = np.empty(0, bool)
        self._side_um, self._colour = 64.0, ColourSettings()
        self._anchor: int | None = None
        self._top_key: int | None = None
        self._follows = True
        self._pressed: QPoint | None = None
        self._kept: tuple[int, ...] = ()
        self._chosen = frozenset(room.selection)
        self._band = QRubberBand(QRubberBand.Shape.Rectangle, self.viewport())
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setVerticalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOn)
        self.verticalScrollBar().setSingleStep(CELL_H // 3)
        self.viewport().setBackgroundRole(QPalette.ColorRole.Base)
        self.viewport().setAutoFillBackground(True)
        self.verticalScrollBar().valueChanged.connect(self._moved)
        figures.order_changed.connect(self._list_anew)
        figures.states_changed.connect(self._states_changed)
        room.selection_changed.connect(self._selected)
        loader.arrived.connect(self._arrived)
        self._look_anew()

    def set_side_um(self, side_um: float) -> None:
        """Show so much tissue around each figure."""
        self._side_um = side_um
        self._look_anew()

    def set_colour(self, colour: ColourSettings) -> None:
        """Show the crops in these colours."""
        self._colour = colour
        self._look_anew()

    def show_start(self) -> None:
        """Scroll to the current figure, or to the first one if it is not listed."""
        self.verticalScrollBar().setValue(0)
        self._show_current()

    def columns(self) -> int:
        """How many cells stand side by side."""
        return max(1, self.viewport().width() // CELL_W)

    def cell_rect(self, place: int) -> QRect:
        """Where a cell lies in the viewport, whether visible or not."""
        row, column = divmod(place, self.columns())
        return QRect(
            self._left() + column * CELL_W,
            row * CELL_H - self.verticalScrollBar().value(),
            CELL_W,
            CELL_H,
        )

    def place_at(self, point: QPoint) -> int | None:
        """The place in the list of the cell at a point of the viewport."""
        column = (point.x() - self._left()) // CELL_W
        row = (point.y() + self.verticalScrollBar().value()) // CELL_H
        place = row * self.columns() + column
        inside = 0 <= column < self.columns() and 0 <= place < len(self._list.keys)
        return place if inside else None

    def visible_places(self) -> range:
        """Places in the list of the cells on the screen."""
        top = self.verticalScrollBar().value()
        first = top // CELL_H * self.columns()
        last = ((top + self.viewport().height() - 1) // CELL_H + 1) * self.columns()
        return range(first, max(first, min(last, len(self._list.keys))))

    def sizeHint(self) -> QSize:
        """Two columns and a half of a row more than two."""
        return QSize(2 * CELL_W + 24, int(2.5 * CELL_H))

    def minimumSizeHint(self) -> QSize:
        """Two cells side by side: with fewer the controls above have no room either."""
        return QSize(2 * CELL_W + 24, CELL_H)

    # Painting.

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the visible cells."""
        painter = QPainter(self.viewport())
        theme = theme_in_use()
        dirty = event.rect()
        view = self._list.view
        for place in self.visible_places() if view is not None else ():
            rect = self.cell_rect(place)
            if rect.intersects(dirty):
                paint_cell(painter, rect.x(), rect.y(), self._cell(view, place), theme)
        if view is None or not len(self._list.keys):
            painter.setPen(QPen(self.palette().color(QPalette.ColorRole.PlaceholderText)))
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(self.viewport().rect().adjusted(20, 20, -20, -20), flags, self._why())

    def _cell(self, view: DeskView, place: int) -> Cell:
        row, key = int(self._list.rows[place]), int(self._list.keys[place])
        figures = view.figures
        current = self._room.selection[:1] == (key,)
        problem = self._loader.problem(key)
        probability = float(figures.probability[row])
        hidden = view.blinded or np.isnan(probability)
        atypical = bool(self._flagged[row])
        return Cell(
            crop=self._loader.crop(key),
            problem="" if problem is None else self._word(problem),
            kind=MarkKind(int(self._kinds[row])),
            caption=caption_of(
                VERDICTS[figures.verdict[row]], hand_placed=key < 0, atypical=atypical
            ),
            probability="" if hidden else percent(probability),
            disputed=bool(figures.disputed[row]),
            selected=key in self._chosen,
            current=current,
            bar_px=BAR_UM / self._side_um * CROP_PX if current else 0.0,
            bar_text=self.tr("{} µm").format(BAR_UM),
            atypical=atypical,
        )

    def _word(self, problem: Exception) -> str:
        if isinstance(problem, PixelSizeError):
            return self.tr("pixel size unknown")
        return self.tr("damaged")

    def _why(self) -> str:
        view = self._list.view
        if view is None:
            return self.tr("No slide is open.")
        if not len(view.figures):
            return self.tr("No candidates yet. Analyse the slide to find them.")
        return self.tr("No figure fits the filter.")

    # What changes.

    @Slot()
    def _list_anew(self) -> None:
        self._anchor = None
        self._set_kinds()
        top_key, follows = self._top_key, self._follows
        self._set_range()
        if follows or top_key is None:  # a selection may be there before its slide's list
            self._show_current()
        elif top_key is not None and (place := self._list.position(top_key)) is not None:
            # A reader who scrolled away stays there while candidates come in.
            bar = self.verticalScrollBar()
            bar.setValue(place // self.columns() * CELL_H + bar.value() % CELL_H)
        self._note_top()
        self._want()
        self.viewport().update()

    @Slot()
    def _states_changed(self) -> None:
        self._set_kinds()
        self._want()
        self.viewport().update()

    @Slot(object)
    def _selected(self, keys: tuple[int, ...]) -> None:
        self._chosen = frozenset(keys)
        self._show_current()
        self._note_top()
        self._want()
        self.viewport().update()

    @Slot(object)
    def _arrived(self, key: int) -> None:
        place = self._list.position(key)
        if place is not None:
            self.viewport().update(self.cell_rect(place))

    @Slot(int)
    def _moved(self, value: int) -> None:
        self._note_top()
        self._want()
        self.viewport().update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the cells out anew; a current figure in sight stays so, else what was at the top."""
        follows, before = self._follows, max(1, event.oldSize().width() // CELL_W)
        top = self.verticalScrollBar().value() // CELL_H * before
        self._set_range()
        if before != self.columns():
            self.verticalScrollBar().setValue(top // self.columns() * CELL_H)
        if follows:
            self._show_current()
        self._want()

    def event(self, event: QEvent) -> bool:
        """Read crops anew for a screen of another resolution."""
        if event.type() == QEvent.Type.DevicePixelRatioChange:
            self._look_anew()
        return super().event(event)

    def scrollContentsBy(self, dx: int, dy: int) -> None:
        """Nothing to shift: the viewport is painted anew."""

    def _look_anew(self) -> None:
        side_px = round(CROP_PX * self.devicePixelRatioF())
        self._loader.set_look(CropLook(self._side_um, side_px, self._colour))
        self._want()
        self.viewport().update()

    def _set_kinds(self) -> None:
        view = self._list.view
        if view is None:
            self._kinds, self._flagged = np.empty(0, np.uint8), np.empty(0, bool)
        else:
            self._flagged = labelled_atypical(view.figures)
            self._kinds = mark_kinds(
                view.figures, view.review_threshold, view.count_threshold, blinded=view.blinded
            )

    def _set_range(self) -> None:
        rows = -(-len(self._list.keys) // self.columns())
        bar = self.verticalScrollBar()
        bar.setPageStep(self.viewport().height() // CELL_H * CELL_H or CELL_H)
        bar.setRange(0, max(0, rows * CELL_H - self.viewport().height()))

    def _left(self) -> int:
        return max(0, self.viewport().width() - self.columns() * CELL_W) // 2

    def _note_top(self) -> None:
        """Note what is at the top, and whether the current figure is in sight."""
        visible = self.visible_places()
        self._top_key = int(self._list.keys[visible.start]) if len(visible) else None
        selection = self._room.selection
        place = self._list.position(selection[0]) if selection else None
        self._follows = place is not None and place in visible

    def _show_current(self) -> None:
        """Scroll as little as shows the current figure whole, and a part of the next row."""
        selection = self._room.selection
        place = self._list.position(selection[0]) if selection else None
        if place is None:
            return
        top = place // self.columns() * CELL_H
        bar, height = self.verticalScrollBar(), self.viewport().height()
        bottom = top + CELL_H + (CELL_H // 2 if height >= 2 * CELL_H else 0)
        if top < bar.value():
            bar.setValue(top)
        elif bottom > bar.value() + height:
            bar.setValue(min(bottom - height, top))

    def _want(self) -> None:
        """Have crops read: of the current figure, of the next ones, of all visible, of a margin."""
        view = self._list.view
        if view is None:
            return
        visible = self.visible_places() if self.isVisible() else range(0)
        rows = list(dict.fromkeys(self._list.rows_ahead(self._room.selection, visible)))
        figures = view.figures
        keys = figures.key[rows].tolist()
        xs, ys = figures.x0[rows].tolist(), figures.y0[rows].tolist()
        self._loader.want([CropPlace(*at) for at in zip(keys, xs, ys, strict=True)])

    # The mouse.

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Select; with Shift up to here, with Ctrl one more or less."""
        if event.button() is not Qt.MouseButton.LeftButton:
            return
        point = event.position().toPoint()
        self._pressed = point
        held = event.modifiers()
        many = held & (Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier)
        self._kept = self._room.selection if many else ()
        place = self.place_at(point)
        if place is None:
            if not many:
                self._room.select(())
        elif held & Qt.KeyboardModifier.ShiftModifier:
            self._select_to(place)
        elif held & Qt.KeyboardModifier.ControlModifier:
            self._toggle(place)
        else:
            self._anchor = int(self._list.keys[place])
            self._room.select((self._anchor,))

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Draw the rubber band once the mouse has gone far enough."""
        if self._pressed is None:
            return
        point = event.position().toPoint()
        far = (point - self._pressed).manhattanLength() >= QApplication.startDragDistance()
        if far or self._band.isVisible():
            self._band.setGeometry(QRect(self._pressed, point).normalized())
            self._band.show()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Go to the figure clicked, or select what the rubber band touches.

        With Ctrl or Shift what was selected stays so.
        """
        clicked = self._pressed is not None and not self._band.isVisible()
        self._pressed = None
        if clicked and self._room.selection:
            self._room.select(self._room.selection, go=True)
        if self._band.isVisible():
            self._band.hide()
            touched = [
                int(self._list.keys[place])
                for place in self.visible_places()
                if self.cell_rect(place).intersects(self._band.geometry())
            ]
            self._room.select(tuple(dict.fromkeys((*self._kept, *touched))))

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Go to the figure at 40×."""
        place = self.place_at(event.position().toPoint())
        view = self._list.view
        if place is not None and view is not None:
            row = int(self._list.rows[place])
            self._room.go_to(float(view.figures.x0[row]), float(view.figures.y0[row]), 40.0)

    def viewportEvent(self, event: QEvent) -> bool:
        """Tell on hovering why a crop is missing, and what the models say of the figure."""
        if isinstance(event, QHelpEvent):
            place = self.place_at(event.pos())
            text = "" if place is None else self.hint(place)
            QToolTip.showText(event.globalPos(), text, self)
            return True
        return super().viewportEvent(event)

    def hint(self, place: int) -> str:
        """What hovering over the cell at a place of the list tells."""
        view = self._list.view
        problem = self._loader.problem(int(self._list.keys[place]))
        if problem is not None or view is None or view.blinded:
            return "" if problem is None else str(problem)
        return models_say(view.figures, int(self._list.rows[place]))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Page keys, Home and End scroll; arrows are the window's actions."""
        bar = self.verticalScrollBar()
        if event.key() == Qt.Key.Key_Home:
            bar.setValue(0)
        elif event.key() == Qt.Key.Key_End:
            bar.setValue(bar.maximum())
        elif event.key() in (Qt.Key.Key_PageUp, Qt.Key.Key_PageDown):
            super().keyPressEvent(event)
        else:
            event.ignore()

    def _select_to(self, place: int) -> None:
        start = None if self._anchor is None else self._list.position(self._anchor)
        first, last = sorted((place if start is None else start, place))
        key = int(self._list.keys[place])
        others = self._list.keys[first : last + 1].tolist()
        self._room.select((key, *(other for other in others if other != key)))

    def _toggle(self, place: int) -> None:
        key = int(self._list.keys[place])
        self._anchor = key
        rest = tuple(other for other in self._room.selection if other != key)
        self._room.select(rest if key in self._chosen else (key, *rest))
