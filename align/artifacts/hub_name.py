"""Hub names: `<owner>/<model>[@<revision>]` as people type it, told from the name of a folder."""

from pathlib import Path

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id


def hub_name(name: str) -> tuple[str, str | None] | None:
    """(id, revision) of a model on the Hub; None for what is meant as a path.

    Raises:
        ValueError: it is neither a folder nor an id that the Hub allows.
    """
    hub, _, revision = name.partition("@")
    if "/" not in hub or hub.startswith((".", "/", "~")) or Path(name).exists():
        return None
    try:
        validate_repo_id(hub)
    except HFValidationError as problem:
        raise ValueError(f"{name}: neither a folder nor a Hub id ({problem})") from None
    return hub, revision or None
