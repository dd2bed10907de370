"""Command lines on changed files, with options from the help of the installed version and hostile values."""

import contextlib
import json
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from fuzz import corpus as corpora
from fuzz import tables
from fuzz.attempts import Answer, Attempt, Kind, Target, unsound
from fuzz.corpus import Corpus, Files
from fuzz.mutations import changed_bytes, changed_json, changed_lines, changed_text
from fuzz.shells import checked, run_command
from fuzz.values import ARGUMENTS

_LEFT_OUT = (
    "--help",
    "--open",
    "--traceback",
    "--selftest",
    "--address",
    "--output",
    "--budget",
    "--verbose",
)
"""Options that open a browser, print tracebacks on request, take long, or write elsewhere."""

_VALUES = {
    "--store": ("store", "none", "s3://", "s3:///x", "gs://b/x"),
    "--noise": (corpora.NOISE, "none"),
    "--accepted": ("store/accepted.json", "none.json"),
    "--baseline": ("cpu", "cpu@1", "cuda", "EPYC/cpu", "base.json"),
    "--candidate": ("head.json", "plain.json"),
    "--price": ("cpu=0.2/h", "cuda=2/h", "EPYC/cuda=1e6/h"),
    "--worth": ("10x", "1.5", "1e-6"),
    "--label": ("base.json=laptop", "head.json=server"),
    "--threshold": ("2%", "0", "0.5"),
    "--resolution": ("10%", "0"),
    "--fail-on": ("none", "regressed,missing", "new,error"),
    "--vary": ("gpu,driver", "cores"),
    "--case": ("mlp *", "*cuda*", "*" * 7 + "b!"),
    "--branch": ("main", "other"),
    "--reason": ("meant",),
    "--pairs": ("0", "1", "2", "-1"),
    "--runs": ("0", "1", "2"),
    "--instances": ("1", "0"),
    "--wait": ("1s",),
    "--on": ("card.json", "cuda.json", "h100-16core", "h100-16core,h200-16core"),
    "--against": ("card.json", "h100-16core"),
    "--steps": ("200000", "1"),
    "--name": ("mine", ""),
    "--device": ("cuda", "cpu"),
    "--bench": ("none",),
}


@dataclass(frozen=True)
class Scenario:
    """A command line with files that it reads; up to `chosen` options of its help are added."""

    name: str
    words: tuple[str, ...]
    files: Callable[[Corpus], Files]
    weight: int
    environment: Mapping[str, str] | None = None


def _all(*names: str) -> Callable[[Corpus], Files]:
    return lambda corpus: {path: raw for name in names for path, raw in getattr(corpus, name).items()}


_STORED = _all("store")

SCENARIOS = (
    Scenario("report", ("report", "base.json", "--format", "json"), _all("runs", "noise"), 12),
    Scenario("report of several", ("report", "base.json", "head.json", "--format", "json"), _all("runs"), 8),
    Scenario("report in markdown", ("report", "base.json", "--format", "markdown"), _all("runs"), 1),
    Scenario("report on the page", ("report", "base.json", "-o", "page"), _all("runs", "noise"), 1),
    Scenario("compare", ("compare", "base.json", "head.json"), _all("runs", "noise"), 12),
    Scenario(
        "compare as json", ("compare", "base.json", "head.json", "--format=json"), _all("runs", "noise"), 6
    ),
    Scenario("compare plain", ("compare", "plain.json", "plain.json"), _all("runs"), 2),
    Scenario(
        "history add",
        ("history", "add", "base.json", "plain.json", "--store", "store"),
        _all("runs", "store"),
        8,
    ),
    Scenario("history check", ("history", "check", "--store", "store"), _STORED, 10),
    Scenario("history check as json", ("history", "check", "--store", "store", "--format=json"), _STORED, 4),
    Scenario("history show as json", ("history", "show", "--store", "store", "--format=json"), _STORED, 4),
    Scenario("history show", ("history", "show", "--store", "store", "-o", "page"), _STORED, 1),
    Scenario(
        "history accept",
        ("history", "accept", f"{corpora.STEP_AT:07}89", "--reason", "meant", "--store", "store"),
        _STORED,
        6,
    ),
    Scenario("merge", ("merge", "shard1.json", "shard2.json", "-o", "run.json"), _all("shards"), 8),
    Scenario("recover", ("recover", "run.json.journal"), _all("journal"), 8),
    Scenario("ab, resumed", tuple(corpora.AB), _all("ab", "runs"), 6),
    Scenario("calibrate, resumed", tuple(corpora.CALIBRATE), _all("calibrated", "runs"), 4),
    Scenario("fleet", ("fleet", "store"), _STORED, 1),
    Scenario(
        "ci base", ("ci", "base"), _all(), 1, {"ASKED": "", "TARGET": "", "BEFORE": "", "GITHUB_OUTPUT": "o"}
    ),
    Scenario("predict", ("predict", "cpu.json", "--on", "card.json"), _all("counted"), 8),
    Scenario(
        "predict as json", ("predict", "cpu.json", "--on=card.json", "--format=json"), _all("counted"), 8
    ),
    Scenario(
        "predict by a run", ("predict", "cpu.json", "--on", "cuda.json", "-o", "page"), _all("counted"), 2
    ),
    Scenario("predict what is predicted", ("predict", "card.json", "--on", "card.json"), _all("counted"), 1),
    Scenario("card", ("card", "cuda.json", "-o", "made.json"), _all("counted"), 4),
    Scenario("doctor", ("doctor",), _all(), 1),
    Scenario("doctor against", ("doctor", "--against", "card.json"), _all("counted"), 1),
)


def targets(folder: Path) -> list[Target]:
    """Return the command lines that the installed breakeven has; `folder` is an empty directory."""
    known = _commands()
    corpus = corpora.build(folder)
    return [_target(one, one.files(corpus)) for one in SCENARIOS if one.words[0] in known]


def _commands() -> set[str]:
    from breakeven.commands import COMMANDS

    return {getattr(one, "name", one) for one in COMMANDS}


def _target(scenario: Scenario, files: Files) -> Target:
    def prepare(rng: Random) -> Attempt:
        _place_changed(files, rng)
        words = [*scenario.words, *_options(scenario.words, rng)]
        if rng.random() < 0.15:
            at = rng.randrange(1, len(words) + 1)
            words[at:] = [rng.choice((changed_text(words[at - 1], rng), rng.choice(ARGUMENTS))), *words[at:]]
            words = [word for word in words if word in scenario.words or _is_safe(word)]
        given = (scenario.environment or {}).items()
        variables = {name: changed_text(value, rng).replace("\0", "") for name, value in given}
        return Attempt(f"breakeven {json.dumps(words)[:2000]}", lambda: _act(words, variables))

    return Target(scenario.name, prepare, scenario.weight)


def _act(words: Sequence[str], variables: Mapping[str, str]) -> Answer:
    before = set(Path("..").iterdir())
    with _environment({**variables, "GITHUB_STEP_SUMMARY": "summary.md"}):
        answer = checked(words, run_command(words))
    outside = set(Path("..").iterdir()) - before
    if outside:
        return unsound(
            Kind.PATH, f"{words[0]} writes outside of its directory", str(sorted(map(str, outside)))
        )
    return answer


@contextlib.contextmanager
def _environment(values: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update({name: value for name, value in values.items() if _encodes(value)})
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _encodes(value: str) -> bool:
    try:
        os.fsencode(value)
    except UnicodeEncodeError:
        return False
    return len(value) < 100_000


def _place_changed(files: Files, rng: Random) -> None:
    corpora.place(files)
    for name in rng.sample(sorted(files), k=min(len(files), rng.choice((0, 1, 1, 1, 2)))):
        Path(name).write_bytes(_changed(name, files[name], rng))
    if files and rng.random() < 0.01:
        name = rng.choice(sorted(files))
        Path(name).unlink()
        rng.choice((Path(name).mkdir, lambda: Path(name).symlink_to("/dev/zero"), lambda: None))()


def _changed(name: str, raw: bytes, rng: Random) -> bytes:
    if name.endswith(".parquet"):
        return tables.changed(Path(name), rng)
    if name.endswith(".journal"):
        return changed_lines([json.loads(line) for line in raw.splitlines()], rng)
    try:
        return changed_json(json.loads(raw), rng)
    except ValueError:
        return changed_bytes(raw, rng)


def _options(words: Sequence[str], rng: Random) -> list[str]:
    known = _options_of(words[:2] if words[0] == "history" else words[:1])
    chosen = rng.sample(sorted(known), k=min(len(known), rng.choice((0, 0, 1, 1, 2, 4))))
    return [word for name in chosen for word in _option(name, known[name], rng)]


def _option(name: str, metavar: str, rng: Random) -> list[str]:
    if not metavar:
        return [name]
    choices = (
        tuple(metavar.strip("{}").split(",")) if metavar.startswith("{") else _VALUES.get(name, ("x", "1"))
    )
    value = rng.choice(choices)
    if rng.random() < 0.3:
        value = next(filter(_is_safe, (changed_text(value, rng), rng.choice(ARGUMENTS))), value)
    return [f"{name}={value}"] if rng.random() < 0.5 else [name, value]


def _is_safe(word: str) -> bool:
    """Return whether a command line can have a word, and it names nothing outside of the directory."""
    return "/" not in word and "\0" not in word and word != ".." and _encodes(word)


_OPTION = re.compile(r"^  (?:-\w(?: \S+)?, )?(--[\w-]+)(?: (\S[^\n]*?))?(?:  [^\n]*)?$", re.MULTILINE)


@cache
def _options_of(words: Sequence[str]) -> dict[str, str]:
    text = run_command([*words, "--help"]).out
    return {name: metavar for name, metavar in _OPTION.findall(text) if name not in _LEFT_OUT}
