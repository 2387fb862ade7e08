"""Base: the weights that an adapter was trained over, recorded beside it and held against another base.

An adapter over other weights of the same shapes loads without a word, and says something else.

Writes  adapter/align_base.json
"""

import hashlib
import json
from pathlib import Path

from align.artifacts.digest import sha256_of
from align.artifacts.durable import write_json

FILE = "align_base.json"


def fingerprint_of(base: str) -> str:
    """A hash of a folder's weights, about a second per GiB; of a Hub id the id itself."""
    folder = Path(base)
    if not folder.is_dir():
        return base
    total = hashlib.sha256()
    for path in sorted(folder.glob("*.safetensors")):
        total.update(f"{path.name}\0{sha256_of(path)}\n".encode())
    return total.hexdigest()


def record_base(adapter: Path, base: str) -> None:
    """Write beside an adapter which weights it was trained over."""
    write_json(adapter / FILE, {"base": base, "fingerprint": fingerprint_of(base)})


def base_problems(adapter: Path, base: str) -> list[str]:
    """Why an adapter must not be put over `base`; nothing where it was trained over it, or has no record."""
    file = adapter / FILE
    if not file.is_file():
        return []
    recorded = json.loads(file.read_text(encoding="utf-8"))
    found = fingerprint_of(base)
    if recorded["fingerprint"] == found:
        return []
    return [
        f"the adapter {adapter} was trained over {recorded['base']} with the weights "
        f"{recorded['fingerprint']}, and {base} has {found}; train it again, or put its own base there"
    ]
