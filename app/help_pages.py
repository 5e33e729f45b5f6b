"""The pages of the daily workflow and their pictures, as they lie in resources/help."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from PySide6.QtGui import QImage

from app.actions import BY_ID
from core.errors import UserError

#: The pages in the order in which they are listed; each is a file of that name.
TOPICS = ("open", "tumour", "review", "count", "second-reader", "report", "adapt", "trouble")

_HEADING = re.compile(r"<h1>(.*?)</h1>", re.DOTALL)
_KEY = re.compile(r"\{([a-z0-9_.]+)\}")


@dataclass(frozen=True, slots=True)
class HelpPages:
    """What help shows.

    Attributes:
        html: by topic; keys stand in it as `{action id}`.
        pictures: by file name.
    """

    html: Mapping[str, str]
    pictures: Mapping[str, QImage]

    def title(self, topic: str) -> str:
        """The heading of a page."""
        found = _HEADING.search(self.html[topic])
        return found[1].strip() if found else topic


def help_folder() -> Path:
    """Where pages lie; their pictures in `pictures`."""
    return Path(str(files("resources"))) / "help"


def read_pages() -> HelpPages:
    """Read all pages and pictures; for a work thread.

    Raises:
        UserError: a page is missing.
    """
    folder = help_folder()
    try:
        html = {topic: (folder / f"{topic}.html").read_text(encoding="utf-8") for topic in TOPICS}
    except OSError as error:
        raise UserError(
            f"A page of the help cannot be read: {error.strerror}.", "Install Mitoscope again."
        ) from error
    pictures = {path.name: QImage(str(path)) for path in sorted(folder.glob("pictures/*.png"))}
    return HelpPages(html, pictures)


def with_keys(html: str, shown: Callable[[str], str]) -> str:
    """A page with the reader's own keys in place of ids of actions.

    Args:
        html: of the page.
        shown: gives the key of an action, empty without one.
    """

    def key(found: re.Match[str]) -> str:
        spec = BY_ID[found[1]]
        text = shown(spec.id).replace("&", "&amp;").replace("<", "&lt;")
        return f'<span class="key">&nbsp;{text or spec.title()}&nbsp;</span>'

    return _KEY.sub(key, html)
