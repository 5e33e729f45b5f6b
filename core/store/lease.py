"""The lease that keeps two processes off one detection set: host, pid and heartbeat."""

import threading
import time
import uuid
from dataclasses import dataclass, field
from os import getpid

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects.sqlite import insert

from core.errors import StoreError
from core.store.host import host_name, process_alive
from core.store.run_schema import LeaseRow

BEAT_S = 15.0
# A holder that missed eight beats is gone or asleep; it finds its lease lost when it comes back.
EXPIRED_S = 120.0

_live_tokens: set[str] = set()
_live_lock = threading.Lock()


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds leases: one opening of a store in one process."""

    token: str = field(default_factory=lambda: uuid.uuid4().hex)
    host: str = field(default_factory=host_name)
    pid: int = field(default_factory=getpid)

    def begin(self) -> None:
        """Note that this holder lives; other stores of this process can see it."""
        with _live_lock:
            _live_tokens.add(self.token)

    def end(self) -> None:
        """Note that this holder is gone."""
        with _live_lock:
            _live_tokens.discard(self.token)


def holder_lives(token: str, host: str, pid: int) -> bool | None:
    """Whether a holder's process still runs; None when it cannot be told from here."""
    if host != host_name():
        return None
    if pid == getpid():
        with _live_lock:
            return token in _live_tokens
    return process_alive(pid)


def is_held(token: str, host: str, pid: int, heartbeat_s: float) -> bool:
    """Whether a lease's holder may still be at work; `heartbeat_s` in seconds since the epoch."""
    return holder_lives(token, host, pid) is not False and time.time() - heartbeat_s < EXPIRED_S


def take(connection: Connection, detection_set_id: int, run_id: int, holder: Holder) -> None:
    """Take a detection set's lease: free, ours already, or left behind by a dead process.

    Raises:
        StoreError: another living process holds it.
    """
    held = connection.execute(
        select(*LeaseRow.__table__.columns).where(LeaseRow.detection_set_id == detection_set_id)
    ).first()
    if held is not None and held.token != holder.token:
        age_s = time.time() - held.heartbeat_s
        if is_held(held.token, held.host, held.pid, held.heartbeat_s):
            host = held.host.split(" ")[0]
            raise StoreError(
                f"Another process (pid {held.pid} on {host}) is analysing this slide.",
                "Wait until it has finished, or stop it and run the same command again. "
                f"If it is gone already, the run is free {EXPIRED_S - age_s:.0f} s from now.",
            )
    values = {
        "run_id": run_id,
        "token": holder.token,
        "host": holder.host,
        "pid": holder.pid,
        "heartbeat_s": time.time(),
    }
    statement = insert(LeaseRow).values(detection_set_id=detection_set_id, **values)
    connection.execute(
        statement.on_conflict_do_update(index_elements=["detection_set_id"], set_=values)
    )


def check(connection: Connection, detection_set_id: int, holder: Holder) -> None:
    """Make sure, inside a writing transaction, that the lease is still ours; renews it.

    Raises:
        StoreError: it was lost, for instance while the computer slept.
    """
    renewed = connection.execute(
        update(LeaseRow)
        .where(LeaseRow.detection_set_id == detection_set_id, LeaseRow.token == holder.token)
        .values(heartbeat_s=time.time())
    )
    if renewed.rowcount != 1:
        raise StoreError(
            "This run was taken over by another process, or was ended.",
            "What was saved is kept. Run the same command again to go on.",
        )


def beat(connection: Connection, holder: Holder) -> None:
    """Renew every lease of a holder."""
    connection.execute(
        update(LeaseRow).where(LeaseRow.token == holder.token).values(heartbeat_s=time.time())
    )


def give_back(connection: Connection, holder: Holder, detection_set_id: int | None = None) -> None:
    """Give back one lease of a holder, or all of them."""
    statement = delete(LeaseRow).where(LeaseRow.token == holder.token)
    if detection_set_id is not None:
        statement = statement.where(LeaseRow.detection_set_id == detection_set_id)
    connection.execute(statement)
