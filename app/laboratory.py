"""The laboratory's rules where this computer has them, and what follows for stores and rules."""

from functools import cache
from pathlib import Path

from app.paths import default_store, laboratory_file
from core.errors import InputError, StoreError
from core.laboratory import Laboratory, load_laboratory
from core.store import StoredSlide


@cache
def laboratory() -> Laboratory:
    """The rules of this computer's laboratory file, read once.

    Raises:
        InputError: the file cannot be used.
    """
    return load_laboratory(laboratory_file())


def chosen_store(named: Path | None = None, setting: str = "") -> Path:
    """The store to work with: the laboratory's, else the one named, set or usual.

    Args:
        named: on the command line.
        setting: what the reader keeps in the settings; empty for nothing.

    Raises:
        InputError: another one was named than the laboratory's.
    """
    fixed = laboratory().store
    if fixed:
        if named is not None and named.resolve() != Path(fixed).resolve():
            raise InputError(
                f"This laboratory works with the store {fixed} only.", "Leave --store out."
            )
        return Path(fixed)
    return named or (Path(setting) if setting else default_store())


def existing_store(path: Path, hint: str = "") -> Path:
    """A store that commands read: they never make one where a name was mistyped.

    Raises:
        StoreError: there is none.
    """
    if not path.is_file():
        raise StoreError(f"There is no store {path}.", hint)
    return path


def check_protocol(protocol_id: str) -> None:
    """Refuse a counting rule that the laboratory does not offer.

    Raises:
        InputError: it is not among them; the hint lists those.
    """
    rules = laboratory()
    if not rules.allows_protocol(protocol_id):
        raise InputError(
            f"This laboratory does not count by {protocol_id}.",
            f"It counts by {', '.join(rules.protocols)}.",
        )


def check_adapter(name: str) -> None:
    """Refuse an adapter that the laboratory does not offer.

    Raises:
        InputError: it is not among them.
    """
    if not laboratory().allows_adapter(name):
        raise InputError(
            f"This laboratory does not classify with the adapter {name}.",
            "It names the ones that it does in its file; the shipped classifier always is.",
        )


def check_alias(stored: StoredSlide) -> None:
    """Refuse to let a slide out under its file's name where the laboratory demands an alias.

    Raises:
        InputError: it does, and the slide has none.
    """
    if laboratory().aliases_required and not stored.alias:
        raise InputError(
            "This slide has no alias, and this laboratory lets no slide out under its file's name.",
            "Give it one in the list of slides.",
        )
