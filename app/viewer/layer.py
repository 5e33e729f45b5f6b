"""What the canvas asks of a layer and of a tool, and what they ask of the canvas.

Layers and tools paint in logical screen pixels and touch neither disk nor store.
"""

from typing import Protocol

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeyEvent, QMouseEvent, QPainter

from app.viewer.transform import ViewTransform

#: Shown where a slide's pixel size is unknown, so that marks have a size: the usual 40× scan.
ASSUMED_UM_PER_PX = 0.25


class Layer(Protocol):
    """Something painted over the tiles.

    Attributes:
        name: its id, for keys, settings and the panel.
        visible: whether the canvas paints it.
    """

    name: str
    visible: bool

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint what the transform shows."""
        ...


class Surface(Protocol):
    """What a tool may use of the canvas."""

    @property
    def transform(self) -> ViewTransform:
        """Where the canvas looks."""
        ...

    def update_layers(self) -> None:
        """Paint layers and tool again, soon."""
        ...


class Tool(Protocol):
    """What the mouse and some keys do on the canvas; nothing is sent before it is finished.

    A handler returns whether it took the event; what it leaves, the canvas uses to pan.

    Attributes:
        cursor: shown over the canvas.
    """

    cursor: Qt.CursorShape

    def mouse_pressed(self, event: QMouseEvent, canvas: Surface) -> bool:
        """A button went down."""
        ...

    def mouse_moved(self, event: QMouseEvent, canvas: Surface) -> bool:
        """The mouse moved, with or without a button."""
        ...

    def mouse_released(self, event: QMouseEvent, canvas: Surface) -> bool:
        """A button came up."""
        ...

    def double_clicked(self, event: QMouseEvent, canvas: Surface) -> bool:
        """The second press of a double click."""
        ...

    def key_pressed(self, event: QKeyEvent, canvas: Surface) -> bool:
        """A key went down while the canvas has the focus."""
        ...

    def wants_key(self, event: QKeyEvent) -> bool:
        """Whether the key is the tool's just now, before any shortcut of the window."""
        ...

    def paint(self, painter: QPainter, transform: ViewTransform) -> None:
        """Paint what is being made, above all layers."""
        ...

    def cancelled(self) -> None:
        """Drop what is being made; nothing is sent."""
        ...
