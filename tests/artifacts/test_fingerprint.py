"""A fingerprint changes exactly when the result would."""

import os
import string
import sys
from collections.abc import Callable
from dataclasses import dataclass, make_dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from align.artifacts.digest import Digests
from align.artifacts.fingerprint import IdentityError, fingerprint, identity, reference_paths, references
from align.config.plugin import PluginSpec
from align.config.spec import ModelRef, Spec


def learned(model: ModelRef, size: int = 2) -> None:
    """Stands for a reward that reads a model."""


def written(folder: str, seed: int = 0) -> None:
    """Stands for a generator."""


HERE = "tests_artifacts_fingerprint_plugins"
sys.modules[HERE] = sys.modules[__name__]  # `_target_` needs a name that import_module knows


def test_only_typed_references_are_edges(toy: Any, model: Any) -> None:
    stage = toy(
        model=model(path="stage:sft"),
        judges={"a": "stage:rm", "b": "some/hub-id"},
        reward=PluginSpec(f"{HERE}.learned", {"model": "stage:reward"}),
        prompt="stage:left",
        trainer={"note": "stage:right"},
        names=("stage:door",),
    )
    assert references(stage) == {"sft", "rm", "reward"}
    assert reference_paths(stage) == {"model.path": "sft", "judges.a": "rm", "reward.model": "reward"}


def test_a_reference_counts_by_its_parents_fingerprint_not_its_name(toy: Any, model: Any) -> None:
    one = fingerprint(toy(model=model(path="stage:sft")), {"sft": "aaa"})
    assert one == fingerprint(toy(model=model(path="stage:renamed")), {"renamed": "aaa", "other": "bbb"})
    assert one != fingerprint(toy(model=model(path="stage:sft")), {"sft": "aab"})
    with pytest.raises(IdentityError, match=r"model.path: no such stage 'sft' \(other\)"):
        fingerprint(toy(model=model(path="stage:sft")), {"other": "bbb"})


def test_what_does_not_matter_does_not_count(toy: Any) -> None:
    plain = fingerprint(toy(), {})
    assert plain == fingerprint(toy(rate=1, seed=0, names=(), trainer={}, prompt=""), {})
    assert plain == fingerprint(toy(workers=8), {})
    assert fingerprint(toy(rate=2), {}) == fingerprint(toy(rate=2.0), {})
    assert fingerprint(toy(trainer={"a": 1, "b": 2}), {}) == fingerprint(toy(trainer={"b": 2.0, "a": 1}), {})


@pytest.mark.parametrize(
    "change",
    [
        {"rate": 2.0},
        {"seed": 1},
        {"prompt": "x"},
        {"names": ("a", "b")},
        {"trainer": {"beta": 0.3}},
        {"trainer": {"packing": True}},
        {"trainer": {"packing": 1}},
        {"trainer": {"packing": "1"}},
        {"trainer": {"packing": None}},
    ],
)
def test_what_matters_counts(toy: Any, change: dict[str, Any]) -> None:
    others = [{}, {"names": ("b", "a")}, {"trainer": {"packing": False}}, {"trainer": {"packing": 2}}]
    assert fingerprint(toy(**change), {}) not in {fingerprint(toy(**other), {}) for other in others}


def test_all_listed_changes_differ_from_one_another(toy: Any) -> None:
    values = [True, 1, "1", None, [1], {"a": 1}, 1.5, "true", [], {}]
    assert len({fingerprint(toy(trainer={"x": value}), {}) for value in values}) == len(values)


def test_a_new_optional_field_changes_nothing_a_new_version_does(toy: Any) -> None:
    grown = make_dataclass("Toy", [("extra", int, 3)], bases=(toy,), frozen=True, kw_only=True)
    raised = type("Toy", (toy,), {"version": 2})
    assert fingerprint(grown(seed=1), {}) == fingerprint(toy(seed=1), {})
    assert fingerprint(grown(seed=1, extra=4), {}) != fingerprint(toy(seed=1), {})
    assert fingerprint(raised(seed=1), {}) != fingerprint(toy(seed=1), {})


def test_kinds_differ() -> None:
    @dataclass(frozen=True, kw_only=True)
    class One(Spec):
        kind: Literal["one"] = "one"
        version: ClassVar[int] = 1

    @dataclass(frozen=True, kw_only=True)
    class Two(Spec):
        kind: Literal["two"] = "two"
        version: ClassVar[int] = 1

    assert fingerprint(One(), {}) != fingerprint(Two(), {})


def test_identity_extra_is_merged_in(toy: Any) -> None:
    extra = type("Toy", (toy,), {"identity_extra": lambda self: {"defaults": "abc"}})
    other = type("Toy", (toy,), {"identity_extra": lambda self: {"defaults": "abd"}})
    assert len({fingerprint(cls(), {}) for cls in (toy, extra, other)}) == 3


def test_a_file_counts_by_content_not_by_place_or_card(toy: Any, source: Any, tmp_path: Path) -> None:
    here, there = tmp_path / "a.jsonl", tmp_path / "b.jsonl"
    here.write_text("rows")
    there.write_text("rows")

    def of(path: Path, **more: Any) -> str:
        return fingerprint(toy(sources={"x": source(path=str(path), **more)}), {})

    assert of(here) == of(there) == of(here, card="prose")
    assert of(here) != of(here, weight=2)
    before = of(here)
    here.write_text("other rows")
    assert of(here) != before
    with pytest.raises(IdentityError, match=r"sources.x.path: .*nothing.jsonl does not exist"):
        of(tmp_path / "nothing.jsonl")


def test_a_generated_file_counts_by_its_generator(toy: Any, source: Any) -> None:
    def of(path: str, **arguments: Any) -> str:
        generator = PluginSpec(f"{HERE}.written", arguments)
        return fingerprint(toy(sources={"x": source(path=path, generator=generator)}), {})

    assert of("train.jsonl") == of("train.jsonl", seed=0)
    assert of("train.jsonl") != of("test.jsonl")
    assert of("train.jsonl") != of("train.jsonl", seed=1)


def test_a_local_model_counts_by_content_a_hub_name_by_itself(toy: Any, model: Any, tmp_path: Path) -> None:
    folder, moved = tmp_path / "checkpoint", tmp_path / "elsewhere"
    folder.mkdir()
    (folder / "model.safetensors").write_text("weights")
    before = fingerprint(toy(model=model(path=str(folder))), {})
    (folder / ".cache").write_text("nothing")
    folder.rename(moved)
    assert fingerprint(toy(model=model(path=str(moved))), {}) == before
    (moved / "model.safetensors").write_text("Weights")
    assert fingerprint(toy(model=model(path=str(moved))), {}) != before
    with pytest.raises(IdentityError, match="model.path: there is no folder /no/such/folder"):
        fingerprint(toy(model=model(path="/no/such/folder")), {})

    hub = fingerprint(toy(model=model(path="org/name", revision="a")), {})
    assert hub != fingerprint(toy(model=model(path="org/name", revision="b")), {})
    assert hub != fingerprint(toy(model=model(path="org/other", revision="a")), {})


def test_the_tree_of_a_model_counts_not_only_its_bytes(toy: Any, model: Any, tmp_path: Path) -> None:
    prints = set()
    for names in (("a", "b"), ("b", "a"), ("a", "c"), ("a", "sub/b")):
        folder = tmp_path / "_".join(names).replace("/", "_")
        for name, text in zip(names, ("1", "2"), strict=True):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text)
        prints.add(fingerprint(toy(model=model(path=str(folder))), {}))
    assert len(prints) == 4


def test_code_named_by_target_counts_by_its_source(
    toy: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = tmp_path / "edited_plugin.py"
    module.write_text("def score(x=1): ...\n")
    monkeypatch.syspath_prepend(tmp_path)
    stage = toy(reward=PluginSpec("edited_plugin.score", {}))
    before = fingerprint(stage, {})
    assert before == fingerprint(replace(stage, reward=PluginSpec("edited_plugin.score", {"x": 1})), {})
    module.write_text("def score(x=1): return x\n")
    assert fingerprint(stage, {}) != before


def test_identity_is_readable(toy: Any, model: Any) -> None:
    assert identity(toy(model=model(path="stage:a"), seed=3), {"a": "f00"}) == {
        "kind": "toy",
        "version": 1,
        "spec": {"model": {"path": {"parent": "f00"}}, "seed": 3},
    }


def test_golden_fingerprints(toy: Any, model: Any, source: Any, tmp_path: Path) -> None:
    """These change only on purpose: all artifacts that anybody has become unknown when they do."""
    rows = tmp_path / "rows.jsonl"
    rows.write_text('{"text": "hello"}\n')
    stages = [
        toy(),
        toy(rate=0.5, seed=3, names=("a", "b"), trainer={"beta": 0.1, "nested": {"x": [1, None, True]}}),
        toy(model=model(path="stage:base"), judges={"b": "org/name", "a": "stage:base"}),
        toy(sources={"x": source(path=str(rows), weight=2)}),
    ]
    assert [fingerprint(stage, {"base": "0123456789ab"}) for stage in stages] == GOLDEN


GOLDEN = ["847c36bd82ae", "de00ac0b6bad", "71b3d9d33893", "28dc8ea9841d"]

NAMES = st.text(string.ascii_lowercase, min_size=1, max_size=4)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**6), 10**6)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


def same(one: Any, two: Any) -> bool:
    """Equality as identity means it, written out: numbers by value, but no boolean is a number."""
    if isinstance(one, dict) and isinstance(two, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, list) and isinstance(two, list):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    return isinstance(one, bool) == isinstance(two, bool) and one == two


def reordered(value: Any) -> Any:
    """The same value with every mapping the other way round, and whole numbers as floats."""
    if isinstance(value, dict):
        return {key: reordered(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [reordered(item) for item in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


@settings(max_examples=200, deadline=None)
@given(one=st.dictionaries(NAMES, VALUES, max_size=4), two=st.dictionaries(NAMES, VALUES, max_size=4))
def test_fingerprints_are_equal_exactly_for_equal_values(toy: Callable[..., Any], one: Any, two: Any) -> None:
    assert fingerprint(toy(trainer=one), {}) == fingerprint(toy(trainer=reordered(one)), {})
    assert (fingerprint(toy(trainer=one), {}) == fingerprint(toy(trainer=two), {})) == same(one, two)


def test_digests_are_remembered_while_size_and_time_stay(tmp_path: Path) -> None:
    file, cache = tmp_path / "file", tmp_path / "cache" / "digests.json"
    file.write_text("one")
    os.utime(file, ns=(10**18, 10**18))
    first = Digests(cache).file(file)
    file.write_text("two")
    os.utime(file, ns=(10**18, 10**18))  # same size, same time: this is what the cache cannot see
    assert Digests(cache).file(file) == first
    assert Digests().file(file) != first
    os.utime(file, ns=(10**18, 10**18 + 1))
    assert Digests(cache).file(file) == Digests().file(file)


def test_a_file_that_was_just_written_is_not_remembered(tmp_path: Path) -> None:
    file, cache = tmp_path / "file", tmp_path / "digests.json"
    for text in ("one", "two"):
        file.write_text(text)
        assert Digests(cache).file(file) == Digests().file(file)


def test_a_damaged_cache_costs_nothing_but_time(tmp_path: Path) -> None:
    file, cache = tmp_path / "file", tmp_path / "digests.json"
    file.write_text("one")
    for damage in ("{", "[]", '{"x": 3}'):
        cache.write_text(damage)
        assert Digests(cache).file(file) == Digests().file(file)
