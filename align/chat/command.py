"""Command: names of models and a way of decoding -> a conversation at the terminal, or through a pipe."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import TypeAdapter, ValidationError
from rich.console import Console

from align.artifacts.store import ArtifactError
from align.chat.places import Place, PlaceError, find
from align.chat.session import HELP, Session
from align.config.suggest import did_you_mean
from align.data.errors import DataError
from align.generation.decoding import DecodingSpec
from align.models.spec import TemplateName

DECODINGS = Path(__file__).resolve().parents[2] / "conf" / "decoding"
USUAL = {"temperature": 0.7, "top_p": 0.95, "max_new_tokens": 256}
REFUSED = 2


class Refused(ValueError):
    """Something on the command line that has to be put right."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Talk until the input ends; 2 where a model or a setting has to be put right."""
    given = _parser().parse_args(arguments)
    try:
        places = [find(name, given.outputs, given.run) for name in given.models]
        _talk(_told_apart(places), decoding_of(given.decoding, given.set), given)
    except (PlaceError, ArtifactError, DataError, Refused) as problem:
        sys.stderr.write(f"{problem}\n")
        return REFUSED
    return 0


def decoding_of(name: str | None, words: Sequence[str]) -> DecodingSpec:
    """The settings of `conf/decoding/<name>.yaml` with `key=value` words over them.

    Raises:
        Refused: there is no such file, no such key, or a value does not fit.
    """
    values: dict[str, Any] = dict(USUAL) if name is None else _file(name)
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise Refused(f"--set {word}: should be key=value, such as temperature=0.7")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise Refused(f"--set {word}: {value!r} is no value that YAML could read") from None
    try:
        return TypeAdapter(DecodingSpec).validate_python(values)
    except ValidationError as problem:
        told = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in problem.errors())
        raise Refused(f"decoding: {told}") from None


def _file(name: str) -> dict[str, Any]:
    """One of the decodings that evaluation and sampling use; what it takes from a run keeps its default."""
    known = sorted(path.stem for path in DECODINGS.glob("*.yaml"))
    if name not in known:
        raise Refused(f"--decoding {name}: there is {', '.join(known) or 'none'}{did_you_mean(name, known)}")
    values = yaml.safe_load((DECODINGS / f"{name}.yaml").read_text(encoding="utf-8")) or {}
    return {key: value for key, value in values.items() if not str(value).startswith("${")}


def _told_apart(places: Sequence[Place]) -> list[Place]:
    """Two models of one name get a number each."""
    names = [place.name for place in places]
    return [
        Place(f"{place.name} ({number})", place.path, place.revision)
        if names.count(place.name) > 1
        else place
        for number, place in enumerate(places, start=1)
    ]


def _talk(places: Sequence[Place], decoding: DecodingSpec, given: argparse.Namespace) -> None:
    import torch  # noqa: PLC0415  (--help and mistakes are told without it)

    from align.chat.partner import Partner  # noqa: PLC0415

    device = "cuda" if torch.cuda.is_available() else "cpu"
    partners = [Partner(place, decoding, given.template, device) for place in places]
    console = Console(highlight=False, soft_wrap=True)
    if sys.stdin.isatty():
        console.print("/help tells the commands", style="dim")
    Session(partners, console, given.system).run(_lines())


def _lines() -> Iterator[str]:
    """What is typed; at a terminal Ctrl-C at the prompt ends it, as the end of input does."""
    if not sys.stdin.isatty():
        yield from sys.stdin
        return
    import readline  # noqa: F401, PLC0415  (gives `input` a history)

    while True:
        try:
            yield input("> ")
        except (EOFError, KeyboardInterrupt):
            return


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python scripts/chat.py",
        description="Talk to a model, or to several side by side.",
        epilog=f"While talking:\n{HELP}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = "a stage of the run (ppo), an artifact, a model folder, or a Hub id (Qwen/Qwen3-0.6B@main)"
    parser.add_argument("models", nargs="+", help=what)
    parser.add_argument("--run", help="the run whose stages are meant; the newest where it is left out")
    parser.add_argument("--outputs", type=Path, default=Path("outputs"), help="what paths.outputs is set to")
    parser.add_argument("--decoding", help="one of conf/decoding; else temperature 0.7, top_p 0.95")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="over it, as temperature=0 or seed=1"
    )
    parser.add_argument("--system", help="what the models are told first")
    parser.add_argument(
        "--template", choices=get_args(TemplateName), help="for models that bring no chat template"
    )
    return parser
