"""What a laboratory lays down for everybody who works there; the program only reads it.

A TOML file in a folder that readers cannot write. Every key is optional:

```toml
name = "Institute of Pathology"      # printed on reports
store = "/srv/mitoscope/store.sqlite"  # the only store
protocols = ["breast_mm2", "net_gep"]  # the only counting rules offered
protocol_file = "/srv/mitoscope/protocols.toml"  # the laboratory's own rules
adapters = ["Stain 2026"]            # the only adapters beside the shipped classifier; [] for none
aliases_required = true              # no export or report under a file's name
```
"""

import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from core.errors import InputError

_HINT = "Whoever keeps this file must mend it; Mitoscope does not start to work without it."


@dataclass(frozen=True, slots=True)
class Laboratory:
    """A laboratory's rules; the defaults bind nobody.

    Attributes:
        name: of the laboratory, printed on reports.
        store: path of the only store; empty: the reader's choice.
        protocols: ids of the only counting rules offered; empty: all.
        protocol_file: path of the laboratory's own rules; empty: the reader's own file.
        adapters: names of the only adapters beside the shipped classifier; None: all.
        aliases_required: whether exports and reports need the slide's alias.
    """

    name: str = ""
    store: str = ""
    protocols: tuple[str, ...] = ()
    protocol_file: str = ""
    adapters: tuple[str, ...] | None = None
    aliases_required: bool = False

    def allows_protocol(self, protocol_id: str) -> bool:
        """Whether a counting rule is offered."""
        return not self.protocols or protocol_id in self.protocols

    def allows_adapter(self, name: str) -> bool:
        """Whether an adapter may be chosen."""
        return self.adapters is None or name in self.adapters


def load_laboratory(path: Path) -> Laboratory:
    """Read the laboratory's file; one that is not there binds nobody.

    Raises:
        InputError: it cannot be read, or holds something else than what is laid down above. What
            a laboratory locks must not open because of a slip of the pen.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Laboratory()
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"The laboratory's file {path} cannot be read: {error}.", _HINT) from error
    known = {field.name for field in fields(Laboratory)}
    if unknown := sorted(set(values) - known):
        raise InputError(f"{path} holds unknown keys: {', '.join(unknown)}.", _HINT)
    return Laboratory(**{key: _checked(path, key, value) for key, value in values.items()})


def _checked(path: Path, key: str, value: Any) -> Any:
    if key in ("protocols", "adapters"):
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return tuple(value)
        raise InputError(f"In {path}, {key} must be a list of texts.", _HINT)
    wanted = bool if key == "aliases_required" else str
    if type(value) is not wanted:
        what = "true or false" if wanted is bool else "a text"
        raise InputError(f"In {path}, {key} must be {what}.", _HINT)
    return value
