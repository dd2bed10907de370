"""Merging run files: the same bytes in any order, and what does not belong together is refused."""

import copy
import json
import math
from functools import reduce

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.errors import DifferentMachinesError, RunFileError, SeparateRunsError, UsageError
from breakeven.fitness import Load, Look
from breakeven.render.report_data import to_json
from breakeven.report.processes import interrupted_sentences
from breakeven.report.report import analyze
from breakeven.runs.merging import Merged
from breakeven.runs.reader import read, read_side
from breakeven.runs.schema import checked
from support.run_files import CPU_BOX, affine_run, benchmark, outcome, run, write

CLASS = {"cpu": "EPYC", "cores": 2, "torch": "2.8.0"}


def merged(*contents):
    """The bytes of these run files as one."""
    found = Merged()
    for place, content in enumerate(contents):
        found.add(copy.deepcopy(content), f"{'abcdefgh'[place]}.json")
    found.check()
    return found.as_json()


def again(raw):
    """The content of a merged file, as a reader has it; NaN is refused."""
    return json.loads(raw, parse_constant=lambda word: pytest.fail(f"{word} in the file"))


def machine(instance="one", state=None, **facts):
    """The `machine_info` of an instance of the class."""
    facts = {**CLASS, **facts}
    ours = {"class": facts, "class_id": repr(sorted(facts.items())), "instance_id": instance}
    return {**CPU_BOX, "node": instance, "breakeven": {**ours, "state": state or {}}}


def shard(index, cases=(), outcomes=(), count=4, when=None, **ours):
    """The run file of a shard; `cases` are benchmarks."""
    content = run(cases, outcomes, machine(f"box{index}"), when or f"2026-01-02T03:04:0{index}+00:00")
    record = {"index": index, "count": count, "cells": 1, "sweep_cells": count, "sweep_id": "s"}
    content["breakeven"] |= {"shard": record, "complete": True, "spent_s": {"timing": 0.1 * index}, **ours}
    return content


def case(number, processes=2, **identity):
    """A benchmark of a cell, always with the same rounds."""
    rng = np.random.default_rng(number)
    data = rng.random(2 * processes + number).tolist()
    return benchmark(
        data,
        batch_size=number + 1,
        processes=[len(data) - 2 * processes + 2, *[2] * (processes - 1)],
        **identity,
    )


def timings(raw):
    """The rounds of each case by process, without the processes that gave none."""
    found = checked(again(raw) if isinstance(raw, bytes) else raw, "run.json", plain=True)
    return {name: [one.tolist() for one in case.samples if len(one)] for name, case in found.cases.items()}


# Cases 0 to 3 are timed or skipped, 4 and 5 never timed; the rounds depend on the case alone.
@st.composite
def run_files(draw):
    """A run file of a sweep, whose cases other files may have as well."""
    index = draw(st.integers(1, 4))
    timed = draw(st.sets(st.integers(0, 3), max_size=3))
    skipped = draw(st.sets(st.integers(0, 3), max_size=2)) - timed
    ended = draw(st.sets(st.integers(4, 5)))
    cases = draw(st.permutations([case(number, device=d) for number in timed for d in ("cpu", "cuda")]))
    if draw(st.booleans()):
        plain = case(9)
        plain["extra_info"] = {}
        cases = [plain, *cases]
    outcomes = [outcome("skipped", draw(st.sampled_from(["not reached: x", "no data"])), batch_size=n + 1)
                for n in sorted(skipped)]  # fmt: skip
    outcomes += [outcome(draw(st.sampled_from(["oom", "failed"])), "why", batch_size=n + 1) for n in ended]
    ours = {"processes": [{"seed": n} for n in range(draw(st.integers(0, 3)))]}
    if draw(st.booleans()):
        ours["command"] = f"pytest bench --breakeven-shard={index}/4 \ud800"
    return shard(index, cases, outcomes, when=f"2026-01-0{draw(st.integers(1, 3))}", **ours)


QUICKLY = settings(max_examples=60, deadline=None, derandomize=True)


@QUICKLY
@given(st.lists(run_files(), min_size=1, max_size=5), st.data())
def test_any_order_and_grouping(files, data):
    """The same files give the same bytes: in any order, one by one, in groups, and given twice."""
    whole = merged(*files)
    assert merged(*data.draw(st.permutations(files))) == whole
    assert merged(*files, *files[:2]) == whole
    assert reduce(lambda so_far, one: merged(again(so_far), one), files, merged(files[0])) == whole
    cut = data.draw(st.integers(1, len(files)))
    groups = [group for group in (files[:cut], files[cut:]) if group]
    assert merged(*(again(merged(*group)) for group in reversed(groups))) == whole
    assert merged(again(whole)) == whole
    assert merged(again(whole), data.draw(st.sampled_from(files))) == whole


@QUICKLY
@given(st.lists(run_files(), min_size=1, max_size=4))
def test_nothing_is_lost(files):
    """Every case keeps its rounds and processes; what no file has timed is listed, once."""
    whole = again(merged(*files))
    expected = {name: rounds for content in files for name, rounds in timings(content).items()}
    assert timings(whole) == expected
    found = checked(whole, "run.json", plain=True)
    ended = {one.name for content in files for one in checked(content, "x", plain=True).outcomes}
    assert [one.name for one in found.outcomes] == sorted(ended - expected.keys(), key=lambda n: (len(n), n))
    heads = [{**one, "benchmarks": 0, "breakeven": {**one["breakeven"], "outcomes": 0}} for one in files]
    assert found.parts == len(set(map(json.dumps, heads)))
    columns = [set(np.flatnonzero(one.processes)) for one in found.cases.values() if one.key]
    assert all(max(column) < len(found.processes) for column in columns)


@QUICKLY
@given(st.lists(run_files(), min_size=2, max_size=4), st.data())
def test_refused_in_any_order(files, data):
    """Files that do not belong together are refused however they are grouped."""
    change = data.draw(st.sampled_from(["class", "commit", "sweep", "setting", "rounds", "outcome"]))
    odd, error = copy.deepcopy(files[0]), SeparateRunsError
    files[1]["benchmarks"], files[1]["breakeven"]["outcomes"] = [case(0)], []
    files[1]["breakeven"]["settings"] = {"cudnn": "True"}
    files[1]["machine_info"], odd["machine_info"] = machine(), machine()
    odd["benchmarks"], odd["breakeven"]["outcomes"] = [], []
    if change == "class":
        odd["machine_info"], error = machine(torch="2.9.0"), DifferentMachinesError
    elif change == "commit":
        odd["commit_info"] = {"id": "f" * 16}
    elif change == "sweep":
        odd["breakeven"]["shard"]["sweep_id"] = "t"
    elif change == "setting":
        odd["breakeven"]["settings"] = {"cudnn": "False"}
    elif change == "rounds":
        odd["benchmarks"] = [case(0)]
        odd["benchmarks"][0]["stats"]["data"][0] *= 1 + 1e-15
    else:
        odd["breakeven"]["outcomes"] = [outcome("crashed", "why", batch_size=1)]
    every = data.draw(st.permutations([*files, odd]))
    with pytest.raises(error):
        merged(*every)
    with pytest.raises(error):
        reduce(lambda so_far, one: merged(again(so_far), one), every, merged(every[0]))


OTHER_SWEEP = {"index": 1, "count": 2, "cells": 1, "sweep_cells": 2, "sweep_id": "s"}
SHARD = {**OTHER_SWEEP, "count": 4, "sweep_cells": 4}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"machine_info": machine(torch="2.9.0")},
            "a.json and b.json are of different machine classes (torch: 2.8.0 and 2.9.0); merge the shards "
            "of one class, and give such files to `breakeven report` or",
        ),
        (
            {"commit_info": {"id": "fff"}},
            "the commit of a.json and b.json differs (0123456789abcdef and fff); merge runs of one commit",
        ),
        (
            {"benchmarks": [benchmark([1.0] * 6, batch_size=1)]},
            "mlp train cpu batch=1 width=128 has other rounds in a.json and b.json: these are separate runs "
            "of the same case; give such files to `breakeven report` or `breakeven compare` side by side",
        ),
        (
            {"breakeven": {"schema": 1, "shard": SHARD, "outcomes": [outcome("oom", "x", batch_size=1)]}},
            "mlp train cpu batch=1 width=128 is timed in a.json, and in b.json it is oom: these are separate",
        ),
        (
            {"breakeven": {"schema": 1, "settings": {"cudnn": "False"}}},
            "torch's setting cudnn of a.json and b.json differs (True and False); measure all parts with",
        ),
        (
            {"breakeven": {"schema": 1, "shard": OTHER_SWEEP}},
            "the sweep of a.json and b.json differs (4 shards of 4 cells, s and 2 shards of 2 cells, s); ",
        ),
    ],
)
def test_refusals(change, message):
    """One line names the files, what differs, and what to do."""
    first = shard(1, [case(0)], settings={"cudnn": "True"})
    other = {**shard(2), **change}
    with pytest.raises((SeparateRunsError, DifferentMachinesError)) as caught:
        merged(first, other)
    assert str(caught.value).startswith(message)
    assert caught.value.exit_code == 3
    assert len(str(caught.value)) < 330


def test_networks_of_one_name():
    """Parts without a common number of parameters are of two networks, also at other batch sizes."""
    small, large = (shard(i, [case(i, parameters=n)]) for i, n in ((1, 650), (2, 3760)))
    unknown, both = shard(3, [case(3)]), shard(2, [case(2, parameters=3760), case(4, parameters=650)])
    merged(small, unknown, both)
    for files in ((small, large), (again(merged(small, unknown)), large)):
        with pytest.raises(SeparateRunsError) as caught:
            merged(*files)
        assert str(caught.value) == (
            "mlp width=128 has 650 parameters in a.json and 3,760 in b.json: these are two networks of one "
            "name; give them different names or axes"
        )
        assert caught.value.exit_code == 3


def test_a_shard_and_a_whole_run():
    """Only runs that are not shards, or shards of one sweep, are merged."""
    first, second = (run([case(n)], [], machine(), f"2026-01-0{n}") for n in (1, 2))
    assert len(timings(merged(first, second))) == 2
    for files in ((first, shard(3, [case(3)])), (again(merged(shard(3, [case(3)]))), first)):
        with pytest.raises(SeparateRunsError, match=r"is a shard of a sweep, and [ab]\.json is not; "):
            merged(*files)


def test_unknown_facts_are_no_difference():
    """A class, a commit or a setting that only one of two files records does not separate them."""
    known, unknown = shard(1, [case(0)], settings={"cudnn": "True"}), shard(2, [case(1)])
    del unknown["machine_info"]["breakeven"]["class"]["torch"]
    unknown["commit_info"] = {"id": "unversioned", "dirty": None}
    assert len(timings(merged(known, unknown))) == 2


def test_processes_of_a_case():
    """They follow those of the parts that were measured before, because no two parts share a process."""
    content = again(merged(shard(2, [case(1, processes=3)]), shard(1, [case(0)])))
    assert [item["extra_info"]["processes"] for item in content["benchmarks"]] == [[2, 2], [0, 0, 3, 2, 2]]
    parts = content["breakeven"]["parts"]
    assert [part["processes"] for part in parts] == [2, 3]
    assert [item["extra_info"]["part"] for item in content["benchmarks"]] == [part["id"] for part in parts]
    assert [part["run"]["machine_info"]["node"] for part in parts] == ["box1", "box2"]
    assert len(content["breakeven"]["processes"]) == 5


def test_order_of_keys():
    """A file that another program has written again, with its keys in another order, is the same file."""
    content = shard(1, [case(0)], [outcome("oom", "x", batch_size=9)], settings={"b": "1", "a": "2"})
    same = json.loads(json.dumps(content, sort_keys=True))
    assert len(again(merged(content, same))["breakeven"]["parts"]) == 1
    assert merged(content, same) == merged(same, content) == merged(again(merged(same)), content)


def test_same_rounds_in_two_runs():
    """The case is in one of them, the same one in any order, also if they count its processes otherwise."""
    files = [shard(1, [case(0)]), shard(2, [case(0), case(1)]), shard(1, [case(0)])]
    files[2]["benchmarks"][0]["extra_info"]["processes"] += [0]
    orders = [files, files[::-1], [files[1], files[2], files[0]]]
    assert len({merged(*order) for order in orders}) == 1
    assert merged(again(merged(*files[:2])), files[2]) == merged(files[0], again(merged(*files[1:])))


def test_statistics_alone():
    """A file without rounds has its medians compared; a huge integer is kept."""
    one, other = (shard(1, [case(0, size=10**30)]) for _ in (1, 2))
    for content, median_s in ((one, 1.0), (other, 2.0)):
        content["benchmarks"][0]["stats"] = {"median": median_s}
    assert again(merged(one, one))["benchmarks"][0]["extra_info"]["size"] == 10**30
    with pytest.raises(SeparateRunsError):
        merged(one, other)


def test_outcome_beside_a_timing():
    """A case that its own file has timed is timed, whatever else the file lists."""
    content = shard(1, [case(0)], [outcome("failed", "later", batch_size=1)])
    assert again(merged(content))["breakeven"]["outcomes"] == []


def test_processes_without_a_timing():
    """A process that timed nothing, or that no case has counted, is one of its part."""
    first = shard(1, [], processes=[{"seed": 0}, {"seed": 1}, {"seed": 2}])
    content = again(merged(first, shard(2, [case(0)]), shard(3, [])))
    assert [part["processes"] for part in content["breakeven"]["parts"]] == [3, 2, 1]
    assert content["benchmarks"][0]["extra_info"]["processes"] == [0, 0, 0, 2, 2]


def test_file_without_processes():
    """Its rounds are those of one process."""
    first, second = (shard(i, [benchmark([1.0] * 6, batch_size=i)]) for i in (1, 2))
    content = again(merged(first, second))
    assert [item["extra_info"]["processes"] for item in content["benchmarks"]] == [[6], [0, 6]]


def test_order_of_cases():
    """It is by model, batch size, device and phase."""
    identities = [
        {"axes": {"width": width}, "batch_size": batch, "device": device, "phase": phase}
        for width in (64, 512)
        for batch in (1, 16, 256)
        for device in ("cpu", "cpu@1", "cuda", "2xcuda")
        for phase in ("forward", "train")
    ]
    cases = [benchmark([1.0] * 6, **identity) for identity in identities]
    content = again(merged(shard(1, cases[::-2]), shard(2, cases[::2])))
    assert [item["name"] for item in content["benchmarks"]] == [item["name"] for item in cases]


def test_facts_of_the_whole():
    """They follow from all parts: sums, the last date, and what is the same in each."""
    first = shard(1, [case(0)], wall_s=2.0, command="one", settings={"a": "x"}, processes=[{"seed": 0}])
    second = shard(2, [case(1)], wall_s=3.0, command="two", settings={"a": "x"}, complete=False)
    first["commit_info"]["dirty"] = True
    content = again(merged(first, second))
    ours = content["breakeven"]
    assert (content["datetime"], content["version"]) == ("2026-01-02T03:04:02+00:00", "5.3.1")
    assert content["commit_info"] == {"id": "0123456789abcdef", "dirty": True}
    assert "instance_id" not in content["machine_info"]["breakeven"]
    assert content["machine_info"]["breakeven"]["class"] == CLASS
    assert (ours["wall_s"], ours["command"], ours["complete"]) == (5.0, "one; two", False)
    assert ours["spent_s"] == {"timing": pytest.approx(0.3)}
    assert ours["settings"] == {"a": "x"}
    assert ours["processes"] == [{"seed": 0}, {}, {}, {}]
    assert again(merged(first))["machine_info"]["breakeven"]["instance_id"] == "box1"
    assert again(merged(first))["breakeven"]["complete"] is True


@pytest.mark.parametrize("dirty", [0, 1, 2])
def test_one_dirty_part(dirty):
    """Whichever part it is, the whole is dirty."""
    parts = [shard(index + 1, [case(index)]) for index in range(3)]
    parts[dirty]["commit_info"]["dirty"] = True
    assert again(merged(*parts))["commit_info"]["dirty"] is True


def canary(start_s, end_s):
    """A canary's times at two moments."""
    return {"start": {"median_s": start_s, "low_s": start_s, "high_s": start_s},
            "end": {"median_s": end_s, "low_s": end_s, "high_s": end_s}}  # fmt: skip


def test_state_of_the_whole():
    """The canary is that of the part in the middle, so that a difference of machines is not drift."""
    retimed = {"case": "x"}
    states = [
        {"canary": {"cpu": canary(1.0, 1.0)}, "device_init_s": {"cuda": 1.0}, "end": "first"},
        {"canary": {"cpu": canary(2.0, 2.1)}, "device_init_s": {"cuda": 3.0}, "retimed": [retimed]},
        {"canary": {"cpu": canary(9.0, 9.0)}, "device_init_s": {"cuda": 2.0}, "end": "last", "loads": [{}]},
    ]
    files = [shard(i + 1, [case(i)]) for i in range(3)]
    for content, state in zip(files, states, strict=True):
        content["machine_info"]["breakeven"]["state"] = state
    content = again(merged(*files))
    assert content["machine_info"]["breakeven"]["state"] == {
        "canary": {"cpu": canary(2.0, 2.1)}, "device_init_s": {"cuda": 2.0}, "end": "last", "loads": [{}],
        "retimed": [retimed],
    }  # fmt: skip
    records = content["breakeven"]["processes"]
    assert [record.get("canary") for record in records] == [s["canary"] for s in states for _ in (0, 1)]


def test_busy_part():
    """The look at a busy machine is kept, whichever part it is of."""
    found = [Look(Load(2, used, 0.0, used)).as_dict() for used in (0.0, 0.9)]
    looks = json.loads(json.dumps(found))
    files = [shard(i + 1, [case(i)]) for i in range(2)]
    for content, look in zip(files, looks, strict=True):
        content["machine_info"]["breakeven"]["state"] = {"look": look}
    assert again(merged(*files))["machine_info"]["breakeven"]["state"]["look"] == looks[1]


def test_outcomes():
    """A skipped case that another file timed is timed; of two outcomes the more serious one is kept."""
    skip = outcome("skipped", "not reached: x", batch_size=1)
    files = [
        shard(1, [case(0)],
              [outcome("skipped", "no data", batch_size=7), outcome("oom", "big", batch_size=8)]),
        shard(2, [], [skip, outcome("skipped", "not reached: x", batch_size=7),
                      outcome("crashed", "gone", batch_size=8)]),
    ]  # fmt: skip
    for order in (files, files[::-1]):
        found = checked(again(merged(*order)), "run.json", plain=True)
        assert list(found.cases) == ["mlp train cpu batch=1 width=128"]
        assert [(one.outcome, one.reason) for one in found.outcomes] == [
            ("skipped", "no data"),
            ("crashed", "gone"),
        ]


def test_missing_shards():
    """They are those without a file, unless the others have every cell: an empty shard has no file."""

    def missing(*files):
        return again(merged(*files))["breakeven"]["missing_shards"]

    files = {index: shard(index, [case(index)]) for index in (1, 2, 3, 4)}
    assert missing(*files.values()) == []
    assert missing(files[2], files[4]) == ["1/4", "3/4"]
    files[2]["breakeven"]["shard"]["cells"] = 3
    assert missing(files[2], files[4]) == []
    assert missing(run([case(0)])) == []


def test_report_of_a_part_of_the_shards(tmp_path):
    """It warns, and a merged run that was stopped does not claim in which process."""
    content = again(merged(shard(1, [case(0)], complete=False)))
    path = write(tmp_path / "run.json", content)
    assert read([path]).warnings == (
        "shards 2, 3, 4 of 4 of the sweep are not in these files; measure, and add them",
    )
    two = write(
        tmp_path / "two.json", again(merged(shard(1, [case(0)], complete=False), shard(2, [case(1)])))
    )
    assert list(interrupted_sentences(read([two]).runs)) == [
        "two.json was interrupted: 0 of 2 cases have no timing."
    ]


def test_report_of_shards_side_by_side(tmp_path):
    """Of a sweep, merged or not, one line lists the shards that are in none of the files."""
    one, two, three, four = (write(tmp_path / f"{n}.json", shard(n, [case(n)])) for n in (1, 2, 3, 4))
    both = write(tmp_path / "both.json", again(merged(shard(1, [case(1)]), shard(2, [case(2)]))))
    for paths in ([one, two, three], [both, three]):
        assert read(paths).warnings == (
            "shard 4 of 4 of the sweep is not in these files; measure, and add it",
        )
    assert len(read([two]).warnings) == 1
    assert read([one, two, three, four]).warnings == read([both, three, four]).warnings == ()


def test_report_is_that_of_the_files(tmp_path):
    """The same numbers: a merged file claims no process that its cases would share."""
    contents = [
        affine_run(
            {"cpu": (1, 1), "cuda": (33, 0.2)}, batches=batches, seed=seed, n=30, when=f"2026-01-0{seed}"
        )
        for seed, batches in ((1, (1, 64)), (2, (8, 512)))
    ]
    for content in contents:
        for item in content["benchmarks"]:
            item["extra_info"]["processes"] = [10, 10, 10]
    paths = [write(tmp_path / f"{i}.json", content) for i, content in enumerate(contents)]
    whole = write(tmp_path / "run.json", merged(*contents).decode())

    def numbers(*files):
        found = json.loads(to_json(analyze(read(files))))
        return {name: found[name] for name in ("verdict", "break_even", "speedup")}

    assert numbers(whole) == numbers(*paths)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content["breakeven"]["parts"].pop(), "benchmarks[1].extra_info.part: "),
        (lambda content: content["breakeven"].update(parts=[{}]), "breakeven.parts[0].id: is missing"),
        (
            lambda content: content["breakeven"]["parts"][0].update(processes=0),
            "breakeven.parts[0].processes: 0: ",
        ),
        (
            lambda content: content["breakeven"]["parts"][0]["run"]["breakeven"].update(shard=3),
            "breakeven.shard: 3: ",
        ),
        (lambda content: content["benchmarks"][0]["stats"].update(data=[]), "benchmarks[0] ("),
    ],
)
def test_damaged_file(change, message):
    content = again(merged(shard(1, [case(0)]), shard(2, [case(1)])))
    change(content)
    with pytest.raises(RunFileError) as caught:
        merged(content)
    assert str(caught.value).startswith(f"a.json: {message}")


def test_odd_values():
    """Lone surrogates, huge integers and infinities stay readable, and are the same bytes again."""
    content = shard(
        1,
        [benchmark([1.0] * 6, note="\ud800", size=10**30, bad=math.nan)],
        reason=[math.inf, {"x": math.nan}],
    )
    raw = merged(content, shard(2, [case(1)]))
    assert (
        again(raw)["benchmarks"][1]["extra_info"] | {"note": "\ud800", "size": 10**30, "bad": None}
        == (again(raw)["benchmarks"][1]["extra_info"])
    )
    assert merged(again(raw)) == raw


def test_file_beside_its_merge(tmp_path):
    """It is used once: a copy is not a second run."""
    files = [shard(1, [case(0)]), shard(2, [case(1)])]
    part, whole = (
        write(tmp_path / f"{i}.json", one) for i, one in enumerate([files[0], again(merged(*files))])
    )
    other = write(tmp_path / "other.json", shard(3, [case(0, processes=3)]))
    for paths in ([part, whole, other], [other, whole, part]):
        found = read(paths)
        assert sorted(run.path for run in found.runs) == sorted([whole, other])
        assert f"{part} is in {whole}; it is used once" in found.warnings
        with pytest.raises(
            UsageError, match=r"0\.json is in .*1\.json on one side, and a copy is not a second"
        ):
            read_side(paths)
    assert len(read_side([whole, other])) == 2
    more = write(tmp_path / "more.json", shard(4, [case(0), case(1)]))  # not merged: who knows of what
    assert len(read([part, more]).runs) == len(read_side([part, more])) == 2
    assert len(read_side([part, other])) == 2
