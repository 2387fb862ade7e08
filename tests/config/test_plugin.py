"""The `_target_` leaf: import, signature, nesting, round trip."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from align.config.plugin import Plugin, PluginSpec

SOURCE = """
from typing import TYPE_CHECKING, Protocol
from align.config.spec import ModelRef
if TYPE_CHECKING:
    from nowhere import Unknown

class Source(Protocol):
    def score(self) -> float: ...

class Learned:
    def __init__(self, model: ModelRef, size: int = 2, other: "Unknown | None" = None) -> None:
        self.model, self.size = model, size

class Inherited(Learned):
    pass

class Blend:
    def __init__(self, sources: dict[str, Source], weights: dict[str, float], strict: bool = False) -> None:
        self.sources, self.weights, self.strict = sources, weights, strict

def free(*, text: str, **more: object) -> str:
    return text

def judge(models: dict[str, ModelRef], names: list[str]) -> None: ...

CONSTANT = 3
"""


@pytest.fixture(scope="module")
def plugins(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A module of somebody's own, on the path but not in this project."""
    folder: Path = tmp_path_factory.mktemp("user")
    (folder / "somebodys_plugins.py").write_text(SOURCE)
    sys.path.insert(0, str(folder))
    return "somebodys_plugins"


def refused(value: Any) -> str:
    with pytest.raises(ValueError) as caught:
        PluginSpec.from_yaml(value)
    return str(caught.value)


def test_a_users_own_class_is_built(plugins: str) -> None:
    built = PluginSpec.from_yaml({"_target_": f"{plugins}.Learned", "model": "stage:reward"}).build(size=5)
    assert (built.model, built.size) == ("stage:reward", 5)


def test_values_come_as_annotated(plugins: str) -> None:
    plugin = PluginSpec.from_yaml(
        {"_target_": f"{plugins}.Blend", "sources": {}, "weights": {"a": 1}, "strict": "no"}
    )
    assert plugin.arguments == {"sources": {}, "weights": {"a": 1.0}, "strict": False}


def test_plugins_nest_and_every_problem_is_told(plugins: str) -> None:
    learned = {"_target_": f"{plugins}.Learned", "model": "stage:reward"}
    blend = {"_target_": f"{plugins}.Blend", "sources": {"a": learned}, "weights": {"a": 2}}
    built = PluginSpec.from_yaml(blend).build()
    assert built.sources["a"].model == "stage:reward"

    bad = {
        **blend,
        "sources": {"a": {**learned, "modle": 1, "size": "x"}, "b": {"_target_": "nowhere.X"}},
        "wieghts": 1,
    }
    assert refused(bad).splitlines() == [
        f"sources.a.modle: {plugins}.Learned has no such argument (model, size, other); did you mean model?",
        "sources.a.size: should be a valid integer, unable to parse string as an integer (got 'x')",
        "sources.b: cannot import nowhere.X: No module named 'nowhere'",
        f"wieghts: {plugins}.Blend has no such argument (sources, weights, strict); did you mean weights?",
    ]


@pytest.mark.parametrize(
    "value, expected",
    [
        (5, "should be a mapping with `_target_"),
        ({"a": 1}, "should be a mapping with `_target_"),
        ({"_target_": 3}, "cannot import 3"),
        ({"_target_": "Learned"}, "cannot import Learned"),
        ({"_target_": "somebodys_plugins.Lerned"}, "has no Lerned to call; did you mean Learned?"),
        ({"_target_": "somebodys_plugins.CONSTANT"}, "has no CONSTANT to call"),
    ],
)
def test_what_cannot_be_imported_is_named(plugins: str, value: Any, expected: str) -> None:
    assert expected in refused(value)


def test_a_target_that_takes_anything_is_given_anything(plugins: str) -> None:
    assert PluginSpec.from_yaml({"_target_": f"{plugins}.free", "text": "t", "extra": 1}).build() == "t"


def test_missing_arguments_are_those_nobody_passes(plugins: str) -> None:
    plugin = PluginSpec.from_yaml({"_target_": f"{plugins}.Learned"})
    assert plugin.missing_arguments() == [f"{plugins}.Learned needs the argument 'model'"]
    assert plugin.missing_arguments("model") == []


@pytest.mark.parametrize("name", ["Learned", "Inherited"])
def test_only_arguments_typed_as_models_are_located(plugins: str, name: str) -> None:
    learned = PluginSpec.from_yaml({"_target_": f"{plugins}.{name}", "model": "stage:reward"})
    assert learned.located(str.upper).arguments == {"model": "STAGE:REWARD"}
    text = PluginSpec.from_yaml({"_target_": f"{plugins}.free", "text": "stage:left"})
    assert text.located(str.upper) == text
    nested = PluginSpec(f"{plugins}.Blend", {"sources": {"a": learned}, "weights": {"a": 1.0}})
    assert nested.located(str.upper).arguments["sources"]["a"].arguments == {"model": "STAGE:REWARD"}


def test_models_in_a_mapping_are_located(plugins: str) -> None:
    plugin = PluginSpec.from_yaml({"_target_": f"{plugins}.judge", "models": {"a": "x"}, "names": ["x"]})
    assert plugin.located(str.upper).arguments == {"models": {"a": "X"}, "names": ["x"]}


def test_a_module_that_breaks_is_told_not_traced(plugins: str, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "broken_plugin.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert refused({"_target_": "broken_plugin.x"}) == "cannot import broken_plugin.x: division by zero"


def test_what_is_written_binds_again(plugins: str) -> None:
    learned = {"_target_": f"{plugins}.Learned", "model": "x"}
    blend = {"_target_": f"{plugins}.Blend", "sources": {"a": learned}, "weights": {"a": 1.0}}
    adapter: TypeAdapter[Mapping[str, PluginSpec | None]] = TypeAdapter(Mapping[str, Plugin | None])
    bound = adapter.validate_python({"r": blend, "none": None})
    assert adapter.validate_json(adapter.dump_json(bound)) == bound
    assert bound["r"] is not None
    assert bound["r"].as_yaml() == blend


def test_the_source_is_part_of_what_it_is(plugins: str) -> None:
    path = Path(sys.modules[plugins].__file__ or "")
    plugin = PluginSpec(f"{plugins}.free")
    before = plugin.source_digest()
    path.write_text(SOURCE + "# edited\n")
    assert plugin.source_digest() != before
    assert PluginSpec("builtins.len").source_digest() == ""
