"""The desk: what one reader does on one slide, every act on disk before its view is shown."""

from collections.abc import Sequence
from typing import Literal

import shapely

from core.geometry import Mpp
from core.reading.view import DeskView, Disagreement, Verdict
from core.slides.tissue import Tissue
from core.store import Store


class Desk:
    """One reader's desk on one slide; lives on the desk thread.

    Every method is one or more transactions, on disk when it returns, and gives a fresh view.
    A verdict's view comes with the hot spots as they were (`DeskView.spots_settled` is then False):
    the exact search may take 0.1 s. Call `settle_spots` afterwards, when nothing is waiting.
    """

    def __init__(
        self,
        store: Store,
        slide_id: int,
        reader_id: int,
        *,
        protocol_id: str,
        blinded: bool = False,
    ) -> None:
        raise NotImplementedError

    def view(self) -> DeskView:
        """What the reader sees now."""
        raise NotImplementedError

    def settle_spots(self) -> DeskView:
        """Search the hot spots anew where a verdict changed them."""
        raise NotImplementedError

    def set_tissue(self, tissue: Tissue) -> DeskView:
        """Take the slide's tissue once it is known."""
        raise NotImplementedError

    def use_run(self, run_id: int | None) -> DeskView:
        """Show the candidates of a run; verdicts carry to them."""
        raise NotImplementedError

    def refresh(self) -> DeskView:
        """Take what is new in the store: candidates and windows of a running run, verdicts."""
        raise NotImplementedError

    def give(self, keys: Sequence[int], verdict: Verdict, method: str = "key") -> DeskView:
        """Give one verdict to some figures."""
        raise NotImplementedError

    def clear(self, keys: Sequence[int]) -> DeskView:
        """Take this reader's verdicts of some figures away."""
        raise NotImplementedError

    def place(self, x0: float, y0: float, verdict: Verdict = "mitosis") -> DeskView:
        """Place a point by hand; within 7.5 µm of a figure it is that figure."""
        raise NotImplementedError

    def join(self, keys: Sequence[int]) -> DeskView:
        """Count some figures as one: the first stays, the others are deleted."""
        raise NotImplementedError

    def field_done(self) -> DeskView:
        """Call the rest of the field imposters, once all above the review threshold is said."""
        raise NotImplementedError

    def undo(self) -> DeskView:
        """Take back this reader's newest action on this slide."""
        raise NotImplementedError

    def redo(self) -> DeskView:
        """Bring back what was undone last."""
        raise NotImplementedError

    def draw_region(
        self,
        kind: Literal["tumour", "excluded"],
        polygon0: shapely.Polygon,
        lineage: str = "",
    ) -> DeskView:
        """Draw a region, or a newer version of one."""
        raise NotImplementedError

    def delete_region(self, lineage: str) -> DeskView:
        """Delete a region; its versions stay."""
        raise NotImplementedError

    def exclude_piece(self, index: int, excluded: bool) -> DeskView:
        """Exclude a piece of tissue, or take it in again."""
        raise NotImplementedError

    def set_all_tissue_is_tumour(self, value: bool) -> DeskView:
        """Record that no tumour region is needed."""
        raise NotImplementedError

    def set_protocol(self, protocol_id: str) -> DeskView:
        """Count by another rule."""
        raise NotImplementedError

    def set_mpp(self, mpp: Mpp, origin: str) -> DeskView:
        """Set the slide's pixel size."""
        raise NotImplementedError

    def set_reader(self, reader_id: int, blinded: bool) -> DeskView:
        """Let another reader sit down."""
        raise NotImplementedError

    def move_area(
        self,
        centre0: tuple[float, float],
        *,
        angle_deg: float = 0.0,
        width_um: float | None = None,
        height_um: float | None = None,
        kind: Literal["rectangle", "circle"] | None = None,
        unlocked: bool = False,
    ) -> DeskView:
        """Put the count area somewhere, which accepts it."""
        raise NotImplementedError

    def accept_spot(self, index: int) -> DeskView:
        """Put the count area on one of the hot spots."""
        raise NotImplementedError

    def use_proposal(self) -> DeskView:
        """Let the count area follow the best place again."""
        raise NotImplementedError

    def acknowledge_blur(self) -> DeskView:
        """Record that the reader saw that parts of the count area are out of focus."""
        raise NotImplementedError

    def sign(self) -> DeskView:
        """Freeze the count with its origin."""
        raise NotImplementedError

    def reopen(self, reason: str) -> DeskView:
        """Take the signature back."""
        raise NotImplementedError

    def disagreements(self) -> tuple[Disagreement, ...]:
        """The figures on which readers differ and that are not settled."""
        raise NotImplementedError

    def settle(self, keys: Sequence[int], verdict: Verdict) -> DeskView:
        """Record what readers agreed on; it stands beside what each of them said."""
        raise NotImplementedError
