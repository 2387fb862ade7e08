"""One world per language, and its files, shared by the tests of this room."""

from pathlib import Path

import pytest

from align.sandbox.lexicon import LANGUAGES, Language
from align.sandbox.world import World, build_world
from align.sandbox.write import write_sandbox

SIZES = {"documents": 1500, "demonstrations": 1000, "pairs": 600, "prompts": 2000}


@pytest.fixture(scope="session", params=LANGUAGES)
def language(request: pytest.FixtureRequest) -> Language:
    """Every language the sandbox speaks."""
    return request.param


@pytest.fixture(scope="session")
def world(language: Language) -> World:
    """The world of seed 0."""
    return build_world(0, language)


@pytest.fixture(scope="session")
def folder(language: Language, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files of that world, with fewer rows than by default."""
    written = tmp_path_factory.mktemp(language)
    write_sandbox(written, seed=0, language=language, **SIZES)
    return written
