"""Which device the others are held against, on one machine and on many."""

import itertools

import pytest

from breakeven.device_names import choose_baseline, device_order
from breakeven.errors import UsageError
from breakeven.report.baseline import Reference, find_reference
from breakeven.runs.machine import Machine
from support.reports import box, only, report
from support.run_files import affine_run, outcome

MACHINES = (Machine("AMD EPYC, 2 cores", "aaa111", {}), Machine("AMD EPYC, 2 cores, H100", "bbb222", {}))
DEVICES = {"aaa111": ["cpu", "cpu@1"], "bbb222": ["cuda", "cpu"]}


@pytest.mark.parametrize(
    ("devices", "baseline"),
    [
        ("cpu cuda", "cpu"),
        ("cuda cpu cpu@1", "cpu"),
        ("cpu cpu@1", "cpu@1"),
        ("cpu@4 cpu cpu@1 cpu@2", "cpu@1"),
        ("cpu cpu@2", "cpu"),
        ("cpu@2 cpu@16", "cpu@2"),
        ("cuda cpu@1 cpu@16", "cpu@16"),
        ("cpu", "cpu"),
        ("cuda cuda:1", None),
        ("", None),
    ],
)
def test_the_default_baseline_is_the_cpu_and_one_thread_where_no_accelerator_was_measured(devices, baseline):
    for order in itertools.permutations(devices.split()):
        assert choose_baseline(order) == baseline


def test_devices_stand_in_one_order_by_threads_and_name():
    devices = ["cuda:1", "cpu@16", "cuda", "cpu@2", "cpu", "mps"]
    assert sorted(devices, key=device_order) == ["cpu", "cpu@2", "cpu@16", "cuda", "cuda:1", "mps"]


@pytest.mark.parametrize(
    ("wished", "reference"),
    [
        ("cpu", Reference("cpu")),
        ("AMD EPYC, 2 cores/cpu@1", Reference("cpu@1", "aaa111")),
        ("aaa111/cpu", Reference("cpu", "aaa111")),
        ("bbb/cuda", Reference("cuda", "bbb222")),
        ("h100/cpu", Reference("cpu", "bbb222")),
    ],
)
def test_a_reference_is_a_device_or_that_of_a_machine_by_label_class_id_or_a_part(wished, reference):
    assert find_reference(wished, MACHINES, DEVICES) == reference


@pytest.mark.parametrize(
    ("wished", "says"),
    [
        ("tpu", r"--baseline tpu: no such device in these runs; present: cpu, cpu@1, cuda"),
        ("epyc/cpu", r"several machines fit; give a label .*AMD EPYC, 2 cores \(class aaa111\); .*bbb222"),
        ("xeon/cpu", r"no such machine; give a label or a class id of: AMD EPYC"),
        ("/cpu", r"--baseline '/cpu': no such machine"),
        ("epyc, 2 cores, h/", r"'' was not measured on AMD EPYC, 2 cores, H100; present: cpu, cuda"),
        ("aaa111/cuda", r"'cuda' was not measured on AMD EPYC, 2 cores; present: cpu, cpu@1"),
    ],
)
def test_a_reference_that_is_not_there_names_what_is(wished, says):
    with pytest.raises(UsageError, match=says):
        find_reference(wished, MACHINES, DEVICES)


def laptop_and_server(tmp_path, **options):
    """A laptop's cpu and a server's cpu and GPU, the same model."""
    laptop = affine_run({"cpu": (1, 1)}, machine=box("laptop"), noise=0.001)
    server = affine_run({"cpu": (0.5, 0.5), "cuda": (33, 0.2)}, machine=box("server"), noise=0.001, seed=1)
    return report(tmp_path, laptop, server, **options)


def test_every_machine_is_held_against_its_own_baseline_by_default(tmp_path):
    found = laptop_and_server(tmp_path)
    assert {(row.baseline_class_id, row.class_id, row.candidate) for row in found.speedups} == {
        ("id-server", "id-server", "cuda")
    }


def test_all_machines_are_held_against_the_device_of_one_that_is_named(tmp_path):
    found = laptop_and_server(tmp_path, baseline="laptop/cpu")
    assert {(row.baseline_class_id, row.class_id, row.candidate) for row in found.speedups} == {
        ("id-laptop", "id-server", "cpu"),
        ("id-laptop", "id-server", "cuda"),
    }
    cpus = [row.speedup for row in found.speedups if row.candidate == "cpu"]
    assert cpus == pytest.approx([2] * 4, rel=0.01)
    gpu = only([line for line in found.break_evens if line.candidate == "cuda"])
    assert gpu.crossing.batch_size == pytest.approx(40, rel=0.01)  # 1 + b = 33 + b / 5
    assert "on server" in found.verdict.lower()
    assert "all CPU threads (cpu) of laptop" in found.verdict


def test_a_machine_without_the_baseline_device_is_named_with_the_remedy(tmp_path):
    gpu_only = affine_run({"cuda": (33, 0.2)}, machine=box("server"))
    both = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, machine=box("laptop"))
    found = report(tmp_path, gpu_only, both)
    note = only([warning for warning in found.warnings if "held against nothing" in warning])
    assert note.startswith("server: ")
    assert "--baseline MACHINE/cpu" in note
    assert {row.class_id for row in found.speedups} == {"id-laptop"}


def test_cells_that_only_one_device_has_are_counted_and_named(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)})
    content["benchmarks"] += affine_run({"cpu": (1, 1)}, batches=[9999])["benchmarks"]
    note = only([warning for warning in report(tmp_path, content).warnings if "only one of" in warning])
    assert note.startswith("1 case was timed on only one of cpu and cuda (mlp width=128 batch=9999 train)")


@pytest.mark.parametrize("others", [{"cpu": (1, 1)}, {}], ids=["timed on the other", "on neither"])
def test_a_cell_that_ended_with_a_reason_is_no_riddle(tmp_path, others):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)})
    content["benchmarks"] += affine_run(others, batches=[9999])["benchmarks"]
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=9999)]}
    assert not any("only one of" in warning for warning in report(tmp_path, content).warnings)


def test_resampling_draws_the_same_processes_within_a_machine_and_not_across(tmp_path):
    levels = (1.0, 1.1, 1.2, 1.3, 1.4, 1.5)

    def runs_of(name, device):
        return [
            affine_run({device: (level, 0)}, batches=[1], noise=1e-6, machine=box(name), seed=i)
            for i, level in enumerate(levels)
        ]

    together = [
        {**a, "benchmarks": a["benchmarks"] + b["benchmarks"]}
        for a, b in zip(runs_of("one", "cpu"), runs_of("one", "cuda"), strict=True)
    ]
    row = only(report(tmp_path / "a", *together).speedups)
    assert row.high - row.low < 1e-3, "what the processes share cancels"
    apart = report(tmp_path / "b", *runs_of("one", "cpu"), *runs_of("two", "cuda"), baseline="one/cpu")
    row = only(apart.speedups)
    assert row.high - row.low > 0.1, "two machines share no process"
