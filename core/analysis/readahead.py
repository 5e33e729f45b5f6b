"""Reading ahead on threads while the calling thread computes: in order, bounded, cancellable."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, wait
from typing import TypeVar

from core.cancel import CancelToken

Item = TypeVar("Item")
Result = TypeVar("Result")

# A waiting thread is woken by what it waits for; only a cancel is noticed this late.
CANCEL_CHECK_S = 0.1


def wait_for(future: "Future[Result]", token: CancelToken) -> Result:
    """The result of a future.

    Raises:
        Cancelled: the token was cancelled before there was a result.
    """
    while not wait([future], timeout=CANCEL_CHECK_S).done:
        token.check()
    return future.result()


def read_ahead(
    pool: Executor,
    read: Callable[[Item], Result],
    items: Iterable[Item],
    depth: int,
    token: CancelToken,
) -> Iterator[Result]:
    """Results of `read` in the order of the items, at most `depth` of them started or waiting.

    Whoever takes the results decides the pace: when it is slow, the readers wait. Leaving the
    loop early drops what was not started.

    Raises:
        Cancelled: the token was cancelled.
    """
    waiting: deque[Future[Result]] = deque()
    source = iter(items)
    try:
        while True:
            while len(waiting) < depth:
                item = next(source, None)
                if item is None:
                    break
                waiting.append(pool.submit(read, item))
            if not waiting:
                return
            token.check()
            yield wait_for(waiting.popleft(), token)
    finally:
        for future in waiting:
            future.cancel()
