"""All layers of the viewer in the order in which they are painted, and what they show."""

import shapely
from PySide6.QtCore import QCoreApplication, QObject, Signal, Slot

from app.bridge import WorkThread
from app.room import Room
from app.theme import MARKS
from app.viewer.areas import CountAreaLayer, FieldLayer, HotSpotLayer
from app.viewer.candidates import CandidateLayer
from app.viewer.layer import ASSUMED_UM_PER_PX, Layer
from app.viewer.outlines import Outline, OutlineLayer, Style
from app.viewer.pictures import DensityLayer, ViewedLayer
from core.reading.pieces import PIECE
from core.reading.view import DeskView
from core.slides.tissue import CELL_UM
from core.store.records import RegionRecord

_TISSUE = Style(MARKS.tissue, 1.0, cased=False)
_PIECE_EXCLUDED = Style(MARKS.excluded, 1.0, cased=False, hatched=True)
_TUMOUR = Style(MARKS.tumour, 2.0)
_EXCLUDED = Style(MARKS.excluded, 2.0, hatched=True)
_FAILED = Style(MARKS.excluded, 1.0, cased=False, hatched=True, fill_alpha=24)
_BLURRED = Style(MARKS.unsure, 1.0, cased=False, hatched=True)
_BLUR_KNOWN = Style(MARKS.unsure, 1.0, cased=False)


def drawn_regions(view: DeskView) -> tuple[RegionRecord, ...]:
    """The regions that a reader drew; pieces excluded as a whole are the tissue layer's."""
    return tuple(
        region
        for region in view.regions
        if region.kind in ("tumour", "excluded") and PIECE not in region.properties
    )


class TissueLayer(OutlineLayer):
    """Pieces of tissue; those that are excluded are hatched."""

    def __init__(self) -> None:
        super().__init__("tissue")
        self._shown: list[tuple[shapely.Polygon, bool]] = []

    def set_view(self, view: DeskView | None) -> None:
        """Show a view's pieces."""
        new = [(p.polygon0, p.excluded) for p in view.pieces] if view is not None else []
        # By identity: comparing outlines of thousands of corners after every verdict is slow.
        if [(id(p), out) for p, out in new] != [(id(p), out) for p, out in self._shown]:
            self._shown = new
            # The tissue is known in cells: their stairs are not the tissue's border.
            mpp = view.mpp.mean if view is not None and view.mpp is not None else ASSUMED_UM_PER_PX
            coarse0 = 0.75 * CELL_UM / mpp
            styles = {True: _PIECE_EXCLUDED, False: _TISSUE}
            self.set_outlines([Outline(p, styles[out], coarse0=coarse0) for p, out in new])


class RegionLayer(OutlineLayer):
    """Tumour and excluded regions with their names."""

    def __init__(self) -> None:
        super().__init__("regions")
        self._view: DeskView | None = None
        self._shown: list[tuple[str, int]] = []
        self._hidden = ""

    def hide(self, lineage: str) -> None:
        """Leave a region out while a tool paints it; an empty text shows all."""
        if lineage != self._hidden:
            self._hidden = lineage
            self.set_view(self._view)

    def set_view(self, view: DeskView | None) -> None:
        """Show a view's regions."""
        self._view = view
        drawn = drawn_regions(view) if view is not None else ()
        regions = [region for region in drawn if region.lineage != self._hidden]
        new = [(region.lineage, region.version) for region in regions]
        if new == self._shown:
            return
        self._shown = new
        names = {
            "tumour": QCoreApplication.translate("layers", "tumour"),
            "excluded": QCoreApplication.translate("layers", "excluded"),
        }
        self.set_outlines(
            [
                Outline(
                    shapely.from_wkb(region.wkb),
                    _TUMOUR if region.kind == "tumour" else _EXCLUDED,
                    str(region.properties.get("name") or names[region.kind]),
                )
                for region in regions
            ]
        )


class ProblemLayer(OutlineLayer):
    """Windows that could not be read, and those out of focus, hatched."""

    def __init__(self) -> None:
        super().__init__("problems")
        self._shown: tuple[object, ...] = ()

    def set_view(self, view: DeskView | None) -> None:
        """Show a view's failed and blurred windows."""
        failed = view.failed_windows0 if view is not None else ()
        blurred = view.blurred_windows0 if view is not None else ()
        known = view is not None and view.blur_acknowledged
        new = (failed, blurred, known)
        if self._shown and new[0] is self._shown[0] and new[1:] == self._shown[1:]:
            return
        self._shown = new
        blur = _BLUR_KNOWN if known else _BLURRED
        self.set_outlines(
            [Outline(window, style) for window, style in _joined(failed, blurred, blur)]
        )


class LayerStack(QObject):
    """The layers, from the lowest to the highest; lives in the GUI thread.

    Args:
        thread: where the density map is made.
        parent: of the object.

    Signals:
        changed: something looks different: paint again.
        visibility_changed: the name of a layer that was shown or hidden.
    """

    changed = Signal()
    visibility_changed = Signal(str)

    def __init__(self, thread: WorkThread, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.density = DensityLayer(thread, self.changed.emit)
        self.viewed = ViewedLayer()
        self.problems = ProblemLayer()
        self.tissue = TissueLayer()
        self.regions = RegionLayer()
        self.fields = FieldLayer()
        self.hot_spots = HotSpotLayer()
        self.count_area = CountAreaLayer()
        self.candidates = CandidateLayer()
        self._viewed_by_desk = (
            self.density,
            self.problems,
            self.tissue,
            self.count_area,
            self.regions,
            self.fields,
            self.hot_spots,
            self.candidates,
        )

    def follow(self, room: Room) -> None:
        """Show what a room has open and selected, from now on."""
        room.view_changed.connect(self.set_view)
        room.selection_changed.connect(self.set_selection)
        room.slide_closing.connect(self.clear)

    @property
    def layers(self) -> list[Layer]:
        """All layers in the order in which they are painted."""
        return [self.density, self.viewed, *self._viewed_by_desk[1:]]

    def layer(self, name: str) -> Layer:
        """The layer of a name; KeyError if there is none."""
        return {layer.name: layer for layer in self.layers}[name]

    @Slot(object)
    def set_view(self, view: DeskView | None) -> None:
        """Show a view of the desk; None when the slide closes."""
        for layer in self._viewed_by_desk:
            layer.set_view(view)
        if view is None:
            self.viewed.set_viewed(None, None)
            self.candidates.set_selection(())
        self.changed.emit()

    @Slot(object)
    def clear(self, _closing: object = None) -> None:
        """Show nothing: the slide closes."""
        self.set_view(None)

    @Slot(object)
    def set_selection(self, keys: tuple[int, ...]) -> None:
        """Show these figures as selected, the first as the current one."""
        self.candidates.set_selection(keys)
        self.changed.emit()

    def set_visible(self, name: str, visible: bool) -> None:
        """Show or hide a layer."""
        layer = self.layer(name)
        if layer.visible == visible:
            return
        layer.visible = visible
        self.density.make_if_shown()
        self.visibility_changed.emit(name)
        self.changed.emit()

    def set_density_opacity(self, opacity: float) -> None:
        """How strongly the density covers the tissue, 0 to 1."""
        self.density.opacity = opacity
        self.changed.emit()


def _joined(
    failed: tuple[shapely.Polygon, ...], blurred: tuple[shapely.Polygon, ...], blur: Style
) -> list[tuple[shapely.Geometry, Style]]:
    """Windows that touch become one: no grid of lines inside them."""
    windows = ((blurred, blur), (failed, _FAILED))
    return [(shapely.union_all(of), style) for of, style in windows if of]
