"""A desk reads the store before it acts: other windows may have signed or moved something."""

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from core.reading.state import DeskState

Desk = TypeVar("Desk", bound="DeskState")
Rest = ParamSpec("Rest")
Answer = TypeVar("Answer")


def up_to_date(
    method: Callable[Concatenate[Desk, Rest], Answer],
) -> Callable[Concatenate[Desk, Rest], Answer]:
    """Read what was stored since before the method judges whether it may change something.

    Without it a count that another window signed a moment ago would not be guarded.
    """

    @wraps(method)
    def current(desk: Desk, /, *args: Rest.args, **kwargs: Rest.kwargs) -> Answer:
        desk.catch_up()
        return method(desk, *args, **kwargs)

    return current
