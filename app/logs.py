"""The desktop's log: one rotating file, Qt's messages in it, slides under their aliases."""

import logging
import logging.handlers
import re
import threading
from pathlib import Path

from PySide6.QtCore import QMessageLogContext, QtMsgType, qInstallMessageHandler

FORMAT = "%(asctime)s %(levelname)s %(threadName)s %(name)s: %(message)s"
MAX_BYTES, BACKUPS = 1_000_000, 5

log = logging.getLogger("qt")

_LEVELS = {
    QtMsgType.QtDebugMsg: logging.DEBUG,
    QtMsgType.QtInfoMsg: logging.INFO,
    QtMsgType.QtWarningMsg: logging.WARNING,
    QtMsgType.QtCriticalMsg: logging.ERROR,
    QtMsgType.QtFatalMsg: logging.CRITICAL,
}


class Aliases(logging.Filter):
    """Replaces the names and paths of slides that have an alias, in messages and tracebacks.

    A handler's filter sees every record that the handler writes, whichever logger it came from.
    """

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()
        self._aliases: dict[str, str] = {}

    def set(self, path: str, alias: str) -> None:
        """From now on write `alias` where `path`, or its file name, would stand."""
        with self._lock:
            for name in filter(None, (path, Path(path).name)):
                self._aliases[name] = alias

    def hidden(self, text: str) -> str:
        """A text without the names that have an alias; the longest name goes first."""
        with self._lock:
            names = sorted(self._aliases, key=len, reverse=True)
            aliases = dict(self._aliases)
        if not names:
            return text
        return re.sub("|".join(map(re.escape, names)), lambda found: aliases[found[0]], text)

    def filter(self, record: logging.LogRecord) -> bool:
        """Rewrite the record's text; all records pass."""
        record.msg, record.args = self.hidden(record.getMessage()), ()
        if record.exc_info:
            text = record.exc_text or logging.Formatter().formatException(record.exc_info)
            record.exc_text = self.hidden(text)
        return True


def start_logging(path: Path) -> tuple[logging.Handler, Aliases, str]:
    """Log to a rotating file from now on, Qt's messages too.

    Args:
        path: of the newest file.

    Returns:
        The handler for `stop_logging`, the aliases, and in plain words why nothing is logged to
        the file; empty when it is.
    """
    aliases, note = Aliases(), ""
    handler: logging.Handler
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handler = logging.handlers.RotatingFileHandler(
            path,
            maxBytes=MAX_BYTES,
            backupCount=BACKUPS,
            encoding="utf-8",
            errors="backslashreplace",
        )
    except OSError as error:
        handler = logging.NullHandler()
        note = f"No log can be written to {path}: {error.strerror}."
    handler.setFormatter(logging.Formatter(FORMAT))
    handler.addFilter(aliases)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    qInstallMessageHandler(_qt_message)
    return handler, aliases, note


def stop_logging(handler: logging.Handler) -> None:
    """Give Qt's messages and the root logger back."""
    qInstallMessageHandler(None)
    logging.getLogger().removeHandler(handler)
    handler.close()


def _qt_message(kind: QtMsgType, _context: QMessageLogContext, text: str) -> None:
    log.log(_LEVELS.get(kind, logging.WARNING), "%s", text)
