"""Refusal: what Hydra says about a command that it cannot compose -> the user's words."""

import re
from collections.abc import Collection

from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from align.config.suggest import did_you_mean

COMPOSITION_ERRORS = (HydraException, OmegaConfBaseException, YAMLError)
_NO_SUCH_KEY = re.compile(r"Could not override '([^']+)'")
_SUBMITIT = "Could not find 'hydra/launcher/submitit"
_NOISE = "Config search path:"
_NO_OPTION = "Config group override must be a string"  # a ValueError of Hydra's


def is_refusal(problem: Exception) -> bool:
    """Whether this says that a command cannot be composed, and nothing else went wrong."""
    return isinstance(problem, COMPOSITION_ERRORS) or str(problem).startswith(_NO_OPTION)


def explain_composition(problem: Exception, sections: Collection[str]) -> str:
    """One message without Hydra's advice to append keys, which binding would refuse.

    Args:
        problem: what Hydra, OmegaConf or the YAML parser raised.
        sections: the keys at the root of the config.
    """
    text = str(problem) or str(problem.__cause__)
    if found := _NO_SUCH_KEY.match(text):
        head = found[1].partition(".")[0]
        hint = did_you_mean(head, sections) or f" ({', '.join(sections)})"
        return f"{found[1]}: no such key{'' if head in sections else hint}"
    if _SUBMITIT in text:
        return "hydra/launcher: submitit is not installed; pip install hydra-submitit-launcher"
    if text.startswith(_NO_OPTION):
        return "a config group takes the name of one of its options, and null is none; leave the override out"
    return text.partition(_NOISE)[0].strip()
