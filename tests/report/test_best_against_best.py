"""Each device at its own fastest variant, and baselines that are faster in another one."""

import numpy as np
import pytest

from breakeven.report.report import analyze
from breakeven.runs.reader import read
from support.reports import box, only, report, what_ifs
from support.run_files import affine_run, benchmark, outcome, run, write

FASTEST = "each device at its fastest variant"
QUIET = {"noise": 0.001}


def variants(devices, axis="dtype", batches=(1, 8, 64, 512), seed=0, **more):
    """A run of one model: `devices` maps a device to a floor and a slope for each value of the axis."""
    content = run()
    for j, (device, values) in enumerate(devices.items()):
        for i, (value, line) in enumerate(values.items()):
            axes = {"width": 8, axis: value, **more}
            part = affine_run({device: line}, batches, seed + 10 * j + i, axes=axes, **QUIET)
            content["benchmarks"] += part["benchmarks"]
    return content


def best(found):
    """The only model at its fastest variants."""
    return only(row for row in what_ifs(found) if row.scenario == FASTEST)


def test_each_device_at_its_fastest(tmp_path):
    """bfloat16 slows the CPU down and the GPU up."""
    content = variants(
        {
            "cpu": {"float32": (1, 1), "bfloat16": (2, 2)},
            "cuda": {"float32": (33, 0.2), "bfloat16": (11, 0.2)},
        }
    )
    row = best(report(tmp_path, content))
    assert row.line.model.axes["dtype"] == "float32"
    assert row.line.crossing.batch_size == pytest.approx(40, rel=0.01)  # 1 + b = 33 + b / 5
    assert row.other.crossing.batch_size == pytest.approx(12.5, rel=0.01)  # 1 + b = 11 + b / 5
    assert row.note == "cpu in float32, cuda in bfloat16; their numerics differ"
    assert row.brief == "their numerics differ"


def test_chosen_at_each_batch_size(tmp_path):
    content = variants({"cpu": {False: (1, 1), True: (9, 0.5)}, "cuda": {False: (30, 0.1)}}, axis="compile")
    row = best(report(tmp_path, content))
    assert row.note == "cpu (batch 1 to 8), cpu with compile (batch 64 to 512), cuda"
    # From 9 at batch 8 to 41 at 64 the CPU takes 4 / 7 more for each sample: 9 + 4 (b - 8) / 7 = 30 + b / 10.
    assert row.other.crossing.batch_size == pytest.approx((21 + 32 / 7) / (4 / 7 - 0.1), rel=0.01)
    assert row.brief == ""


def test_tf32_is_another_precision(tmp_path):
    content = variants({"cpu": {False: (1, 1)}, "cuda": {False: (33, 0.2), True: (9, 0.2)}}, axis="tf32")
    assert best(report(tmp_path, content)).note == "cpu, cuda with tf32; their numerics differ"


def test_other_precision_at_some_batch_sizes(tmp_path):
    devices = {
        "cpu": {"float32": (1, 1), "bfloat16": (9, 0.5)},
        "cuda": {"float32": (33, 0.2), "bfloat16": (9, 0.2)},
    }
    assert best(report(tmp_path, variants(devices))).note == (
        "cpu in float32 (batch 1 to 8), cpu in bfloat16 (batch 64 to 512), cuda in bfloat16; their numerics "
        "differ"
    )


def test_numbers_of_threads(tmp_path):
    content = affine_run({"cpu": (1, 1), "cpu@1": (0.5, 4), "cpu@8": (2, 0.5), "cuda": (33, 0.2)}, **QUIET)
    row = best(report(tmp_path, content))
    assert row.note == "cpu (batch 1), cpu@8 (batch 8 to 512), cuda"
    assert row.other.crossing.batch_size == pytest.approx(31 / 0.3, rel=0.01)  # 2 + b / 2 = 33 + b / 5


@pytest.mark.parametrize(
    "content",
    [
        affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}),
        affine_run({"cpu@1": (1, 1), "cpu": (1, 0.5), "cpu@2": (1, 0.8)}),
        variants({d: {"adam": (1, 1), "sgd": (1, 0.5)} for d in ("cpu", "cuda")}, axis="optimizer"),
        variants({d: {"small": (1, 1)} for d in ("cpu", "cuda")}, axis="net"),
    ],
    ids=["one variant", "CPUs alone", "other optimizers", "one word"],
)
def test_no_choice(tmp_path, content):
    assert FASTEST not in [row.scenario for row in what_ifs(report(tmp_path, content))]


def test_implementations_of_one_optimizer(tmp_path):
    devices = {"cpu": {"adam_loop": (1, 1), "sgd": (1, 0.1)}, "cuda": {"adam_loop": (33, 0.2)}}
    devices["cuda"] |= {"adam_fused": (9, 0.2), "sgd": (1, 0.05)}
    row = best(report(tmp_path, variants(devices, axis="optimizer")))
    assert row.note == "cpu with optimizer=adam_loop, cuda with optimizer=adam_fused"
    assert row.other.crossing.batch_size == pytest.approx(10, rel=0.02)  # 1 + b = 9 + b / 5


@pytest.mark.parametrize("fact", ["parameters", "flops"])
def test_other_work(tmp_path, fact):
    """A word that changes the model does not make a variant of it."""
    content = variants({d: {"small": (1, 1), "large": (2, 2)} for d in ("cpu", "cuda")}, axis="net")
    for item in content["benchmarks"]:
        item["extra_info"][fact] = 1 + "sl".index(item["extra_info"]["axes"]["net"][0])
    assert FASTEST not in [row.scenario for row in what_ifs(report(tmp_path, content))]


def test_the_same_within_two_percent(tmp_path):
    """The plain form is kept where another is not relevantly faster."""
    content = variants(
        {"cpu": {False: (1, 1), True: (0.985, 0.985)}, "cuda": {False: (33, 0.2), True: (31, 0.19)}},
        axis="compile",
    )
    assert best(report(tmp_path, content)).note == "cpu, cuda with compile"


def processes(levels, **axes):
    """One case whose process medians are these; every process has six equal rounds."""
    times = np.repeat(levels, 6).tolist()
    return benchmark(times, axes=axes, steps=10, processes=[6] * len(levels), device="cuda")


def cpu_of(count):
    """The plain CPU in that many processes."""
    times = np.repeat(1.0, 6 * count).tolist()
    return benchmark(times, axes={"fused": False}, steps=10, processes=[6] * count)


def test_chosen_in_one_half_and_read_in_the_other(tmp_path):
    """Of five processes the second and the fourth choose; what the others show is read."""
    content = run(
        [
            cpu_of(5),
            processes([0.1, 0.5, 0.1, 0.5, 0.1], fused=False),
            processes([0.8, 0.4, 0.8, 0.4, 0.8], fused=True),
        ]
    )
    row = best(report(tmp_path, content))
    assert row.note == "cpu, cuda with fused"
    assert only(row.other.rows).speedup == pytest.approx(1 / 0.8)
    assert only(row.other.rows).processes == 3


def test_process_without_a_round(tmp_path):
    """It is in neither half."""
    rows = [
        benchmark(np.repeat(levels, 6).tolist(), axes={"fused": fused}, device=device, steps=10,
                  processes=[6, 0, 6, 6, 6, 6])
        for device, fused, levels in (
            ("cpu", False, [1.0] * 5),
            ("cuda", False, [0.1, 0.5, 0.1, 0.5, 0.1]),
            ("cuda", True, [0.8, 0.4, 0.8, 0.4, 0.8]),
        )
    ]  # fmt: skip
    row = best(report(tmp_path, run(rows)))
    assert row.note == "cpu, cuda with fused"
    assert only(row.other.rows).speedup == pytest.approx(1 / 0.8)


def test_all_is_read_where_both_halves_agree(tmp_path):
    content = run(
        [
            cpu_of(5),
            processes([0.9, 0.9, 0.9, 0.9, 0.9], fused=False),
            processes([0.40, 0.48, 0.50, 0.52, 0.60], fused=True),
        ]
    )
    row = only(best(report(tmp_path, content)).other.rows)
    assert (row.speedup, row.processes) == (pytest.approx(2.0), 5)


def test_rounds_of_one_process(tmp_path):
    """The odd rounds choose, the even ones are read."""
    plain = benchmark([0.5, 0.1] * 6, axes={"fused": False}, device="cuda", steps=10)
    fused = benchmark([0.4, 0.8] * 6, axes={"fused": True}, device="cuda", steps=10)
    cpu = benchmark([1.0] * 12, axes={"fused": False}, steps=10)
    row = best(report(tmp_path, run([cpu, plain, fused])))
    assert row.note == "cpu, cuda with fused"
    assert only(row.other.rows).speedup == pytest.approx(1 / 0.8)


def test_choosing_does_not_favor(tmp_path):
    """Eight variants of equal times: the fastest one read is on average as fast as they all are."""
    rng = np.random.default_rng(3)
    logs = []
    for i in range(40):
        cells = [cpu_of(6)]
        cells += [
            processes(np.exp(0.1 * rng.standard_normal(6)), fused=False, mode=word) for word in "abcdefgh"
        ]
        for cell in cells[:1]:
            cell["extra_info"]["axes"]["mode"] = "a"
        row = only(best(report(tmp_path / str(i), run(cells))).other.rows)
        logs.append(np.log(row.speedup))
    # The minimum of eight would be about 8% too fast.
    assert abs(np.mean(logs)) < 2.5 * np.std(logs) / np.sqrt(len(logs))
    assert abs(np.mean(logs)) < 0.04


def test_hole(tmp_path):
    """A batch size that ended in every variant is a hole; one that any variant timed is none."""
    content = variants(
        {"cpu": {False: (1, 1), True: (2, 2)}, "cuda": {False: (33, 0.2), True: (30, 0.2)}}, axis="compile"
    )
    lost = [
        {"device": "cuda", "batch_size": batch, "axes": {"width": 8, "compile": on}}
        for batch, on in ((32, False), (32, True), (64, False))
    ]
    content["benchmarks"] = [
        item
        for item in content["benchmarks"]
        if {key: item["extra_info"][key] for key in ("device", "batch_size", "axes")} not in lost
    ]
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", **identity) for identity in lost]}
    other = best(report(tmp_path, content)).other
    assert (other.batches, other.holes) == ((1, 8, 64, 512), (32,))


def test_on_another_machine(tmp_path):
    """The threads of another machine's CPU are variants of it."""
    laptop = affine_run({"cpu": (1, 1), "cpu@8": (2, 0.5)}, machine=box("laptop"), **QUIET)
    server = affine_run({"cpu": (3, 0.4)}, machine=box("server"), seed=1, **QUIET)
    row = best(report(tmp_path, laptop, server, baseline="laptop/cpu"))
    assert row.note == "cpu (batch 1), cpu@8 (batch 8 to 512), cpu"
    assert row.other.crossing.batch_size == pytest.approx(10, rel=0.05)  # 2 + b / 2 = 3 + 2 b / 5


def test_noise_floor_is_kept(tmp_path):
    content = variants({"cpu": {False: (1, 1), True: (2, 2)}, "cuda": {False: (33, 0.2)}}, axis="compile")
    runs = read([write(tmp_path / "run.json", content)])
    floor_sd = {case.key: 0.2 for case in analyze(runs).rows for case in [case.estimate]}
    narrow, wide = (best(analyze(runs, floor_sd=sd)).other.crossing for sd in ({}, floor_sd))
    assert wide.high - wide.low > 10 * (narrow.high - narrow.low)


SLOW_IN_BFLOAT16 = {
    "cpu": {"float32": (1, 1), "bfloat16": (0.5, 2)},
    "cuda": {"float32": (33, 0.2), "bfloat16": (9, 0.2)},
}


def test_baseline_that_is_faster_in_another_variant(tmp_path):
    found = report(tmp_path, variants(SLOW_IN_BFLOAT16))
    one = only(found.better_baselines.values())
    assert only(found.better_baselines).model.axes["dtype"] == "bfloat16"
    assert one.batches == (1, 8, 64, 512)
    assert (one.text, one.own, one.is_variant) == ("the CPU itself is faster in float32", "in bfloat16", True)
    mark = only(row for row in what_ifs(found) if row.scenario == "in bfloat16")
    assert (mark.note, mark.brief) == (one.text, one.text)
    notes = {track.line.model.axes["dtype"]: track.notes for track in found.chart.tracks}
    assert notes == {"float32": (), "bfloat16": (one.text,)}


def test_processes_are_not_suggested_for_what_is_left_out(tmp_path):
    """The break-even that stays open is that of the model on a slow baseline."""
    content = run()
    for seed, (dtype, slope) in enumerate((("float32", 0.2), ("bfloat16", 2))):
        slow = 1 + seed
        devices = {"cpu": (slow, slow), "cuda": (33 if slope < 1 else slow, slope)}
        part = affine_run(devices, axes={"dtype": dtype}, seed=seed, noise=0.1)
        content["benchmarks"] += part["benchmarks"]
    found = report(tmp_path, content)
    open_lines = [line for line in found.break_evens if line.crossing.status == "undecided"]
    assert [line.candidate for line in open_lines] == list(found.better_baselines)
    assert found.processes_needed is None


def test_faster_at_some_batch_sizes(tmp_path):
    devices = {**SLOW_IN_BFLOAT16, "cpu": {"float32": (1, 1), "bfloat16": (9, 0.5)}}
    one = only(report(tmp_path, variants(devices)).better_baselines.values())
    assert one.text == "the CPU itself is faster in float32 at batch 1–8"


def test_faster_in_its_plain_form(tmp_path):
    devices = {"cpu": {False: (1, 1), True: (2, 2)}, "cuda": {False: (33, 0.2), True: (33, 0.2)}}
    one = only(report(tmp_path, variants(devices, axis="compile")).better_baselines.values())
    assert (one.text, one.own) == ("the CPU itself is faster in its plain form", "with compile")


def test_faster_at_batch_sizes_that_are_not_neighbors(tmp_path):
    """At the smallest and the largest of five; the CPU is the same in both dtypes at those between."""
    content = run()
    for i, batch in enumerate((1, 8, 64, 512, 4096)):
        cpu = {"float32": (1, 0), "bfloat16": (2 if batch in (1, 4096) else 1, 0)}
        devices = {"cpu": cpu, "cuda": {"float32": (3, 0), "bfloat16": (3, 0)}}
        content["benchmarks"] += variants(devices, batches=[batch], seed=100 * i)["benchmarks"]
    one = only(report(tmp_path, content).better_baselines.values())
    assert one.text == "the CPU itself is faster in float32 at batch 1 and 4,096"


def test_plain_form_is_faster(tmp_path):
    devices = {"cpu": {False: (1, 1), True: (2, 2)}, "cuda": {False: (33, 0.2), True: (33, 0.2)}}
    one = only(report(tmp_path, variants(devices, axis="compile")).better_baselines.values())
    assert one.text == "the CPU itself is faster in its plain form"


def test_less_precise_is_not_better(tmp_path):
    """A float32 step is not to be compared with a bfloat16 one."""
    devices = {**SLOW_IN_BFLOAT16, "cpu": {"float32": (2, 2), "bfloat16": (1, 1)}}
    assert report(tmp_path, variants(devices)).better_baselines == {}


def test_more_threads_are_a_better_baseline(tmp_path):
    content = affine_run({"cpu": (1, 1), "cpu@8": (2, 0.5), "cuda": (33, 0.2)}, **QUIET)
    one = only(report(tmp_path, content).better_baselines.values())
    assert (one.text, one.is_variant) == ("cpu@8 is faster than the CPU at batch 8–512", False)


def test_variants_and_threads_are_better_baselines(tmp_path):
    """Each has its own batch sizes; where both are faster, it is the variant of the same device."""
    devices = {
        "cpu": {"float32": (1, 1), "bfloat16": (9, 0.5)},
        "cpu@8": {"float32": (0.5, 0.2), "bfloat16": (0.5, 0.2)},
        "cuda": {"bfloat16": (33, 0.2)},
    }
    one = only(report(tmp_path, variants(devices)).better_baselines.values())
    assert one.text == (
        "the CPU itself is faster in float32 at batch 1–8; cpu@8 in float32 is faster than the CPU at batch "
        "64–512"
    )
    assert (one.batches, one.is_variant) == ((1, 8, 64, 512), True)


def test_halves_that_disagree_show_nothing(tmp_path):
    rows = [
        benchmark(np.repeat(levels, 6).tolist(), axes={"fused": fused}, steps=10, processes=[6] * 4)
        for fused, levels in ((False, [0.5, 1.0, 0.5, 1.0]), (True, [1.0, 0.5, 1.0, 0.5]))
    ]
    cuda = benchmark([0.1] * 24, axes={"fused": False}, steps=10, processes=[6] * 4, device="cuda")
    assert report(tmp_path, run([*rows, cuda])).better_baselines == {}


def test_both_halves_keep_the_plain_form(tmp_path):
    """One that is 1% faster in a half is the same as the plain one, of which all is then read."""
    content = run(
        [
            cpu_of(5),
            processes([0.50] * 5, fused=False),
            processes([0.495, 0.505, 0.495, 0.505, 0.495], fused=True),
        ]
    )
    assert only(best(report(tmp_path, content)).other.rows).processes == 5


def test_same_number_of_threads_is_kept(tmp_path):
    """Of devices that are the same within 2% it is the baseline itself, in any order of the file."""
    content = affine_run({"cpu@8": (1, 0.995), "cpu": (1, 1), "cuda": (33, 0.2)}, **QUIET)
    assert best(report(tmp_path, content)).note == "cpu, cuda"


def test_accelerator_of_another_machine(tmp_path):
    """A faster CPU beside it is not a variant of it."""
    laptop = affine_run({"cpu": (1, 1), "cpu@8": (2, 0.5)}, machine=box("laptop"), **QUIET)
    server = affine_run({"cpu": (0.1, 0.01), "cuda": (33, 0.2)}, machine=box("server"), seed=1, **QUIET)
    found = report(tmp_path, laptop, server, baseline="laptop/cpu")
    notes = {row.line.candidate.device: row.note for row in what_ifs(found) if row.scenario == FASTEST}
    assert notes["cuda"] == "cpu (batch 1), cpu@8 (batch 8 to 512), cuda"


def test_variant_that_was_timed_in_one_process(tmp_path):
    """Its odd and its even rounds are its halves, in whichever process they were."""
    once = benchmark([0.5, 0.1] * 3, axes={"fused": True}, steps=10, processes=[6, 0, 0, 0, 0], device="cuda")
    row = only(best(report(tmp_path, run([cpu_of(5), processes([0.3] * 5, fused=False), once]))).other.rows)
    assert row.speedup == pytest.approx(1 / 0.3)  # the odd rounds keep the plain form, the even ones do not
    assert row.processes == 3


def test_one_round_is_chosen_and_read(tmp_path):
    once = benchmark([0.1], axes={"fused": True}, steps=10, device="cuda")
    found = report(tmp_path, run([cpu_of(5), processes([0.3] * 5, fused=False), once]))
    assert best(found).note == "cpu, cuda with fused"


def test_run_files_of_one_dtype_each(tmp_path):
    """The processes of no variant are those of another."""
    contents = [
        variants({device: {dtype: lines[dtype]} for device, lines in SLOW_IN_BFLOAT16.items()}, seed=seed)
        for seed, dtype in enumerate(("float32", "bfloat16"))
    ]
    found = report(tmp_path, *contents)
    assert best(found).note == "cpu in float32, cuda in bfloat16; their numerics differ"
    assert only(found.better_baselines.values()).text == "the CPU itself is faster in float32"


def test_variant_at_some_batch_sizes(tmp_path):
    content = variants({"cpu": {False: (1, 1)}, "cuda": {False: (33, 0.2), True: (9, 0.2)}}, axis="compile")
    content["benchmarks"] = [
        item
        for item in content["benchmarks"]
        if not item["extra_info"]["axes"]["compile"] or item["extra_info"]["batch_size"] == 512
    ]
    assert best(report(tmp_path, content)).note == (
        "cpu, cuda (batch 1 to 64), cuda with compile (batch 512)"
    )


@pytest.mark.parametrize(
    ("axis", "own", "other"),
    [("dtype", "float64", "float32"), ("dtype", "float32", "bfloat16"), ("tf32", False, True)],
)
def test_coarser_is_not_better(tmp_path, axis, own, other):
    """A step is not to be compared with a less precise one; only a more precise one is a better baseline."""
    slow, fast = (2, 2), (1, 1)
    for number, (first, second) in enumerate(((slow, fast), (fast, slow))):
        devices = {"cpu": {own: first, other: second}, "cuda": {own: (33, 0.2), other: (33, 0.2)}}
        found = report(tmp_path / str(number), variants(devices, axis=axis))
        models = [line.model.axes[axis] for line in found.better_baselines]
        assert models == ([] if second is fast else [other])


def test_either_of_two_others_is_faster(tmp_path):
    """The halves choose different ones, and what one half chose is faster in the other."""
    rows = [
        benchmark(np.repeat(levels, 6).tolist(), axes={"mode": mode}, steps=10, processes=[6] * 5)
        for mode, levels in (
            ("plain", [1.0, 1.0, 1.0, 1.0, 1.0]),
            ("a", [0.50, 0.40, 0.51, 0.40, 0.52]),
            ("b", [0.40, 0.50, 0.41, 0.50, 0.42]),
        )
    ]
    cuda = benchmark([0.1] * 30, axes={"mode": "plain"}, steps=10, processes=[6] * 5, device="cuda")
    assert (
        only(report(tmp_path, run([*rows, cuda])).better_baselines.values()).text
        == "the CPU itself is faster with mode=a"
    )


def test_better_baselines_with_a_noise_floor(tmp_path):
    """A floor that allows the difference leaves no baseline better."""
    runs = read([write(tmp_path / "run.json", variants(SLOW_IN_BFLOAT16))])
    floor_sd = {row.key: 0.5 for row in analyze(runs).rows}
    assert analyze(runs, floor_sd=floor_sd).better_baselines == {}


def test_faster_only_where_it_was_chosen(tmp_path):
    """In the even rounds, which are read, it is the same."""
    rows = [
        benchmark(times, axes={"mode": mode}, device=device, steps=10)
        for mode, device, times in (
            ("plain", "cpu", [1.0] * 30),
            ("a", "cpu", [0.5, 0.99] * 15),
            ("plain", "cuda", [0.1] * 30),
        )
    ]
    assert report(tmp_path, run(rows)).better_baselines == {}
