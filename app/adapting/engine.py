"""Adapting from labels to a compared and saved adapter.

Imports torch: import it on the worker thread only; the dataclasses lie in `app.adapting.request`.
"""

from app.adapting.request import AdaptReport, AdaptRequest, ProgressListener
from core.cancel import CancelToken


def adapt(request: AdaptRequest, *, token: CancelToken, progress: ProgressListener) -> AdaptReport:
    """Cross-validate by slide, compare with the current model, train on everything, save.

    Args:
        request: what is asked for.
        token: cancels; the same request goes on where it stopped.
        progress: told on the thread of the caller.

    Raises:
        InputError: the source cannot be used: unreadable, one class only, too few labels.
        ModelError: the backbone or the current adapter cannot be loaded.
        Cancelled: as asked.
    """
    raise NotImplementedError
