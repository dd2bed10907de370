"""The readers, called one by one: those of files, of environment variables and of texts.

A reader returns a value, or raises an error of breakeven whose message is one line. Where version 1 has a
reader by another name, that is the second one.
"""

import argparse
import inspect
import json
from collections.abc import Callable, Iterable
from functools import partial
from keyword import iskeyword
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

from fuzz import seeds
from fuzz.attempts import Answer, Attempt, Kind, Target, first_found, unsound
from fuzz.mutations import (
    as_json,
    changed_bytes,
    changed_json,
    changed_lines,
    changed_text,
    changed_value,
    hostile,
)
from fuzz.values import DEVICES, TEXTS

Call = Callable[..., object]

FILE = "input.json"


def targets() -> list[Target]:
    """Return the readers that the installed breakeven has."""
    made = [
        _of_file("run file, to report", _READ, _run_file, 12, as_list=True),
        _of_file("run file, to compare", _READ_RUN, _run_file, 12),
        _analysis(),
        _whole(),
        _of_file("shards", ("breakeven.runs.merging:merge",), _shard, 6, as_list=True),
        _of_file("journal", ("breakeven.runs.journal:read_journal",), _journal, 12,
        then="breakeven.runs.recovery:run_file_of"),
        _of_file("accepted.json", _ACCEPTED, partial(_json, seeds.ACCEPTED), 8),
        _of_file("card", ("breakeven.predict.cards:read_card",), partial(_json, seeds.CARD), 12),
        _prediction(),
        _fit(),
        _of_file("prediction as a run", _READ_RUN, partial(_json, {"schema": 1, "predicted": True}), 1),
        _answers(),
        _of_text("command of a run", ("breakeven.commands.bench_paths:paths_in",)),
        _plan(),
        _floor(),
        _cases(),
        _machine(),
        _glob(),
        _sweep_option(),
        _sweep_mark(),
        *(_of_text(name, places) for name, places in _TEXTS.items()),
        _fleet(),
    ]  # fmt: skip
    return [target for target in made if target is not None]


_READ = ("breakeven.runs.reader:read", "breakeven.analysing.runs:read")
_READ_RUN = ("breakeven.runs.reader:read_run", "breakeven.analysing.readings:read_run")
_ACCEPTED = ("breakeven.history.accepted:read_accepted", "breakeven.analysing.history.accepted:read_accepted")

_TEXTS = {
    "shard option": ("breakeven.plugin.sharding:parse_shard",),
    "seed option": ("breakeven.plugin.order:parse_seed",),
    "timeout option": ("breakeven.plugin.options:parse_timeout",),
    "processes option": ("breakeven.plugin.options:parse_processes",),
    "duration": ("breakeven.format:parse_duration", "breakeven.commands.values:duration"),
    "fraction": ("breakeven.commands.arguments:fraction", "breakeven.commands.values:fraction"),
    "price": ("breakeven.commands.arguments:price", "breakeven.commands.values:price"),
    "worth": ("breakeven.commands.arguments:worth", "breakeven.commands.values:worth"),
    "label": ("breakeven.commands.arguments:label", "breakeven.commands.values:label"),
    "whole number": ("breakeven.commands.arguments:whole_number", "breakeven.commands.values:whole_number"),
    "device": ("breakeven.hardware.devices:parse_device", "breakeven.measuring.devices:parse"),
    "phase": ("breakeven.phases:parse_phase",),
    "device order": ("breakeven.device_names:device_order", "breakeven.analysing.baseline:device_order"),
}


def answered(act: Call) -> Answer:
    """Return whether a reader returned a value or refused its input, with a message of one line."""
    from breakeven.errors import BreakevenError

    try:
        act()
    except (BreakevenError, argparse.ArgumentTypeError) as error:
        text = str(error)
        if isinstance(error, BreakevenError) and (not text or "\n" in text):
            return unsound(Kind.MESSAGE, f"{type(error).__name__} of several lines", repr(text[:2000]))
        return Answer("refused")
    return Answer("ok")


def _of_file(
    name: str,
    places: tuple[str, ...],
    made: Callable[[Random], bytes],
    weight: int,
    *,
    as_list: bool = False,
    then: str = "",
) -> Target | None:
    """Return the target of a reader of a path, or of a list of paths."""
    read = first_found(*places)
    if read is None:
        return None
    use = first_found(then) if then else None

    def act(path: str) -> None:
        value = read([path] if as_list else path)
        if use is not None:
            use(value)

    def prepare(rng: Random) -> Attempt:
        path = rng.choice(DEVICES) if rng.random() < 0.002 else FILE
        Path(FILE).write_bytes(made(rng))
        return Attempt(f"{places[0]}({path!r})", lambda: answered(lambda: act(path)))

    return Target(name, prepare, weight)


def _json(value: Any, rng: Random) -> bytes:
    return changed_json(value, rng)


def _run_file(rng: Random) -> bytes:
    return changed_json(seeds.plain_file() if rng.random() < 0.1 else _run(), rng)


def _run() -> dict[str, Any]:
    made = seeds.run_file()
    del made["benchmarks"][4:]  # the others are alike, and take time
    return made


def _shard(rng: Random) -> bytes:
    return changed_json(seeds.shard_file(1), rng)


def _journal(rng: Random) -> bytes:
    return changed_lines(seeds.journal_lines(), rng)


def _whole() -> Target | None:
    check = first_found("breakeven.fleet.collect:check_whole")
    if check is None:
        return None

    def prepare(rng: Random) -> Attempt:
        Path(FILE).write_bytes(_run_file(rng))
        return Attempt("check_whole(...)", lambda: answered(lambda: check(Path(FILE))))

    return Target("whole run file", prepare, 4)


def _analysis() -> Target | None:
    analyze = first_found("breakeven.report.report:analyze", "breakeven.analysing.record:analyse")
    to_json = first_found("breakeven.render.report_data:to_json", "breakeven.reporting.exports:to_json")
    read = first_found(*_READ)
    if analyze is None or read is None:
        return None

    def act() -> None:
        report = analyze(read([FILE]))
        if to_json is not None:
            to_json(report)

    def prepare(rng: Random) -> Attempt:
        Path(FILE).write_bytes(_run_file(rng))
        return Attempt("to_json(analyze(read([...])))", lambda: answered(act))

    return Target("analysis", prepare, 2)


def _prediction() -> Target | None:
    """Return the target of a prediction, from a card and from counts that are changed."""
    predict = first_found("breakeven.predict.prediction:predict")
    to_json = first_found("breakeven.render.predict_data:to_json")
    if predict is None:
        return None
    from breakeven.commands.counted import counted
    from breakeven.predict.cards import read_card
    from breakeven.report.report import analyze
    from breakeven.runs.reader import read

    def act() -> None:
        runs = read([FILE])
        counts = counted(runs, execute=lambda _: 1)
        found = predict(analyze(runs), counts, [read_card("card.json")], steps=10**12)
        json.loads(to_json(found), parse_constant=float.fromhex)

    def prepare(rng: Random) -> Attempt:
        card, run = changed_json(seeds.CARD, rng), changed_json(seeds.counted_file(), rng)
        which = rng.random()
        Path("card.json").write_bytes(card if which < 0.7 else as_json(seeds.CARD))
        Path(FILE).write_bytes(run if which > 0.5 else as_json(seeds.counted_file()))
        return Attempt("predict(analyze(read(...)), counted(...), [read_card(...)])", lambda: answered(act))

    return Target("prediction", prepare, 8)


def _fit() -> Target | None:
    fit_card = first_found("breakeven.predict.fit:fit_card")
    if fit_card is None:
        return None
    from breakeven.commands.counted import counted
    from breakeven.predict.cards import read_card, write_card
    from breakeven.runs.reader import read

    def act() -> None:
        runs = read([FILE])
        card = fit_card(runs.runs, counted(runs, execute=lambda _: 1).of, "card")
        write_card(card, Path("card.json"))
        read_card("card.json")

    def prepare(rng: Random) -> Attempt:
        Path(FILE).write_bytes(changed_json(seeds.counted_file("cuda"), rng))
        return Attempt("read_card(write_card(fit_card(...)))", lambda: answered(act))

    return Target("fitted card", prepare, 4)


def _answers() -> Target | None:
    """Return the target of the answers of a process that counts."""
    counted = first_found("breakeven.commands.counted:counted")
    if counted is None:
        return None
    from breakeven.runs.reader import read

    lines = [
        {"cell": 0, "facts": {"operators": 60, "flops_by_format": {"float32": 1e9}, "moved_bytes": 1e6}},
        {"cell": 1, "unknown": "it cannot be traced"},
        {"cell": 2, "facts": {"operators_unknown": "a compiled model"}},
    ]

    def act(raw: bytes, current: bytes) -> None:
        def execute(job: Any) -> int:
            job.out.write_bytes(raw)
            for name in ("current", "late"):
                job.out.with_name(name).write_bytes(current)
            job.log.write_bytes(raw)
            return 1

        counted(read([FILE]), ".", execute)

    def prepare(rng: Random) -> Attempt:
        made = seeds.counted_file()
        for one in made["benchmarks"]:
            del one["extra_info"]["operators"]
        Path(FILE).write_bytes(as_json(made))
        raw, current = changed_lines(lines, rng), changed_text("1", rng).encode("utf-8", "surrogatepass")
        return Attempt(f"counted(...) of {raw[:500]!r}", lambda: answered(lambda: act(raw, current)))

    return Target("answers of a count", prepare, 4)


def _plan() -> Target | None:
    load = first_found("breakeven.experiment.workspace:load_plan", "breakeven.alternating.folder:_found")
    if load is None:
        return None

    def prepare(rng: Random) -> Attempt:
        Path("plan.json").write_bytes(changed_json(seeds.PLAN, rng))
        return Attempt("load_plan('.')", lambda: answered(lambda: load(Path())))

    return Target("plan.json", prepare, 6)


def _floor() -> Target | None:
    read = first_found(
        "breakeven.compare.noise_floor:read_floor", "breakeven.analysing.noise_floor:read_floor"
    )
    machine_of = first_found("breakeven.runs.machine:machine_of")
    if read is None:
        return None
    floor, machine = seeds.FLOOR, seeds.FLOOR["class_id"]
    if machine_of is None:  # version 1 has one time for each run
        floor = {**floor, "medians_s": {case: [1.0, None, 1.2] for case in floor["medians_s"]}}
    else:
        machine = machine_of(seeds.MACHINE)

    def prepare(rng: Random) -> Attempt:
        name = f"{floor['class_id']}.json" if rng.random() < 0.8 else "other.json"
        Path(name).write_bytes(changed_json(floor, rng))
        return Attempt("read_floor('.', machine)", lambda: answered(lambda: read(Path(), machine)))

    return Target("noise floor", prepare, 6)


def _cases() -> Target | None:
    read = first_found("breakeven.plugin.selection:read_selection", "breakeven.selection:selection_in")
    if read is None:
        return None

    def use(path: str) -> None:
        selection = read({"BREAKEVEN_CASES": path})
        if selection is not None:
            selection.check(["mlp train cpu batch=1 width=64"])

    def prepare(rng: Random) -> Attempt:
        text = changed_text(seeds.CASES, rng).encode("utf-8", "surrogatepass")
        Path(FILE).write_bytes(changed_bytes(text, rng) if rng.random() < 0.3 else text)
        path = (
            rng.choice((*DEVICES, *(text for text in TEXTS if "\0" not in text and "\ud800" not in text)))
            if rng.random() < 0.1
            else FILE
        )
        return Attempt(f"BREAKEVEN_CASES={path[:80]!r}", lambda: answered(lambda: use(path)))

    return Target("BREAKEVEN_CASES", prepare, 6)


def _machine() -> Target | None:
    of = first_found("breakeven.runs.machine:machine_of", "breakeven.analysing.naming:machine_of")
    differences = first_found("breakeven.runs.machine:differences")
    if of is None:
        return None

    def use(infos: list[Any]) -> None:
        machines = [of(info) for info in infos]
        if differences is not None:
            differences(machines)

    def prepare(rng: Random) -> Attempt:
        infos = [seeds.MACHINE, *(changed_value(seeds.MACHINE, rng) for _ in range(2))]
        return Attempt("differences(map(machine_of, ...))", lambda: answered(lambda: use(infos)))

    return Target("machine facts", prepare, 4)


def _glob() -> Target | None:
    matches = first_found("breakeven.globs:matches", "breakeven.analysing.history.accepted:matches")
    if matches is None:
        return None

    def prepare(rng: Random) -> Attempt:
        letters = rng.choice(("*a", "**?ab m[1]"))
        pattern = "".join(rng.choice(letters) for _ in range(rng.choice((3, 10, 40)))) + rng.choice(("", "!"))
        pattern, name = rng.choice((pattern, changed_text(pattern, rng))), "a" * 100 + " mlp[1] cuda b"
        return Attempt(f"matches({pattern[:200]!r}, ...)", lambda: answered(lambda: matches(pattern, name)))

    return Target("pattern", prepare, 4)


_SWEEPS = {
    None: {"batch_size": (1, 64), "width": (4, 8)},
    "full": {"batch_size": (1, 8, 64), "width": (4, None), "dtype": ("a", "b"), "x": (1.5, 2)},
}


def _sweep_option() -> Target | None:
    parse = first_found("breakeven.plugin.sweeps:parse_choice", "breakeven.sweeps:parse_choice")
    select, check = (
        first_found(f"breakeven.plugin.sweeps:{name}") for name in ("select_sweep", "check_choice")
    )
    if parse is None:
        return None

    def use(text: str) -> None:
        choice = parse(text)
        if select is not None:
            for sweeps in ({None: _SWEEPS[None]}, _SWEEPS):
                select(sweeps, choice)
            check(choice, [_SWEEPS])

    def prepare(rng: Random) -> Attempt:
        words = (
            "full",
            "short",
            "weak",
            "batch_size=1,64",
            "width=4",
            "width=None",
            "dtype=a,b",
            "x=1e3",
            "'a b'=1",
        )
        text = " ".join(rng.choice(words) for _ in range(rng.choice((1, 2, 3))))
        text = changed_text(text, rng) if rng.random() < 0.7 else text
        return Attempt(f"--breakeven-sweep={text[:200]!r}", lambda: answered(lambda: use(text)))

    return Target("sweep option", prepare, 6)


def _sweep_mark() -> Target | None:
    sweeps_of = first_found("breakeven.plugin.sweeps:sweeps_of", "breakeven.sweeps:sweeps_of")
    if sweeps_of is None:
        return None

    def prepare(rng: Random) -> Attempt:
        values = {"batch_size": [1, 64], "width": [4, None, 1.5, "a"], "dtype": ["a", "b"]}
        kwargs = changed_value(values, rng)
        kwargs = {str(key): value for key, value in kwargs.items()} if isinstance(kwargs, dict) else values
        args = rng.choice(((), (), ("full",), (hostile(rng),), ("a", "b")))
        function = _function(name for name in kwargs if name.isidentifier() and not iskeyword(name))
        function.pytestmark = [SimpleNamespace(name="sweep", args=args, kwargs=kwargs)]
        return Attempt(
            f"sweep({args!r:.100}, {kwargs!r:.300})", lambda: answered(lambda: sweeps_of(function))
        )

    return Target("sweep mark", prepare, 4)


def _function(names: Iterable[str]) -> Any:
    """Return a function whose signature has these arguments."""

    def bench_x() -> None:
        pass

    found: Any = bench_x
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    found.__signature__ = inspect.Signature([inspect.Parameter(n, kind) for n in ("train_benchmark", *names)])
    return found


def _of_text(name: str, places: tuple[str, ...]) -> Target | None:
    parse = first_found(*places)
    if parse is None:
        return None

    def prepare(rng: Random) -> Attempt:
        text = rng.choice(TEXTS)
        text = changed_text(text, rng) if rng.random() < 0.5 else text
        return Attempt(f"{places[0]}({text[:200]!r})", lambda: answered(lambda: parse(text)))

    return Target(name, prepare, 1)


def _fleet() -> Target | None:
    plan, node = first_found("breakeven.fleet.plan:plan"), first_found("breakeven.fleet.plan:Node")
    if plan is None:
        return None

    def prepare(rng: Random) -> Attempt:
        answers = {"n1": seeds.PROBE, "n2": {**seeds.PROBE, "machine": changed_value(seeds.FACTS, rng)}}
        nodes = [node(**facts) for facts in seeds.NODES]
        return Attempt(
            "plan(nodes, answers)", lambda: answered(lambda: plan(nodes, answers, "0.2.0").difference())
        )

    return Target("answers of nodes", prepare, 2)
