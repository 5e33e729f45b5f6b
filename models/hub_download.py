"""Fetches a backbone's weights from huggingface.co: the only place that asks the network.

It is reached only by an explicit wish (`mitoscope models add ID --download`), with the reader's own
token (HF_TOKEN, or `hf auth login`).
"""

from pathlib import Path

from core.errors import ModelError
from models.hub import FILE_NAMES, check_licence
from models.registry import Backbone

#: Seconds that the hub has to answer before it counts as out of reach.
ANSWER_S = 10.0


def download(entry: Backbone, accepted_by: str = "") -> Path:
    """Bring the weights into the hub's cache; a download that was cut short goes on.

    Args:
        entry: the backbone.
        accepted_by: the reader who accepts a gated licence now.

    Raises:
        ModelError: no licence accepted, no token, no access, or the hub is out of reach.
    """
    from huggingface_hub import get_token

    if not entry.hub:
        raise ModelError(f"{entry.title} ships with Mitoscope: there is nothing to fetch.")
    check_licence(entry, accepted_by)
    if entry.gated and not get_token():
        raise ModelError(
            f"{entry.title} is given only to those who are known to huggingface.co, and there is "
            "no token on this computer.",
            f"Accept the licence at huggingface.co/{entry.hub}, then run `hf auth login` or set "
            "HF_TOKEN; or fetch the file yourself and name it: "
            f"mitoscope models add {entry.id} PATH.",
        )
    for name in dict.fromkeys((entry.hub_file, *FILE_NAMES)):
        path = _fetch(entry, name)
        if path is not None:
            return path
    raise ModelError(
        f"huggingface.co/{entry.hub} holds none of {', '.join(FILE_NAMES)}.",
        "Fetch the weights yourself and name the file.",
    )


def _fetch(entry: Backbone, name: str) -> Path | None:
    """One file of the repository; None if there is no such file."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    from huggingface_hub.errors import (  # type: ignore[attr-defined]
        GatedRepoError,
        HfHubHTTPError,
        HTTPError,  # of whichever library the hub's client uses in this version
        OfflineModeIsEnabled,
        RemoteEntryNotFoundError,
        RepositoryNotFoundError,
    )

    page = f"huggingface.co/{entry.hub}"
    try:
        # Asked once: the download by itself would try a hub out of reach for half a minute.
        get_hf_file_metadata(hf_hub_url(entry.hub, name), timeout=ANSWER_S)
        return Path(hf_hub_download(entry.hub, name, etag_timeout=ANSWER_S))
    except RemoteEntryNotFoundError:
        return None
    except GatedRepoError as error:
        raise ModelError(
            f"huggingface.co does not give you {entry.title} yet.",
            f"Accept its licence at {page} with the account of your token.",
        ) from error
    except RepositoryNotFoundError as error:
        raise ModelError(
            f"huggingface.co knows no {entry.hub}, or does not show it to you.",
            "Run `hf auth login` with an account that has access.",
        ) from error
    except HfHubHTTPError as error:
        raise ModelError(f"huggingface.co did not give {entry.title}: {error}.") from error
    except (HTTPError, OfflineModeIsEnabled) as error:
        raise ModelError(
            "huggingface.co cannot be reached from this computer.",
            f"Fetch the file from {page} elsewhere, copy it here and name it: "
            f"mitoscope models add {entry.id} PATH",
        ) from error
    except OSError as error:
        raise ModelError(
            f"The download of {entry.title} failed: {error}.", "Try again: it goes on."
        ) from error
