"""Licences: the names that dataset cards carry, Hugging Face's spelling -> SPDX's, offline.

Source: SPDX licence list as `license-expression` ships it; SPDX specification 2.3, annex D (expressions)
"""

from functools import cache

from license_expression import Licensing, get_spdx_licensing

# What Hugging Face writes without the version that tells SPDX which licence is meant.
_HUB_NAMES = {"odc-by": "ODC-By-1.0", "odbl": "ODbL-1.0", "pddl": "PDDL-1.0"}

# Hugging Face's words for a licence outside of SPDX's list and for none that was found.
OTHER, UNKNOWN = "other", "unknown"
_NO_LICENCE = {OTHER: "LicenseRef-other", UNKNOWN: "NOASSERTION"}


def needs_note(name: str) -> bool:
    """Whether a licence field says too little by itself: what may be done has to be written down."""
    return name.lower() in _NO_LICENCE


def spdx(name: str) -> str | None:
    """A licence, or an expression such as `MIT AND CC-BY-4.0`, as SPDX spells it; None where SPDX has none.

    `other` becomes `LicenseRef-other`, `unknown` becomes `NOASSERTION`, as SPDX has it for such cases.
    """
    lower = name.lower()
    if lower in _NO_LICENCE:
        return _NO_LICENCE[lower]
    found = _licensing().validate(_HUB_NAMES.get(lower, name))
    return None if found.errors else str(found.normalized_expression)


@cache
def _licensing() -> Licensing:
    """Read once, and not before it is asked: the list of licences takes 40 ms."""
    return get_spdx_licensing()
