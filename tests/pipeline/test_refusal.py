"""What Hydra says about a bad command becomes one message; secrets stay secret."""

import pytest
from hydra.errors import ConfigCompositionException

from align.pipeline.invocation import hidden
from align.pipeline.record import config_text
from align.pipeline.refusal import explain_composition

SECTIONS = ["seed", "run", "stages"]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Could not override 'stagess.x'.\nTo append to your config use +stagess.x=1",
            "did you mean stages?",
        ),
        (
            "Could not override 'zzz'.\nTo append to your config use +zzz=1",
            "zzz: no such key (seed, run, stages)",
        ),
        ("Could not override 'run.zzz'.\nTo append to your config use +run.zzz=1", "run.zzz: no such key"),
        (
            "In 'a': Could not find 'b/c'\n\nConfig search path:\n\tprovider=hydra",
            "In 'a': Could not find 'b/c'",
        ),
    ],
)
def test_hydra_is_quoted_without_its_advice(said: str, told: str) -> None:
    message = explain_composition(ConfigCompositionException(said), SECTIONS)
    assert told in message
    assert "append" not in message and "search path" not in message


def test_secrets_are_masked_in_the_recorded_command() -> None:
    words = [hidden(word) for word in ("tracking.api_key=abc", "seed=1", "experiment")]
    assert config_text("seed: 1\n", words) == "# tracking.api_key=*** seed=1 experiment\nseed: 1\n"
    assert config_text("seed: 1\n", []).startswith("# no overrides\n")
