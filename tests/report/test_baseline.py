"""Which device the others are compared with, on one machine and on many."""

import itertools

import pytest

from breakeven.device_names import choose_baseline, device_order
from breakeven.errors import UsageError
from breakeven.report.baseline import Baseline, find_baseline
from breakeven.runs.machine import Machine
from support.reports import box, only, report
from support.run_files import affine_run, outcome

MACHINES = (
    Machine("AMD EPYC, 2 cores", "aaa111", {}),
    Machine("AMD EPYC, 2 cores, H100", "bbb222", {}),
    Machine("AMD EPYC, 2 cores, H200", "ccc333", {}, name="Server room"),
    Machine("AMD", "ddd444", {}, name="Lab"),
)
DEVICES = {"aaa111": ["cpu", "cpu@1"], "bbb222": ["cuda", "cpu"], "ccc333": ["cpu"], "ddd444": ["cpu"]}


@pytest.mark.parametrize(
    ("devices", "baseline"),
    [("cpu cuda", "cpu"), ("cuda cpu cpu@1", "cpu"), ("cpu cpu@1", "cpu@1"),
     ("cpu@4 cpu cpu@1 cpu@2", "cpu@1"), ("cpu cpu@2", "cpu"), ("cpu@2 cpu@16", "cpu@2"),
     ("cuda cpu@1 cpu@16", "cpu@16"), ("cuda cpu@best cpu@16 cpu", "cpu"),
     ("cuda cpu@16 cpu@best", "cpu@best"), ("cpu@best cpu@2", "cpu@2"), ("cpu", "cpu"), ("cuda cuda:1", None),
     ("", None)],
)  # fmt: skip
def test_default(devices, baseline):
    """The CPU, and one thread where no accelerator was measured, in any order of the devices."""
    for order in itertools.permutations(devices.split()):
        assert choose_baseline(order) == baseline


def test_device_order():
    ordered = ["cpu", "cpu@2", "cpu@16", "cpu@best", "cuda", "cuda:1", "mps"]
    devices = ["cuda:1", "cpu@16", "cuda", "cpu@best", "cpu@2", "cpu", "mps"]
    assert sorted(devices, key=device_order) == ordered


@pytest.mark.parametrize(
    ("text", "baseline"),
    [("cpu", Baseline("cpu")), ("AMD EPYC, 2 cores/cpu@1", Baseline("cpu@1", "aaa111")),
     ("aaa111/cpu", Baseline("cpu", "aaa111")), ("bbb/cuda", Baseline("cuda", "bbb222")),
     ("h100/cpu", Baseline("cpu", "bbb222")), ("Server room/cpu", Baseline("cpu", "ccc333")),
     ("AMD EPYC, 2 cores, H200/cpu", Baseline("cpu", "ccc333")), ("room/cpu", Baseline("cpu", "ccc333")),
     ("h200/cpu", Baseline("cpu", "ccc333")), ("AMD/cpu", Baseline("cpu", "ddd444"))],
)  # fmt: skip
def test_named(text, baseline):
    """A device, or that of a machine by its label, class id, hardware or a part of one."""
    assert find_baseline(text, MACHINES, DEVICES) == baseline


@pytest.mark.parametrize(
    ("text", "listed"),
    [
        ("tpu", r"--baseline tpu: .*present: cpu, cpu@1, cuda$"),
        ("epyc/cpu", r"several .*AMD EPYC, 2 cores \(class aaa111\); .*bbb222"),
        ("xeon/cpu", r"no such machine.*aaa111.*bbb222"),
        ("/cpu", r"--baseline '/cpu': no such machine"),
        ("111/cpu", r"no such machine"),
        ("epyc, 2 cores, h1/", r"'' .*AMD EPYC, 2 cores, H100; present: cpu, cuda$"),
        ("aaa111/cuda", r"'cuda' .*AMD EPYC, 2 cores; present: cpu, cpu@1$"),
    ],
)
def test_absent(text, listed):
    """An unknown baseline is refused, and the message lists the available ones."""
    with pytest.raises(UsageError, match=listed):
        find_baseline(text, MACHINES, DEVICES)


def laptop_and_server(tmp_path, **options):
    """A laptop's cpu and a server's cpu and GPU, the same model."""
    laptop = affine_run({"cpu": (1, 1)}, machine=box("laptop"), noise=0.001)
    server = affine_run({"cpu": (0.5, 0.5), "cuda": (33, 0.2)}, machine=box("server"), noise=0.001, seed=1)
    return report(tmp_path, laptop, server, **options)


def pairs(found):
    """The (baseline machine, candidate machine, candidate) that were compared."""
    return {(row.baseline.machine, row.candidate.machine, row.candidate.device) for row in found.speedups}


def test_baseline_of_another_machine(tmp_path):
    """All machines are compared with the device of the one that is named."""
    found = laptop_and_server(tmp_path, baseline="laptop/cpu")
    assert pairs(found) == {("id-laptop", "id-server", "cpu"), ("id-laptop", "id-server", "cuda")}
    cpus = [row.speedup for row in found.speedups if row.candidate.device == "cpu"]
    assert cpus == pytest.approx([2] * 4, rel=0.01)
    gpu = only([line for line in found.break_evens if line.candidate.device == "cuda"])
    assert gpu.crossing.batch_size == pytest.approx(40, rel=0.01)  # 1 + b = 33 + b / 5
    assert all(" beats the CPU of laptop " in note for note in found.answer.notes[:2])


def test_machine_without_the_baseline(tmp_path):
    """A warning names it, with the option that helps."""
    gpu_only = affine_run({"cuda": (33, 0.2)}, machine=box("server"))
    both = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, machine=box("laptop"))
    found = report(tmp_path, gpu_only, both)
    warning = only([warning for warning in found.warnings if "--baseline MACHINE/cpu" in warning])
    assert warning.startswith("server: ")
    assert {row.candidate.machine for row in found.speedups} == {"id-laptop"}


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_one_sided_cells(tmp_path, device):
    """Cells that only one device has are counted and named."""
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)})
    content["benchmarks"] += affine_run({device: (1, 1)}, batches=[9999])["benchmarks"]
    warning = only([warning for warning in report(tmp_path, content).warnings if "only one of" in warning])
    assert warning.startswith("1 case ")
    assert "cpu and cuda (mlp batch=9999 width=128 train)" in warning


@pytest.mark.parametrize("others", [{"cpu": (1, 1)}, {}], ids=["timed on the other", "on neither"])
def test_outcome_needs_no_warning(tmp_path, others):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)})
    content["benchmarks"] += affine_run(others, batches=[9999])["benchmarks"]
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", device="cuda", batch_size=9999)]}
    assert not any("only one of" in warning for warning in report(tmp_path, content).warnings)


def test_transfer_needs_no_partner(tmp_path):
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)})
    content["benchmarks"] += affine_run({"cuda": (1, 1)}, phases=("transfer",))["benchmarks"]
    assert not any("only one of" in warning for warning in report(tmp_path, content).warnings)


def test_draws_are_shared_within_a_machine(tmp_path):
    """What the runs of one machine share cancels in a ratio; two machines share nothing."""
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
    assert row.high - row.low < 1e-3
    apart = report(tmp_path / "b", *runs_of("one", "cpu"), *runs_of("two", "cuda"), baseline="one/cpu")
    row = only(apart.speedups)
    assert row.high - row.low > 0.1
