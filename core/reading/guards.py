"""What a signed count forbids: changing what it rests on before it is reopened."""

from collections.abc import Iterable, Sequence

import shapely

from core.errors import InputError
from core.reading.ledger import Ledger
from core.reading.undo import Contents
from core.store import CountRecord


def guard_places(
    ledger: Ledger, places0: Iterable[tuple[float, float]], reader_id: int | None
) -> None:
    """Refuse verdicts of places in a signed count area.

    Args:
        ledger: up to date.
        places0: (x0, y0) of the figures, level-0 pixels.
        reader_id: whose signed counts; None for everybody's, as a consensus counts for all.

    Raises:
        InputError: a signed count rests on one of them.
    """
    signed, places = ledger.signed(reader_id), list(places0)
    if not signed or not places:
        return
    points = shapely.points(places)
    for count in signed:
        versions = [r for r in ledger.region_versions if r.id == count.region_id]
        # Without a region all tissue was counted; with the whole tumour's, also figures beside it.
        whole = not versions or count.details.get("area", {}).get("shape") == "tissue"
        if whole or shapely.intersects(shapely.from_wkb(versions[0].wkb), points).any():
            _refuse(ledger, count)


def guard_slide(ledger: Ledger, reader_id: int | None) -> None:
    """Refuse to change regions or pixel size under a signed count.

    Raises:
        InputError: there is one, of this reader or (None) of anybody.
    """
    for count in ledger.signed(reader_id):
        _refuse(ledger, count)


def guard_area(ledger: Ledger, reader_id: int, protocol_id: str) -> None:
    """Refuse to move a signed count area.

    Raises:
        InputError: this reader signed a count by this protocol.
    """
    for count in ledger.signed(reader_id):
        if count.protocol == protocol_id:
            _refuse(ledger, count)


def guard_undo(ledger: Ledger, reader_id: int, made: Contents) -> None:
    """Refuse to take back what a signed count rests on.

    Raises:
        InputError: one does.
    """
    consensus = any(verdict.consensus for verdict in made.verdicts)
    places = [ledger.points[verdict.point_id] for verdict in made.verdicts]
    guard_places(ledger, places, None if consensus else reader_id)
    areas = [region for region in made.regions if region.kind == "count_area"]
    for area in areas:
        guard_area(ledger, reader_id, str(area.properties.get("protocol", "")))
    if any(said.kind == "blur" for said in made.acknowledgements):
        guard_slide(ledger, reader_id)
    shared: Sequence[object] = [
        *made.calibrations,
        *(region for region in made.regions if region.kind != "count_area"),
        *(said for said in made.acknowledgements if said.kind == "all tissue is tumour"),
    ]
    if shared:
        guard_slide(ledger, None)


def _refuse(ledger: Ledger, count: CountRecord) -> None:
    reader = ledger.readers.get(count.reader_id or 0)
    whose = f" by {reader.name}" if reader else ""
    raise InputError(
        f"The count is signed{whose}, and rests on this.", "Reopen the count to change it."
    )
