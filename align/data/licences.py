"""Licences: the identifiers that datasets carry, Hugging Face's spelling -> SPDX's.

Source: SPDX licence list, https://spdx.org/licenses/
"""

_SPDX = """
    0BSD AFL-3.0 AGPL-3.0-only AGPL-3.0-or-later Apache-2.0 Artistic-2.0 BSD-2-Clause BSD-3-Clause BSL-1.0
    C-UDA-1.0 CC-BY-2.0 CC-BY-2.5 CC-BY-3.0 CC-BY-4.0 CC-BY-NC-2.0 CC-BY-NC-3.0 CC-BY-NC-4.0 CC-BY-NC-ND-3.0
    CC-BY-NC-ND-4.0 CC-BY-NC-SA-2.0 CC-BY-NC-SA-3.0 CC-BY-NC-SA-4.0 CC-BY-ND-4.0 CC-BY-SA-2.0 CC-BY-SA-3.0
    CC-BY-SA-4.0 CC-PDDC CC0-1.0 CDLA-Permissive-1.0 CDLA-Permissive-2.0 CDLA-Sharing-1.0 ECL-2.0 EPL-2.0
    EUPL-1.2 GFDL-1.3-only GFDL-1.3-or-later GPL-2.0-only GPL-2.0-or-later GPL-3.0-only GPL-3.0-or-later ISC
    LGPL-2.1-only LGPL-3.0-only MIT MIT-0 MPL-2.0 MS-PL ODC-By-1.0 ODbL-1.0 OGL-UK-3.0 PDDL-1.0 Unlicense Zlib
"""

# The Hub writes SPDX identifiers in lower case, and these few without their version.
_SPDX_BY_HUB_NAME = {name.lower(): name for name in _SPDX.split()} | {
    "odc-by": "ODC-By-1.0",
    "odbl": "ODbL-1.0",
    "pddl": "PDDL-1.0",
}


def spdx(name: str) -> str | None:
    """The SPDX identifier of a licence, whatever the case; None where the table has none such."""
    return _SPDX_BY_HUB_NAME.get(name.lower())
