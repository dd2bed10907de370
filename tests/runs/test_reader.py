"""What a run file may hold, and the one line that refuses everything else."""

import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from breakeven.case import axes_text
from breakeven.errors import RunFileError, UsageError
from breakeven.format import one_line
from breakeven.runs import reader
from breakeven.runs.machine import machine_of
from support.run_files import CPU_BOX, REQUIRED, affine_run, benchmark, outcome, run, write


def refusal(path):
    """The refusal of a file; it is one line that begins with the file."""
    with pytest.raises(RunFileError) as caught:
        reader.read([path])
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert ";" in message, "a refusal ends in a remedy"
    return message


def test_a_file_becomes_a_frame_of_rounds_with_the_identifiers_first(tmp_path):
    path = write(
        tmp_path / "run.json", run([benchmark([0.5, 0.25], device="cpu@1", axes={"w": 2, "d": "x"})])
    )
    read = reader.read([path])
    assert list(read.rounds) == [*reader.IDENTITY, "round", "latency_s"]
    assert read.rounds["latency_s"].tolist() == [0.5, 0.25]
    assert read.rounds["round"].tolist() == [0, 1]
    first = read.rounds.iloc[0]
    assert (first["run"], first["workload"], first["axes"], first["batch_size"]) == (
        "run.json",
        "mlp",
        "d=x w=2",
        64,
    )
    assert (first.phase, first.device, first.machine) == ("train", "cpu@1", "AMD EPYC, 2 cores")
    assert read.axes["d=x w=2"] == {"w": 2, "d": "x"}


def test_facts_of_a_case_stand_in_their_own_frame(tmp_path):
    path = write(tmp_path / "r.json", run([benchmark([1.0], threads=2, first_call_s=0.5, flags=["noisy"])]))
    facts = reader.read([path]).facts.iloc[0]
    assert (facts["threads"], facts["first_call_s"], facts["flags"], facts["device_name"]) == (
        2,
        0.5,
        ("noisy",),
        None,
    )


def test_only_outcomes_are_a_run_too(tmp_path):
    read = reader.read([write(tmp_path / "r.json", run([], [outcome(device="cuda"), {"outcome": "failed"}]))])
    assert read.rounds.empty
    assert read.outcomes["outcome"].tolist() == ["oom", "failed"]
    assert read.outcomes["device"].tolist() == ["cuda", None]


@pytest.mark.parametrize("key", REQUIRED)
def test_a_benchmark_without_one_required_key_is_refused_by_its_name(tmp_path, key):
    message = refusal(write(tmp_path / "r.json", run([benchmark([1.0], **{key: ...})])))
    assert f"extra_info.{key}: is missing" in message


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[(key, bad) for key in ("workload", "phase", "device") for bad in (1, None, "", " ", ["x"])],
        *[("batch_size", bad) for bad in (0, -1, 1.0, "64", True, None, 2**60, 10**300)],
        *[("axes", bad) for bad in ([], None, "width=1", {"w": math.nan}, {"w": [math.inf]})],
        *[("schema", bad) for bad in ("1", None, True, 0, -1, 1.0)],
    ],
)
def test_a_required_key_of_the_wrong_kind_is_refused_by_its_name(tmp_path, key, value):
    broken = benchmark([1.0])
    broken["extra_info"][key] = value
    assert f"extra_info.{key}" in refusal(write(tmp_path / "r.json", run([broken])))


@pytest.mark.parametrize("value", [2, 10**18])
def test_a_newer_schema_is_refused_and_an_upgrade_is_the_remedy(tmp_path, value):
    for content in (
        run([benchmark([1.0], schema=value)]),
        run([benchmark([1.0])]) | {"breakeven": {"schema": value}},
    ):
        message = refusal(write(tmp_path / "r.json", content))
        assert "newer" in message
        assert "upgrade breakeven" in message


@pytest.mark.parametrize(
    ("data", "at"),
    [
        ([1.0, math.nan], "[1]"),
        ([math.inf], "[0]"),
        ([-math.inf], "[0]"),
        ([1.0, 1.0, -0.001], "[2]"),
        ([1.0, "0.5"], "[1]"),
        ([None], "[0]"),
        ([True, 1.0], "[0]"),
        ([[1.0]], "[0]"),
        ([1.0, 1e10], "[1]"),
        ([10**400], ""),
        ([], ""),
        ("1.0", ""),
        ({"0": 1.0}, ""),
    ],
)
def test_times_that_cannot_be_are_refused_by_their_place(tmp_path, data, at):
    broken = benchmark([1.0])
    broken["stats"]["data"] = data
    message = refusal(write(tmp_path / "r.json", run([benchmark([1.0], device="cuda"), broken])))
    assert "benchmarks[1]" in message
    assert f"stats.data{at}: " in message


def test_a_file_without_rounds_names_the_option_that_saves_them(tmp_path):
    bare = benchmark([1.0])
    del bare["stats"]["data"]
    assert "--benchmark-save-data" in refusal(write(tmp_path / "r.json", run([bare])))
    del bare["stats"]
    assert "stats: is missing" in refusal(write(tmp_path / "r.json", run([bare])))


def test_a_time_of_exactly_zero_is_a_round_like_any_other(tmp_path):
    assert (
        reader.read([write(tmp_path / "r.json", run([benchmark([0, 0.0, 1.0])]))]).rounds["latency_s"].sum()
        == 1
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is empty"),
        (" \n", "is empty"),
        (json.dumps(run([benchmark([1.0])]))[:200], "cut off"),
        ('{"benchmarks": [', "cut off"),
        ("hello", "is not JSON"),
        ("[1, 2]", "not a pytest-benchmark file"),
        ("null", "not a pytest-benchmark file"),
        ('{"benchmarks": {}}', "not a pytest-benchmark file"),
        ('{"results": []}', "not a pytest-benchmark file"),
        ('{"benchmarks": []}', "holds no benchmarks"),
        ('{"benchmarks": [1]}', "is not an object"),
        ('{"benchmarks": [], "breakeven": 3}', "is not an object"),
        ('{"benchmarks": [], "breakeven": {"schema": 1, "outcomes": {}}}', "is not a list"),
        ('{"benchmarks": [], "breakeven": {"schema": 1, "outcomes": [3]}}', "is not an object"),
        ('{"benchmarks": [], "breakeven": {"schema": 1, "outcomes": [{}]}}', "not a word"),
        ('{"benchmarks": [], "breakeven": {"outcomes": []}}', "schema: is missing"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_a_file_that_is_no_run_is_refused(tmp_path, text, says):
    assert says in refusal(write(tmp_path / "r.json", text))


def test_missing_files_directories_and_bytes_that_are_no_text_are_refused(tmp_path):
    assert "no such file" in refusal(tmp_path / "absent.json")
    assert "is a directory" in refusal(tmp_path)
    (tmp_path / "b.json").write_bytes(b"\xff\xfe\x00{")
    assert "not UTF-8" in refusal(tmp_path / "b.json")


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "r.json").write_bytes(b"\xef\xbb\xbf" + json.dumps(run([benchmark([1.0])])).encode())
    assert len(reader.read([tmp_path / "r.json"]).rounds) == 1


def test_benchmarks_of_others_are_left_out_with_a_warning(tmp_path):
    plain = {"fullname": "test_a", "extra_info": {"device": "cpu", "phase": "x"}, "stats": {"median": 1.0}}
    read = reader.read([write(tmp_path / "r.json", run([plain, benchmark([1.0]), plain]))])
    assert len(read.rounds) == 1
    assert "2 of its benchmarks" in read.warnings[0]


def test_a_file_of_only_others_benchmarks_is_refused(tmp_path):
    plain = {"fullname": "test_a", "extra_info": {"phase": "forward"}, "stats": {"data": [1.0]}}
    assert "none of breakeven's keys" in refusal(write(tmp_path / "r.json", run([plain])))


def test_the_same_case_twice_in_one_file_is_refused_whatever_the_order_of_its_axes(tmp_path):
    twice = [benchmark([1.0], axes={"a": 1, "b": 2}), benchmark([2.0], axes={"b": 2, "a": 1})]
    assert "stands twice" in refusal(write(tmp_path / "r.json", run(twice)))


def test_the_same_run_given_twice_counts_once(tmp_path):
    content = affine_run({"cpu": (1.0, 0.1)})
    one = write(tmp_path / "one.json", content)
    other = write(tmp_path / "sub" / "two.json", json.dumps(content, indent=2))
    backwards = write(tmp_path / "three.json", {**content, "benchmarks": content["benchmarks"][::-1]})
    read = reader.read([one, one, other, backwards])
    assert len(read.sources) == 1
    assert len(read.warnings) == 3
    assert "given twice" in read.warnings[0]
    assert "same run as" in read.warnings[1]


def test_two_files_of_one_name_are_told_apart_by_their_paths(tmp_path):
    paths = [
        write(tmp_path / d / "run.json", affine_run({"cpu": (1.0, 0.1)}, seed=i)) for i, d in enumerate("ab")
    ]
    assert [source.run for source in reader.read(paths).sources] == paths


def test_the_label_names_cpu_cores_and_gpu_and_falls_back_to_the_node():
    ours = {"class": {"cpu": "Xeon", "cores": 8, "gpu": "NVIDIA H200", "gpu_count": 2}, "class_id": "abc"}
    assert machine_of({"breakeven": ours}).label == "Xeon, 8 cores, 2 x NVIDIA H200"
    assert machine_of({"breakeven": ours}).class_id == "abc"
    several = {**ours["class"], "gpu": ["NVIDIA L4", "NVIDIA H200", "NVIDIA L4"], "gpu_count": 3}
    assert machine_of({"breakeven": {"class": several}}).label == "Xeon, 8 cores, 2 x NVIDIA L4, NVIDIA H200"
    assert machine_of({"node": "box"}).label == "box"
    assert machine_of(None).label == machine_of({"cpu": 3}).label == "unknown machine"


def test_without_a_class_id_the_hardware_decides_and_the_boxs_name_does_not():
    assert machine_of(CPU_BOX).class_id == machine_of(CPU_BOX | {"node": "other"}).class_id
    assert machine_of(CPU_BOX).class_id != machine_of(CPU_BOX | {"cpu": {"brand_raw": "Xeon"}}).class_id


def test_two_classes_of_one_label_are_with_unique_labels(tmp_path):
    def box(class_id):
        return CPU_BOX | {"breakeven": {"class_id": class_id}}

    paths = [
        write(tmp_path / f"{i}.json", affine_run({"cpu": (1.0, 0.1)}, seed=i, machine=box(class_id)))
        for i, class_id in enumerate(["abcdefgh1", "abcdefgh2"])
    ]
    labels = [machine.label for machine in reader.read(paths).machines]
    assert labels == ["AMD EPYC, 2 cores #abcdefgh1", "AMD EPYC, 2 cores #abcdefgh2"]
    assert set(reader.read(paths).rounds["machine"]) == set(labels)


def test_the_newest_run_is_newest_by_its_recorded_time(tmp_path):
    write(tmp_path / "a" / "old.json", affine_run({"cpu": (1, 1)}, when="2026-01-01T23:00:00+00:00"))
    new = write(tmp_path / "b.json", affine_run({"cpu": (1, 1)}, when="2026-01-02T02:00:00+02:00"))
    newer = write(tmp_path / "c.json", run([], [outcome()], when="2026-01-02T00:30:00"))
    write(tmp_path / "z.json", "{}")
    write(tmp_path / "plain.json", run([{"extra_info": {}, "stats": {}}], when="2027-01-01T00:00:00"))
    write(tmp_path / "broken.json", '{"benchmarks": [')
    assert str(reader.newest(tmp_path)) == newer
    (tmp_path / "c.json").unlink()
    assert str(reader.newest(tmp_path)) == new


def test_no_run_to_be_found_says_what_to_do(tmp_path):
    with pytest.raises(RunFileError, match="measure one with `pytest bench --benchmark-json"):
        reader.newest(tmp_path / "results")


def test_no_path_at_all_is_bad_usage():
    with pytest.raises(UsageError):
        reader.read([])


def test_a_million_rounds_stay_within_some_tens_of_megabytes(tmp_path):
    times = np.full(500, 1.25e-3).tolist()
    cases = [benchmark(times, batch_size=b, axes={"w": w}) for b in range(1, 51) for w in range(4)]
    frame = reader.read([write(tmp_path / "big.json", run(cases))]).rounds
    assert len(frame) == 100_000
    assert frame.memory_usage(deep=True).sum() < 5e6


plain = st.one_of(
    st.none(), st.booleans(), st.integers(-5, 5), st.floats(allow_nan=False, width=16), st.text(max_size=3)
)


@settings(max_examples=300, deadline=None)
@given(st.tuples(*[st.dictionaries(st.text(max_size=3), plain, max_size=3)] * 2))
def test_different_axes_never_have_the_same_text(pair):
    one, other = (json.dumps(axes, sort_keys=True) for axes in pair)
    assert (axes_text(pair[0]) == axes_text(pair[1])) == (one == other)


def test_a_text_that_reads_like_another_value_is_quoted():
    for value in (True, False, None, 1, 1.5):
        assert axes_text({"a": value}) == f"a={value}"
        assert axes_text({"a": str(value)}) == f'a="{value}"'


@pytest.mark.parametrize("odd", ["a\u2028b", "\x85", "\ud800", "\xa0"], ids=ascii)
def test_axes_are_one_printable_line_that_utf8_can_hold(odd):
    for axes in ({"a": odd}, {odd: 1}, {"a": [odd]}):
        text = axes_text(axes)
        assert text.isprintable()
        assert text.isascii()
    assert axes_text({"a": "é b"}) == 'a="é b"'


@given(st.text())
def test_one_line_is_one_printable_line(text):
    assert one_line(text).isprintable()
