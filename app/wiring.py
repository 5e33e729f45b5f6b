"""Which action does what in the window."""

from functools import partial
from typing import TYPE_CHECKING

from PySide6.QtCore import QObject, Qt, Slot
from PySide6.QtGui import QActionGroup
from PySide6.QtWidgets import QApplication, QInputDialog, QPushButton

from app.actions import BY_ID
from app.notes import Note
from app.panels.keys import KeySheet
from app.viewer.associated import AssociatedView

if TYPE_CHECKING:
    from app.window import Window

#: Part of the view that an arrow key moves, logical pixels.
PAN_PX = 120.0
TURN_DEG = 15.0
_MAGNIFICATIONS = {
    "view.mag_2_5": 2.5,
    "view.mag_5": 5.0,
    "view.mag_10": 10.0,
    "view.mag_20": 20.0,
    "view.mag_40": 40.0,
}
_PANS = {
    "view.pan_left": (-PAN_PX, 0.0),
    "view.pan_right": (PAN_PX, 0.0),
    "view.pan_up": (0.0, -PAN_PX),
    "view.pan_down": (0.0, PAN_PX),
}
_LAYERS = {
    "layer.tissue": "tissue",
    "layer.regions": "regions",
    "layer.figures": "candidates",
    "layer.area": "count_area",
    "layer.spots": "hot_spots",
    "layer.density": "density",
    "layer.fields": "fields",
    "layer.viewed": "viewed",
}


def wire(window: "Window") -> None:
    """Connect the window's actions; lives as long as the window."""
    Wiring(window)


class Wiring(QObject):
    """Connects actions to viewer, tools, layers and slides.

    Args:
        window: whose actions.
    """

    def __init__(self, window: "Window") -> None:
        super().__init__(window)
        self._window = window
        self._actions = window.actions_by_id
        self._label: AssociatedView | None = None
        self._offer: Note | None = None
        self._exchanged: Note | None = None
        window.exchange.finished.connect(self._show_exchanged)
        window.reports.finished.connect(self._withdraw_offer)
        window.room.slide_closing.connect(self._slide_closing)
        window.slides.listed.connect(window.count.place.case.show_cases)
        window.reviewer.connect_to(self._actions)
        window.reviewer.in_sight = self._in_sight
        self._actions.add_to(window.gallery.grid, "gallery")
        window.gallery.set_colour(window.viewing.canvas.colour)
        window.viewing.canvas.colour_changed.connect(window.gallery.set_colour)
        self._actions.add_to(window.viewing.canvas, "viewer")
        self._wire_view()
        self._wire_tools()
        self._wire_layers()
        on = self._actions
        on["file.open"].triggered.connect(window.choose_slides)
        on["slide.next"].triggered.connect(self._next_slide)
        on["slide.previous"].triggered.connect(self._previous_slide)
        on["count.sign"].triggered.connect(self._sign)
        on["file.report"].triggered.connect(window.reports.ask)
        on["file.export"].triggered.connect(window.exchange.ask_export)
        on["file.import"].triggered.connect(window.exchange.ask_import)
        window.reports.offered.connect(self._offer_report)
        on["slide.label"].triggered.connect(self._show_label)
        on["help.keys"].triggered.connect(self._show_keys)
        on["analysis.start"].triggered.connect(self._analyse)

    # The view.

    def _wire_view(self) -> None:
        canvas, on = self._window.viewing.canvas, self._actions
        on["view.fit"].triggered.connect(canvas.fit)
        on["view.zoom_in"].triggered.connect(canvas.zoom_in)
        on["view.zoom_out"].triggered.connect(canvas.zoom_out)
        for id_, magnification in _MAGNIFICATIONS.items():
            on[id_].triggered.connect(partial(self._magnify, magnification))
        for id_, (dx, dy) in _PANS.items():
            on[id_].triggered.connect(partial(self._pan, dx, dy))
        on["view.rotate_cw"].triggered.connect(partial(self._turn, TURN_DEG))
        on["view.rotate_ccw"].triggered.connect(partial(self._turn, -TURN_DEG))
        on["view.goto"].triggered.connect(self._go_to)
        on["view.full_screen"].toggled.connect(self._full_screen)

    def _magnify(self, magnification: float, _checked: bool = False) -> None:
        self._window.viewing.canvas.set_magnification(magnification)

    def _pan(self, dx: float, dy: float, _checked: bool = False) -> None:
        self._window.viewing.canvas.pan_by(dx, dy)

    def _turn(self, deg: float, _checked: bool = False) -> None:
        self._window.viewing.canvas.rotate(deg)

    @Slot(bool)
    def _full_screen(self, full: bool) -> None:
        if full:
            self._window.showFullScreen()
        else:
            self._window.showNormal()

    @Slot()
    def _go_to(self) -> None:
        room = self._window.room
        if room.opened is None:
            return
        mpp = room.opened.slide.mpp
        unit = self.tr("µm") if mpp is not None else self.tr("pixels")
        text, good = QInputDialog.getText(
            self._window, self.tr("Go to a place"), self.tr("x and y in {0}").format(unit)
        )
        place = parse_place(text) if good else None
        if place is not None:
            x, y = place
            room.go_to(x / mpp.x if mpp else x, y / mpp.y if mpp else y)

    # Tools and layers.

    def _wire_tools(self) -> None:
        toolbox = self._window.viewing.toolbox
        group = QActionGroup(self)
        # A tool without a key of its own (editing a region) leaves no button pressed.
        group.setExclusionPolicy(QActionGroup.ExclusionPolicy.ExclusiveOptional)
        for name in toolbox.names:
            if f"tool.{name}" in BY_ID:
                action = self._actions[f"tool.{name}"]
                group.addAction(action)
                action.triggered.connect(partial(self._use_tool, name))
        toolbox.tool_changed.connect(self._tool_changed)
        self._tool_changed(toolbox.name)

    def _use_tool(self, name: str, _checked: bool = False) -> None:
        self._window.viewing.toolbox.use(name)
        self._tool_changed(name)

    @Slot(str)
    def _tool_changed(self, name: str) -> None:
        for other in self._window.viewing.toolbox.names:
            if f"tool.{other}" in BY_ID:
                self._actions[f"tool.{other}"].setChecked(other == name)

    def _wire_layers(self) -> None:
        stack = self._window.viewing.layers
        for id_, name in _LAYERS.items():
            action = self._actions[id_]
            action.setChecked(stack.layer(name).visible)
            action.triggered.connect(partial(stack.set_visible, name))
        stack.visibility_changed.connect(self._layer_shown)

    @Slot(str)
    def _layer_shown(self, name: str) -> None:
        for id_, layer in _LAYERS.items():
            if layer == name:
                visible = self._window.viewing.layers.layer(name).visible
                self._actions[id_].setChecked(visible)

    def _in_sight(self, key: int) -> bool:
        """Whether a figure is seen: in the viewer, or as a crop where the gallery is in use."""
        window = self._window
        view, canvas, gallery = window.room.view, window.viewing.canvas, window.gallery
        row = None if view is None else view.figures.row(key)
        if view is None or row is None:
            return False
        x, y = canvas.transform.to_screen(float(view.figures.x0[row]), float(view.figures.y0[row]))
        if canvas.rect().contains(int(x), int(y)):
            return True
        place = window.figures.position(key)
        if place is None or not gallery.isAncestorOf(QApplication.focusWidget()):
            return False
        grid = gallery.grid
        return grid.viewport().rect().contains(grid.cell_rect(place).center())

    # Slides, keys.

    @Slot(bool)
    def _show_label(self, shown: bool) -> None:
        """The label and macro image, only while somebody wants them."""
        if self._label is not None:
            self._label.close()
        opened = self._window.room.opened
        if shown and opened is not None:
            self._label = AssociatedView(opened, self._window.room.io, self._window)
            self._label.finished.connect(self._label_gone)
            self._label.show()
        self._actions["slide.label"].setChecked(self._label is not None)

    @Slot()
    def _label_gone(self) -> None:
        self._label = None
        self._actions["slide.label"].setChecked(False)

    @Slot(bool)
    def _offer_report(self, signed: bool) -> None:
        """Say that the count was signed, with a button for its report."""
        self._withdraw_offer()
        if not signed:
            return
        self._offer = self._window.viewing.notes.add(Note("good", self.tr("The count is signed.")))
        button = QPushButton(self.tr("Report…"))
        button.clicked.connect(self._window.reports.ask)
        self._offer.row.insertWidget(1, button)

    @Slot()
    def _withdraw_offer(self) -> None:
        if self._offer is not None:
            self._window.viewing.notes.remove(self._offer)
            self._offer = None

    @Slot(str)
    def _show_exchanged(self, text: str) -> None:
        """Say what left or entered, until the next time or another slide."""
        self._withdraw_exchanged()
        self._exchanged = self._window.viewing.notes.add(Note("good", text))

    def _withdraw_exchanged(self) -> None:
        if self._exchanged is not None:
            self._window.viewing.notes.remove(self._exchanged)
            self._exchanged = None

    @Slot()
    def _slide_closing(self) -> None:
        self._withdraw_offer()
        self._withdraw_exchanged()
        if self._label is not None:
            self._label.close()

    @Slot()
    def _sign(self) -> None:
        """Sign, or say what is in the way."""
        self._window.docks.show("count")
        view = self._window.room.view
        blockers = view.count.blockers if view is not None and view.count is not None else ()
        if blockers:
            self._window.status.say(blockers[0].text)
        self._window.count.sign()

    @Slot()
    def _analyse(self) -> None:
        """Analyse the slide, and show how far that is."""
        self._window.docks.show("analysis")
        self._window.analysis.start()

    @Slot()
    def _show_keys(self) -> None:
        sheet = KeySheet(self._window.keymap, self._window)
        sheet.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        sheet.open()

    @Slot()
    def _next_slide(self) -> None:
        self._window.room.open_next(1)

    @Slot()
    def _previous_slide(self) -> None:
        self._window.room.open_next(-1)


def parse_place(text: str) -> tuple[float, float] | None:
    """Two numbers with anything between them; None where there are not two."""
    parts = text.replace(";", " ").replace(", ", " ").split()
    if len(parts) == 1:
        parts = text.split(",")
    try:
        x, y = (float(part.replace(",", ".")) for part in parts)
    except ValueError:
        return None
    return x, y
