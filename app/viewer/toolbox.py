"""All tools of the viewer by name, one of them in hand."""

from PySide6.QtCore import QObject, QPointF, Signal, Slot
from PySide6.QtWidgets import QWidget

from app.room import Room
from app.viewer.area_tool import AreaTool
from app.viewer.canvas import Canvas
from app.viewer.edit_tool import RegionEditTool
from app.viewer.layers import LayerStack
from app.viewer.region_tools import PolygonTool, RectangleTool, RegionDrawn
from app.viewer.ruler import CalibrateTool, RulerTool
from app.viewer.tools import AddMitosisTool, BaseTool, SelectTool


class Toolbox(QObject):
    """Makes the tools and puts one of them in the canvas's hand.

    Args:
        room: what is open, and its desk.
        stack: the layers; the canvas shows them from now on.
        canvas: where the tools work.
        window: over which tools ask.

    Signals:
        tool_changed: the name of the tool in hand.
    """

    tool_changed = Signal(str)

    def __init__(
        self, room: Room, stack: LayerStack, canvas: Canvas, window: QWidget | None = None
    ) -> None:
        super().__init__(canvas)
        self._canvas = canvas
        self.select = SelectTool(room, stack.candidates, self)
        self.add_mitosis = AddMitosisTool(room, self)
        self.polygon = PolygonTool(room, self)
        self.rectangle = RectangleTool(room, self)
        self.edit = RegionEditTool(room, stack.regions, self)
        self.area = AreaTool(room, stack.count_area, self)
        self.ruler = RulerTool(room, self)
        self.calibrate = CalibrateTool(room, window or canvas, self)
        self._tools: dict[str, BaseTool] = {
            "select": self.select,
            "add_mitosis": self.add_mitosis,
            "polygon": self.polygon,
            "rectangle": self.rectangle,
            "edit": self.edit,
            "area": self.area,
            "ruler": self.ruler,
            "calibrate": self.calibrate,
        }
        self.name = ""
        canvas.layers = stack.layers
        stack.changed.connect(canvas.update_layers)
        canvas.hovered0.connect(self._hovered)
        self.select.double_click_at.connect(self._edit_at)
        self.calibrate.calibrated.connect(self._put_away)
        self.use("select")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tools: the parts after `tool.` in the names of the actions."""
        return tuple(self._tools)

    @Slot(str)
    def use(self, name: str) -> None:
        """Take a tool; what another one was making is dropped."""
        if name != self.name:
            self.name = name
            self._canvas.set_tool(self._tools[name])
            self.tool_changed.emit(name)

    def set_region_kind(self, kind: RegionDrawn) -> None:
        """What polygon and rectangle draw from now on."""
        self.polygon.kind = self.rectangle.kind = kind
        self._canvas.update_layers()

    @Slot(object)
    def _hovered(self, place0: tuple[float, float] | None) -> None:
        if place0 is None:
            self._tools[self.name].left()

    @Slot()
    def _put_away(self) -> None:
        """Calibrate once: the next drag would set another pixel size."""
        self.use("select")

    @Slot(QPointF)
    def _edit_at(self, at: QPointF) -> None:
        region = self.edit.pick(at.x(), at.y(), self._canvas.transform, edge_only=True)
        if region is not None:
            self.use("edit")
            self.edit.edit(region)
