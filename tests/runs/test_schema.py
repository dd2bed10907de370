"""What one run file may hold, and what is refused."""

import json
import math

import numpy as np
import pytest

from breakeven.case import CaseKey
from breakeven.errors import NewerSchemaError, RunFileError
from breakeven.runs.reader import read, read_run
from breakeven.runs.schema import CaseFacts
from support.run_files import benchmark, outcome, run, write


def foreign(fullname="tests/test_x.py::test_sort", **stats):
    """A benchmark that breakeven did not measure."""
    return {"name": fullname.split("::")[-1], "fullname": fullname, "extra_info": {}, "stats": stats}


def run_of(tmp_path, *benchmarks, **parts):
    """The run of a file with these benchmarks."""
    return read_run(write(tmp_path / "r.json", run(benchmarks, **parts)))


def case_of(tmp_path, times=(1.0, 2.0), **extra):
    """The only case of a run with these times and this `extra_info`."""
    (case,) = run_of(tmp_path, benchmark(times, **extra)).cases.values()
    return case


def refusal(path, read=read_run, error=RunFileError):
    """The refusal of a file, without the file: one line that ends with a remedy."""
    with pytest.raises(error) as caught:
        read([path] if read is not read_run else path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert message.isprintable()
    assert ";" in message, "no remedy"
    return message.removeprefix(str(path)).removeprefix(": ")


def test_names(tmp_path):
    """A case of ours is named by its label, another by its fullname, or by its name without one."""
    unnamed = {"name": "test_a", "stats": {"median": 1.0}}
    found = run_of(tmp_path, benchmark([1.0, 2.0, 9.0]), foreign(data=[4.0, 6.0]), unnamed)
    assert {case.name: (case.median_s, case.key is None) for case in found.cases.values()} == {
        "mlp train cpu batch=64 width=128": (2.0, False),
        "tests/test_x.py::test_sort": (5.0, True),
        "test_a": (1.0, True),
    }


def test_key_has_the_machine_class(tmp_path):
    found = run_of(tmp_path, benchmark([1.0]), machine={"breakeven": {"class_id": "abc"}})
    key = CaseKey.of("mlp", 64, "train", "cpu", {"width": 128}, "abc")
    assert found.cases[key.label()].key == key


@pytest.mark.parametrize(
    ("data", "median"), [([3.0, 1.0], 2.0), ([3.0, 1.0, 9.0], 3.0), ([5.0], 5.0), ([0, 0.0], 0.0)]
)
def test_median(tmp_path, data, median):
    (case,) = run_of(tmp_path, benchmark(data)).cases.values()
    assert case.median_s == median
    assert case.times_s.tolist() == data, "in the order they ran"


def test_without_rounds(tmp_path):
    """A file that keeps statistics only gives its median, and no rounds."""
    kept = benchmark([1.0])
    kept["stats"] = {"median": 0.25, "rounds": 9}
    found = run_of(tmp_path, kept, foreign(median=0.5, rounds=3))
    assert [(case.median_s, len(case.times_s)) for case in found.cases.values()] == [(0.25, 0), (0.5, 0)]


def test_commit(tmp_path):
    """pytest-benchmark writes a branch in parentheses where there is none; dirty is a boolean or unknown."""
    content = run() | {"commit_info": {"id": "abc", "branch": "(detached head)", "dirty": "no"}}
    found = read_run(write(tmp_path / "r.json", content))
    assert (found.commit, found.branch, found.dirty) == ("abc", "", None)


def test_machine_state(tmp_path):
    state = {"device_init_s": {"cpu": 0, "cuda": 2.5, "mps": "soon", "xpu": -1}}
    content = run(machine={"breakeven": {"class_id": "abc", "state": state}}, outcomes=[])
    content["breakeven"]["command"] = "pytest\nbench"
    found = read_run(write(tmp_path / "r.json", content))
    assert found.state == state
    assert found.device_init_s == {"cpu": 0.0, "cuda": 2.5}
    assert found.command == "pytest\\nbench"
    assert (found.machine.class_id, found.machine.is_recorded) == ("abc", True)


def test_facts(tmp_path):
    """Facts and flags that make no sense are left out, and the case is kept."""
    (case,) = run_of(
        tmp_path,
        benchmark(
            [1.0],
            threads=2,
            first_call_s=0.5,
            compile_s=-1.0,
            flops="6",
            moved_bytes=True,
            capture_s=10**400,
            device_name=3,
            flops_unknown="why",
            parts_s={"zero_grad": 1, "x": None},
            flags=["noisy", 3, "", "own"],
        ),
    ).cases.values()
    assert case.facts == CaseFacts(
        threads=2.0, first_call_s=0.5, flops_unknown="why", parts_s={"zero_grad": 1.0}
    )
    assert case.flags == ("noisy", "own")


def test_facts_over_runs():
    """The median of each number over the runs that have it, and the first text."""
    one = CaseFacts(threads=2.0, flops=1.0, parts_s={"zero_grad": 1.0}, flops_unknown="a")
    two = CaseFacts(threads=4.0, flops=5.0, parts_s={"zero_grad": 3.0, "other": 7.0}, device_name="H100")
    three = CaseFacts(flops=2.0, device_name="L4", flops_unknown="b")
    assert CaseFacts.over_runs([one]) is one
    assert CaseFacts.over_runs([one, two, three]) == CaseFacts(
        threads=3.0,
        flops=2.0,
        parts_s={"zero_grad": 2.0, "other": 7.0},
        device_name="H100",
        flops_unknown="a",
    )


def test_outcomes(tmp_path):
    """A case without a timing is named as a timed one; without an identity, by its fullname."""
    found = run_of(
        tmp_path,
        benchmark([1.0], batch_size=1),
        outcomes=[
            outcome("oom", "too large", batch_size=4096),
            {"outcome": "failed", "fullname": "f::a", "extra_info": {"workload": "mlp"}},
            {
                "outcome": "own",
                "fullname": "f::b",
                "extra_info": {**outcome()["extra_info"], "axes": {"w": math.nan}},
            },
        ],
    )
    oom, failed, own = found.untimed.values()
    assert list(found.untimed) == ["mlp train cpu batch=4096 width=128", "f::a", "f::b"]
    assert (oom.outcome, oom.reason, oom.key.batch_size) == ("oom", "too large", 4096)
    assert (failed.outcome, failed.reason, failed.key) == ("failed", "", None)
    assert (own.outcome, own.key) == ("own", None)


def test_a_timed_case_is_not_untimed(tmp_path):
    found = run_of(tmp_path, benchmark([1.0]), outcomes=[outcome("failed", "in its teardown")])
    assert (found.untimed, len(found.outcomes)) == ({}, 1)


def test_no_benchmarks(tmp_path):
    """A file without benchmarks is an empty run for `compare`, and refused for a report."""
    path = write(tmp_path / "r.json", run())
    assert read_run(path).cases == {}
    assert "no benchmarks" in refusal(path, read)


def test_digest(tmp_path):
    """A run is known again in another order and another file, and differs where its time does."""
    benchmarks = [benchmark([1.0, 2.0], batch_size=b) for b in (1, 2)]

    def of(name, *rows, **parts):
        return read_run(write(tmp_path / name, run(rows, **parts)))

    first, again = of("a.json", *benchmarks), of("b.json", *benchmarks[::-1])
    later = of("c.json", *benchmarks, when="2026-01-02T03:05:00+00:00")
    assert first.digest == again.digest != later.digest
    assert first.rounds_digest == again.rounds_digest == later.rounds_digest
    other = of("d.json", benchmarks[0], benchmark([1.0, 3.0], batch_size=2))
    assert other.rounds_digest != first.rounds_digest
    assert other.digest != first.digest
    ended = of("e.json", *benchmarks, outcomes=[outcome(batch_size=8)])
    assert (ended.digest == first.digest, ended.rounds_digest == first.rounds_digest) == (False, True)
    assert of("f.json").rounds_digest != of("g.json", outcomes=[outcome()]).rounds_digest


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[(key, bad) for key in ("workload", "phase", "device") for bad in (1, None, "", " ", ["x"])],
        *[("batch_size", bad) for bad in (-1, 1.0, "64", None, 2**53 + 1, 10**300)],
        *[("axes", bad) for bad in (None, "width=1", {"w": [math.inf]}, {"w": {"x": math.nan}})],
        *[("schema", bad) for bad in ("1", None, True, 0, -1, 1.0)],
    ],
)
def test_wrong_key(tmp_path, key, value):
    """A required key of the wrong kind is refused by its name."""
    broken = benchmark([1.0])
    broken["extra_info"][key] = value
    assert f"extra_info.{key}: " in refusal(write(tmp_path / "r.json", run([broken])))


@pytest.mark.parametrize("value", [10**18, 10**300])
def test_newer_schema(tmp_path, value):
    for content in (
        run([benchmark([1.0], schema=value)]),
        run([benchmark([1.0])]) | {"breakeven": {"schema": value}},
    ):
        path = write(tmp_path / "r.json", content)
        assert "upgrade breakeven" in refusal(path, error=NewerSchemaError)


@pytest.mark.parametrize(("data", "at"), [([True, 1.0], "[0]"), ([1.0, "\ud800"], "[1]"), ({"0": 1.0}, "")])
def test_impossible_times(tmp_path, data, at):
    """Times that cannot be are refused by their index; the golden errors have more kinds."""
    broken = benchmark([1.0])
    broken["stats"]["data"] = data
    message = refusal(write(tmp_path / "r.json", run([benchmark([1.0], device="cuda"), broken])))
    assert message.startswith("benchmarks[1] (bench/bench_x.py::")
    assert f"stats.data{at}: " in message


def test_processes(tmp_path):
    """The rounds of each process, in their order; the median is that of the processes' medians."""
    case = case_of(tmp_path, times=[1.0, 3.0, 5.0, 9.0, 9.0, 9.0], processes=[2, 0, 1, 3])
    assert case.processes == (2, 0, 1, 3)
    assert [sample.tolist() for sample in case.samples] == [[1.0, 3.0], [], [5.0], [9.0, 9.0, 9.0]]
    assert case.process_medians_s.tolist() == pytest.approx([2.0, math.nan, 5.0, 9.0], nan_ok=True)
    assert case.median_s == 5.0


@pytest.mark.parametrize("rounds", [1, 2, 3, 8])
def test_equal_processes(tmp_path, rounds):
    """Of processes with as many rounds each, as of any others."""
    times = np.random.default_rng(rounds).random(5 * rounds)
    case = case_of(tmp_path, times=times.tolist(), processes=[rounds] * 5)
    assert case.process_medians_s == pytest.approx(np.median(times.reshape(5, rounds), axis=1))


def test_one_process(tmp_path):
    """A file that does not record its processes has one."""
    case = case_of(tmp_path, times=[1.0, 2.0, 9.0])
    assert (case.processes, [sample.tolist() for sample in case.samples]) == ((), [[1.0, 2.0, 9.0]])
    assert (case.process_medians_s.tolist(), case.median_s) == ([2.0], 2.0)


@pytest.mark.parametrize(
    ("processes", "at", "problem"),
    [
        ([2, 2], "extra_info.processes", "sum to 4, and `data` has 3"),
        ([], "extra_info.processes", "sum to 0, and `data` has 3"),
        ([4, -1], "extra_info.processes[1]", "-1"),
        ([1.5, 1.5], "extra_info.processes[0]", "float"),
        ("3", "extra_info.processes", "str"),
        ({"0": 3}, "extra_info.processes", "object"),
    ],
)
def test_impossible_processes(tmp_path, processes, at, problem):
    """One line: file, field, remedy."""
    content = run([benchmark([1.0, 2.0, 3.0], processes=processes)])
    message = refusal(write(tmp_path / "r.json", content))
    assert message.startswith("benchmarks[0] (bench/bench_x.py::")
    assert f".{at}: " in message
    assert problem in message
    assert "measure again" in message


@pytest.mark.parametrize("data", [[0.0], [1e9], [1e-15]])
def test_extreme_values(tmp_path, data):
    (case,) = run_of(tmp_path, benchmark(data, batch_size=2**53, parts_s=[1.0], flags="noisy")).cases.values()
    assert (case.times_s.tolist(), case.key.batch_size) == (data, 2**53)
    assert (case.facts.parts_s, case.flags) == ({}, ())


@pytest.mark.parametrize(
    ("benchmarks", "where"),
    [
        ([foreign(), foreign()], "benchmarks[0] (tests/test_x.py::test_sort).stats.median: None"),
        ([foreign(median=math.nan)], "stats.median: nan"),
        ([foreign(median=-1.0)], "stats.median: -1.0"),
        ([foreign(data=[])], "stats.data: is empty"),
        ([foreign(data=[1.0, -1.0])], "stats.data[1]: -1.0"),
        ([{"stats": {"median": 1.0}}], "benchmarks[0].fullname: is missing"),
        ([{"fullname": "a", "stats": None}], "benchmarks[0] (a).stats: is missing"),
        ([7], "benchmarks[0]: 7"),
    ],
)
def test_refused_benchmarks(tmp_path, benchmarks, where):
    assert where in refusal(write(tmp_path / "r.json", run(benchmarks)))


@pytest.mark.parametrize(
    ("ours", "where"),
    [
        ({"schema": 1, "outcomes": 0}, "breakeven.outcomes: 0"),
        ({"schema": 1, "outcomes": ""}, "breakeven.outcomes: ''"),
        ({"schema": 1, "outcomes": [{"outcome": ""}]}, "breakeven.outcomes[0].outcome: ''"),
        ({"schema": 1, "outcomes": [{"outcome": "oom"}, {"outcome": 1}]}, "breakeven.outcomes[1].outcome: 1"),
    ],
)
def test_refused_outcomes(tmp_path, ours, where):
    assert refusal(write(tmp_path / "r.json", {**run(), "breakeven": ours})).startswith(where)


def test_surrogates(tmp_path):
    """A file with half a surrogate pair, in a name or in an unused key, is read."""
    content = run(
        [benchmark([1.0], workload="a\ud800b", **{"\ud800": 1})],
        [
            outcome(workload="c\ud800"),
            {"outcome": "oom", "\ud800": 1, "fullname": "f", "extra_info": "\ud800"},
        ],
    )
    found = read_run(write(tmp_path / "r.json", json.dumps(content)))
    assert [case.key.phase for case in found.cases.values()] == ["train"]
    assert [one.outcome for one in found.outcomes] == ["oom", "oom"]


def test_budget_is_noisy(tmp_path):
    """A flag of version 1 that is another one now."""
    for flags, now in (
        (["noisy", "budget", "drift"], ("noisy", "drift")),
        (["budget"], ("noisy",)),
        (["drift", "budget"], ("drift", "noisy")),
        (["later"], ("later",)),
    ):
        assert case_of(tmp_path, flags=flags).flags == now


@pytest.mark.parametrize(
    ("phase", "device", "steps", "waits"),
    [
        ("train", "cuda", ..., True),
        ("train", "cuda:1", None, True),
        ("train", "cuda", "50", True),
        ("train", "cuda", 1, False),
        ("train", "cpu", ..., False),
        ("train", "cpu@best", ..., False),
        ("train_sync", "cuda", ..., False),
        ("forward", "cuda", ..., False),
    ],
)
def test_waiting_for_an_accelerator(tmp_path, phase, device, steps, waits):
    assert case_of(tmp_path, phase=phase, device=device, steps=steps).waits is waits
