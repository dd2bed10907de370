"""The rules: from the facts of a machine to findings about what would disturb timing, and how to fix it.

A rule is a function of `MachineFacts` alone, so that recorded machines can be tested. A finding is
`Level.UNFIT` if times would be wrong or very noisy: another process on the cores or the GPU, throttling, a
quota that is not a whole number of CPUs, one thread on several CPUs, a debug build, tracing, synchronous
launches. It is `Level.NOTED` if times are right but the user needs to know the circumstances, and
`Level.HINT` if a setting may make the CPU faster.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from breakeven.device_names import is_cpu
from breakeven.doctor.facts import DeviceFacts, MachineFacts
from breakeven.fitness import spins_while_waiting
from breakeven.format import plural
from breakeven.hardware.cpus import BINDING
from breakeven.hardware.nvml import THROTTLING

MIN_LOST_CPUS = 0.1
"""Fewer CPUs, lost to other programs, cannot be distinguished from the error of the system's counters."""


class Level(StrEnum):
    """How serious a finding is, in the order in which findings are shown."""

    UNFIT = "unfit"
    NOTED = "noted"
    HINT = "hint"
    UNREADABLE = "unreadable"
    FINE = "fine"


@dataclass(frozen=True)
class Finding:
    """What was found, why it matters and how to fix it; the last two are empty if nothing needs fixing."""

    name: str
    level: Level
    seen: str
    why: str = ""
    remedy: str = ""


@dataclass(frozen=True)
class Checkup:
    """The facts of the machine, and the findings."""

    facts: MachineFacts
    findings: tuple[Finding, ...]

    @property
    def fit(self) -> bool:
        """Whether no finding is unfit."""
        return all(finding.level is not Level.UNFIT for finding in self.findings)

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        unfit = [finding.name for finding in self.findings if finding.level is Level.UNFIT]
        if unfit:
            return f"Not fit for timing: {', '.join(unfit)}."
        noted = sum(finding.level is Level.NOTED for finding in self.findings)
        return f"Fit for timing{f', {noted} noted' if noted else ''}."


def examine(facts: MachineFacts) -> Checkup:
    """Return the findings of every rule, the most serious first."""
    found = [finding for rule in RULES if (finding := rule(facts)) is not None]
    found += _accelerators(facts)
    found += [Finding(name, Level.UNREADABLE, why) for name, why in facts.unreadable.items()]
    return Checkup(facts, tuple(sorted(found, key=lambda finding: list(Level).index(finding.level))))


def _neighbors(facts: MachineFacts) -> Finding | None:
    load, problem = facts.look.load, facts.look.load.problem
    if load.lost_cpus is None:
        return None
    if load.lost_cpus < MIN_LOST_CPUS:
        return Finding("busy neighbor", Level.FINE, f"nothing takes more than {MIN_LOST_CPUS:g} CPUs")
    return Finding(
        "busy neighbor",
        Level.NOTED if problem is None else Level.UNFIT,
        load.seen,
        "steps wait for a core that another process uses, and all threads wait for the slowest one",
        "find the process with `top` and stop it, or measure on a dedicated machine"
        if problem is None
        else problem.remedy,
    )


def _slow_threads(facts: MachineFacts) -> Finding | None:
    name, problem = "slow threads", facts.look.slow_threads
    if problem is None:
        return Finding(name, Level.FINE, f"the canary is not slower on {plural(facts.threads, 'thread')}")
    return Finding(
        name, Level.UNFIT, problem.seen, "each thread waits for the one whose core is taken", problem.remedy
    )


def _openmp(facts: MachineFacts) -> Finding | None:
    name, environment = "spinning OpenMP threads", facts.environment
    if facts.threads < 2 or not facts.openmp or not spins_while_waiting(environment):
        return Finding(name, Level.FINE, "idle threads sleep" if facts.threads > 1 else "only one thread")
    return Finding(
        name,
        # Harmless, and faster, while every thread has a core: `slow threads` is what shows the harm.
        Level.NOTED,
        f"OMP_WAIT_POLICY={environment.get('OMP_WAIT_POLICY', 'not set')}, {plural(facts.threads, 'thread')}",
        "idle threads spin while they wait: one busy neighbor can make a step 100 times slower",
        "export OMP_WAIT_POLICY=passive, at least where other processes may run",
    )


def _quota(facts: MachineFacts) -> Finding | None:
    quota = facts.quota
    if quota is None or quota >= facts.affinity:
        return Finding("CPU quota", Level.FINE, "not below the number of usable CPUs")
    whole = float(quota).is_integer()
    return Finding(
        "CPU quota",
        Level.NOTED if whole else Level.UNFIT,
        f"{quota:g} of {facts.affinity} CPUs",
        "a process that uses up its quota is stopped until the next period, usually 0.1 s"
        + ("" if whole else f"; {plural(facts.threads, 'thread')} would be stopped in every period"),
        f"pin the container to its own CPUs (docker --cpuset-cpus) or raise the quota to {facts.affinity}",
    )


def _one_thread(facts: MachineFacts) -> Finding | None:
    cores = int(facts.machine.get("cores") or facts.affinity)
    if facts.threads > 1 or cores == 1 or (facts.cores == 1 and facts.affinity > 1):
        return Finding("threads", Level.FINE, f"{plural(facts.threads, 'thread')} on {plural(cores, 'CPU')}")
    requested = facts.environment.get("OMP_NUM_THREADS", "")
    first = requested.split(",")[0]
    if first.isdigit() and int(first) == 1:
        seen, remedy = f"OMP_NUM_THREADS={requested}", "unset OMP_NUM_THREADS"
    elif facts.affinity == 1:
        seen, remedy = "the CPU affinity is one CPU", "start without taskset, or with more CPUs"
    elif facts.quota is None:
        seen, remedy = "the reason is unknown", "make sure that nothing sets fewer threads than CPUs"
    else:
        seen, remedy = f"the quota is {facts.quota:g} CPUs", "raise the quota of the container"
    return Finding(
        "threads",
        Level.UNFIT,
        f"one thread on {cores} CPUs: {seen}",
        "the device cpu means one thread per core: compared with only one, every accelerator looks too good",
        remedy,
    )


def _threads_per_core(facts: MachineFacts) -> Finding | None:
    name = "threads per core"
    if facts.cores is None:
        return None
    seen = f"{plural(facts.threads, 'thread')} on {plural(facts.cores, 'core')}"
    if facts.threads <= facts.cores:
        return Finding(name, Level.FINE, seen)
    return Finding(
        name,
        Level.HINT,
        seen,
        "threads that share a core (SMT) share its vector units, so matrix products rarely get faster",
        f"export OMP_NUM_THREADS={facts.cores}, or measure cpu@best, which finds the fastest number",
    )


def _numa(facts: MachineFacts) -> Finding | None:
    name, nodes = "NUMA nodes", facts.machine.get("numa_nodes")
    if nodes is None:
        return None
    if nodes == 1:
        return Finding(name, Level.FINE, "one")
    return Finding(
        name,
        Level.HINT,
        f"{nodes} usable",
        "memory of another node is slower, and where a tensor is depends on the thread that wrote it first",
        "bind to one node, and compare: numactl --cpunodebind=0 --membind=0 pytest ...",
    )


def _allocator(facts: MachineFacts) -> Finding | None:
    found = facts.machine.get("allocator")
    if found is None:
        return None
    if found != "libc":
        return Finding("allocator", Level.FINE, str(found))
    return Finding(
        "allocator",
        Level.HINT,
        "libc's malloc",
        "it returns large tensors to the system, and each step takes their pages again; "
        "PyTorch's tuning guide recommends tcmalloc or jemalloc for the CPU",
        "export LD_PRELOAD=/path/to/libtcmalloc.so, or libjemalloc.so, and compare",
    )


def _binding(facts: MachineFacts) -> Finding | None:
    name, environment = "thread binding", facts.environment
    bound = [f"{key}={environment[key]}" for key in BINDING if environment.get(key)]
    if bound:
        return Finding(name, Level.FINE, ", ".join(bound))
    if facts.threads < 2 or not facts.openmp:
        return Finding(name, Level.FINE, "only one thread" if facts.threads < 2 else "torch without OpenMP")
    return Finding(
        name,
        Level.HINT,
        "OMP_PROC_BIND is not set",
        "the system may move threads between cores, away from their caches",
        "export OMP_PROC_BIND=close, and compare; processes that the program starts, such as a DataLoader's "
        "workers, then share one CPU",
    )


def _backward_thread(facts: MachineFacts) -> Finding | None:
    if all(is_cpu(device.name) for device in facts.devices):
        return None
    name = "backward pass"
    if facts.machine.get("autograd_multithreading") is False:
        return Finding(name, Level.FINE, "in the calling thread")
    return Finding(
        name,
        Level.HINT,
        "in autograd's own thread for the accelerator",
        "each step hands it over and waits: on an H200's 16 cores a step bound by launches took 1,088 µs, "
        "without the hand-off 518 µs, and varied less from process to process",
        "torch.autograd.set_multithreading_enabled(False), or Workload(single_threaded_backward=True), and "
        "compare",
    )


def _slice(facts: MachineFacts) -> Finding | None:
    cpus = int(facts.machine.get("cores") or facts.affinity)
    signs = []
    if facts.affinity < cpus:
        signs.append(f"{facts.affinity} of {cpus} CPUs by affinity or cpuset")
    if facts.quota is not None and facts.quota < facts.affinity:
        signs.append(f"a quota of {facts.quota:g} CPUs")
    if facts.is_virtual:
        signs.append("a virtual machine")
    if not signs:
        return Finding("part of a host", Level.FINE, "no sign of it")
    return Finding(
        "part of a host",
        Level.NOTED,
        ", ".join(signs),
        "neighbors that cannot be seen from here may share the caches, the memory bandwidth and the clock",
        "measure at several times of day; for reference figures use a whole machine",
    )


def _governor(facts: MachineFacts) -> Finding | None:
    if "governor" in facts.unreadable:
        return None
    shown = ", ".join(facts.governors)
    # With a pstate driver, powersave scales the clock with the load; with others it fixes the lowest clock.
    pinned = "powersave" in facts.governors and "pstate" not in (facts.frequency_driver or "")
    if facts.governors == ("performance",):
        return Finding("governor", Level.FINE, shown)
    return Finding(
        "governor",
        Level.UNFIT if pinned else Level.NOTED,
        f"{shown} ({facts.frequency_driver or 'driver unknown'})",
        "the clock stays at its minimum" if pinned else "the clock follows the load with a delay",
        "sudo cpupower frequency-set -g performance",
    )


def _turbo(facts: MachineFacts) -> Finding | None:
    if facts.turbo is None:
        return None
    if not facts.turbo:
        return Finding("turbo", Level.FINE, "off")
    return Finding(
        "turbo",
        Level.NOTED,
        "on",
        "the clock depends on the temperature and on the number of busy cores, so that long runs drift",
        "to compare runs over time: echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo "
        "(not Intel: echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost)",
    )


def _cpu_throttling(facts: MachineFacts) -> Finding | None:
    if facts.throttled is None:
        return None
    if facts.throttled == 0:
        return Finding("CPU throttling", Level.FINE, "none while spinning")
    return Finding(
        "CPU throttling",
        Level.UNFIT,
        f"cores too hot {facts.throttled} times while spinning",
        "the clock is lowered, and more so the longer it lasts",
        "let the machine cool, check its fans; plug a laptop in",
    )


def _builds(facts: MachineFacts) -> Finding | None:
    if not facts.debug:
        return Finding("debug build", Level.FINE, "none")
    return Finding(
        "debug build",
        Level.UNFIT,
        " and ".join(facts.debug),
        "its checks make it several times slower than a release build",
        "install a release build",
    )


def _tracing(facts: MachineFacts) -> Finding | None:
    malloc = facts.environment.get("PYTHONMALLOC", "")
    traced = [*facts.tracers, *([f"PYTHONMALLOC={malloc}"] if "debug" in malloc else [])]
    if not traced:
        return Finding("tracing", Level.FINE, "nothing traces this Python")
    return Finding(
        "tracing",
        Level.UNFIT,
        ", ".join(traced),
        "every line, call or allocation takes longer, which slows down CPU cases most",
        "run without coverage, debuggers, profilers, -X dev and PYTHONMALLOC",
    )


def _launches(facts: MachineFacts) -> Finding | None:
    if not any(device.state is not None for device in facts.devices):
        return None
    switched = [
        f"{name}={facts.environment[name]}"
        for name in ("CUDA_LAUNCH_BLOCKING", "PYTORCH_NO_CUDA_MEMORY_CACHING")
        if facts.environment.get(name, "0") not in ("", "0")
    ]
    if not switched:
        return Finding("CUDA debugging", Level.FINE, "off")
    return Finding(
        "CUDA debugging",
        Level.UNFIT,
        ", ".join(switched),
        "every launch or allocation waits for the GPU, which training does not do",
        f"unset {' '.join(name.partition('=')[0] for name in switched)}",
    )


def _tf32(facts: MachineFacts) -> Finding | None:
    if not any(device.state is not None for device in facts.devices):
        return Finding("TF32", Level.FINE, "no CUDA device here")
    override = facts.environment.get("NVIDIA_TF32_OVERRIDE")
    matmul, convolution = facts.machine.get("tf32"), facts.machine.get("cudnn_tf32")
    if override == "0" or not (matmul or convolution):
        return Finding("TF32", Level.FINE, "off: CPU and GPU both compute in float32")
    return Finding(
        "TF32",
        Level.NOTED,
        f"matrix products {_on(matmul)}, convolutions {_on(convolution)}"
        + (f", NVIDIA_TF32_OVERRIDE={override}" if override else ""),
        "the GPU then computes with a mantissa of 10 bits and the CPU with 23: not the same work",
        "if unintended: torch.set_float32_matmul_precision('highest') and "
        "torch.backends.cudnn.allow_tf32 = False",
    )


def _accelerators(facts: MachineFacts) -> Iterator[Finding]:
    for device in facts.devices:
        if device.error is not None:
            yield Finding(
                device.name,
                Level.UNFIT,
                f"does not start: {device.error}",
                "nothing can be measured on it",
                "find the process that uses it with nvidia-smi and free its memory, or choose another device",
            )
        elif device.state is not None:
            yield from _gpu(device)


def _gpu(device: DeviceFacts) -> Iterator[Finding]:
    state = device.state or {}
    others, reasons = state.get("other_processes"), state.get("event_reasons")
    if others:
        yield Finding(
            f"{device.name} shared",
            Level.UNFIT,
            f"{others} other {'process' if others == 1 else 'processes'} on {device.device_name}",
            "its time and memory are shared with them",
            "find and stop them with nvidia-smi, or choose another GPU with CUDA_VISIBLE_DEVICES",
        )
    elif others is not None:
        yield Finding(f"{device.name} shared", Level.FINE, "no other process uses it")
    slowed = [reason for reason in reasons or () if reason in THROTTLING]
    if slowed:
        yield Finding(
            f"{device.name} throttled",
            Level.UNFIT,
            f"{', '.join(slowed)} at {state.get('temperature_c')} C, {state.get('sm_clock_mhz')} MHz",
            "its clock is below its target",
            "let it cool, and check its cooling and power limit (nvidia-smi -q -d PERFORMANCE)",
        )
    elif reasons is not None:
        yield Finding(f"{device.name} throttled", Level.FINE, "its clock is not lowered")
    for name, why in state.get("unreadable", {}).items():
        yield Finding(f"{device.name} {name}", Level.UNREADABLE, str(why))


def _on(flag: object) -> str:
    return "unknown" if flag is None else "on" if flag else "off"


RULES: tuple[Callable[[MachineFacts], Finding | None], ...] = (
    _neighbors, _slow_threads, _openmp, _quota, _slice, _one_thread, _threads_per_core, _numa, _binding,
    _backward_thread, _allocator, _governor, _turbo, _cpu_throttling, _builds, _tracing, _launches, _tf32,
)  # fmt: skip
"""The rules with one finding at most, in the order of their findings; those of the accelerators follow."""
