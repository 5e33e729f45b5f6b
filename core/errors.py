"""The two kinds of failure: the world's (`UserError`) and ours (everything else).

A `UserError` is shown in plain words and ends a command with exit status 2. Any other exception is
a bug: it goes to the log with its traceback and is never swallowed.
"""


class UserError(Exception):
    """Something in the world stands in the way: a missing file, no µm/px, a full disk.

    Attributes:
        message: what is wrong, in plain words, without a traceback.
        hint: what the reader can do about it; may be empty.
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message if not hint else f"{message} {hint}")
        self.message = message
        self.hint = hint


class SlideError(UserError):
    """A slide file cannot be opened or read."""


class PixelSizeError(SlideError):
    """A slide's µm per pixel is missing or absurd."""


class RegionError(UserError):
    """A region file or polygon cannot be used on this slide."""


class ProtocolError(UserError):
    """A counting protocol is unknown or ill-formed."""


class StoreError(UserError):
    """The result store cannot be opened, read or written."""


class ModelError(UserError):
    """A model's weights or manifest are missing, damaged or of the wrong kind."""


class DeviceError(UserError):
    """The chosen device does not exist or has no memory left."""


class InputError(UserError):
    """A file or value that was handed in cannot be used."""
