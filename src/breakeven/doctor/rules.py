"""From what was read of a machine to findings: what would disturb timing here, and how to mend it.

Owns the rules. Each is a function of `Facts` alone, so that recorded machines can be replayed. A finding is
``unfit`` where numbers would be wrong or wildly noisy (another process on the cores or the GPU, throttling,
a quota that splits a core, one thread where there are more, a debug build, tracing, synchronous launches);
``noted`` where they are right but need to be known; ``unreadable`` is no verdict. Only ``unfit`` is not fit.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from breakeven.doctor.facts import DeviceFacts, Facts
from breakeven.hardware.nvml import THROTTLING

LEVELS = ("unfit", "noted", "unreadable", "fine")

BUSY = 0.10
"""Beyond this share of a core, what a neighbor takes makes numbers wrong."""

NOTICEABLE = 0.02
"""Below this share, what a neighbor takes is nobody's concern."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: what was seen, why that matters, and how to mend it.

    `why` and `remedy` are empty where there is nothing to mend.
    """

    name: str
    level: str
    seen: str
    why: str = ""
    remedy: str = ""

    @property
    def fit(self) -> bool:
        """Whether timing may go on in spite of it."""
        return self.level != "unfit"


@dataclass(frozen=True)
class Checkup:
    """The machine, and everything that was found."""

    facts: Facts
    findings: tuple[Finding, ...]

    @property
    def fit(self) -> bool:
        """Whether nothing was found that makes numbers wrong."""
        return all(finding.fit for finding in self.findings)

    @property
    def summary(self) -> str:
        """The verdict in one line."""
        unfit = [finding.name for finding in self.findings if not finding.fit]
        if unfit:
            return f"Not fit for timing: {', '.join(unfit)}."
        noted = sum(finding.level == "noted" for finding in self.findings)
        return f"Fit for timing{f', {noted} noted' if noted else ''}."


def examine(facts: Facts) -> Checkup:
    """Return the findings of every rule, those to mend first."""
    found = [finding for rule in RULES for finding in rule(facts)]
    return Checkup(facts, tuple(sorted(found, key=lambda finding: LEVELS.index(finding.level))))


def _neighbors(facts: Facts) -> Iterator[Finding]:
    lost, switches = facts.neighbors.lost, facts.neighbors.switches
    seen = f"others took {100 * lost:.0f}% of a core where {_threads(facts.threads)} of ours were spinning"
    if switches is not None:
        seen += f" (taken away {switches} times)"
    if lost < NOTICEABLE:
        yield Finding("busy neighbor", "fine", f"nobody took more than {100 * NOTICEABLE:.0f}% of a core")
        return
    yield Finding(
        "busy neighbor",
        "unfit" if lost > BUSY else "noted",
        seen,
        "steps wait for the core that somebody else has; threads that wait for each other suffer most",
        "find it with `top` and stop it, or measure on a machine of your own",
    )


def _openmp(facts: Facts) -> Iterator[Finding]:
    name, environment = "spinning OpenMP threads", facts.environment
    passive = environment.get("OMP_WAIT_POLICY", "").lower() == "passive"
    zero = "0" in (environment.get("GOMP_SPINCOUNT"), environment.get("KMP_BLOCKTIME"))
    if facts.threads < 2 or not facts.openmp or passive or zero:
        yield Finding(name, "fine", "idle threads sleep" if facts.threads > 1 else "there is one thread")
        return
    # Spinning is harmless, and faster, while every thread has a core; it is not once one must wait for it.
    yield Finding(
        name,
        "unfit" if facts.neighbors.lost > NOTICEABLE else "noted",
        f"OMP_WAIT_POLICY={environment.get('OMP_WAIT_POLICY', 'not set')}, {_threads(facts.threads)}",
        "idle threads spin for each other: one busy neighbor can make a step a hundred times slower",
        "export OMP_WAIT_POLICY=passive, at least wherever something else may run",
    )


def _quota(facts: Facts) -> Iterator[Finding]:
    quota = facts.quota
    if quota is None or quota >= facts.affinity:
        yield Finding("CPU quota", "fine", "none below the CPUs it may use")
        return
    whole = float(quota).is_integer()
    yield Finding(
        "CPU quota",
        "noted" if whole else "unfit",
        f"{quota:g} of {facts.affinity} CPUs",
        "who uses it up is stopped until the next period, usually 0.1 s"
        + ("" if whole else f"; {_threads(facts.threads)} of ours would be, in every one"),
        f"pin the container to CPUs of its own (docker --cpuset-cpus) or give it {facts.affinity} CPUs",
    )


def _one_thread(facts: Facts) -> Iterator[Finding]:
    cores = int(facts.machine.get("cores") or facts.affinity)
    if facts.threads > 1 or cores == 1:
        yield Finding("threads", "fine", f"{_threads(facts.threads)} of {cores} CPUs")
        return
    wished = facts.environment.get("OMP_NUM_THREADS", "")
    first = wished.split(",")[0]
    if first.isdigit() and int(first) == 1:
        seen, remedy = f"OMP_NUM_THREADS={wished}", "unset OMP_NUM_THREADS"
    elif facts.affinity == 1:
        seen, remedy = "the affinity is one CPU", "start without taskset, or with more CPUs"
    elif facts.quota is None:
        seen, remedy = "nothing here tells why", "see that nothing asks for fewer threads than CPUs"
    else:
        seen, remedy = f"the quota is {facts.quota:g} CPUs", "give the container more CPUs"
    yield Finding(
        "threads",
        "unfit",
        f"one thread of {cores} CPUs: {seen}",
        "the device cpu means all threads; against one of many, every accelerator looks better than it is",
        remedy,
    )


def _governor(facts: Facts) -> Iterator[Finding]:
    if "governor" in facts.unreadable:
        return
    shown = ", ".join(facts.governors)
    # pstate drivers scale the clock with the load under the name powersave; the others pin it to the lowest.
    pinned = "powersave" in facts.governors and "pstate" not in (facts.frequency_driver or "")
    if facts.governors == ("performance",):
        yield Finding("governor", "fine", shown)
        return
    yield Finding(
        "governor",
        "unfit" if pinned else "noted",
        f"{shown} ({facts.frequency_driver or 'driver unknown'})",
        "the clock is held at its lowest" if pinned else "the clock follows the load, and lags behind it",
        "sudo cpupower frequency-set -g performance",
    )


def _turbo(facts: Facts) -> Iterator[Finding]:
    if facts.turbo is None:
        return
    if not facts.turbo:
        yield Finding("turbo", "fine", "off")
        return
    yield Finding(
        "turbo",
        "noted",
        "on",
        "the clock depends on heat and on how many cores work, so that long runs drift",
        "for comparisons over time: echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo "
        "(others: echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost)",
    )


def _cpu_throttling(facts: Facts) -> Iterator[Finding]:
    if facts.throttled is None:
        return
    if facts.throttled == 0:
        yield Finding("CPU throttling", "fine", "none while spinning")
        return
    yield Finding(
        "CPU throttling",
        "unfit",
        f"too hot {facts.throttled} times while spinning",
        "the clock is lowered, by more the longer it lasts",
        "let it cool, see to its fans; a laptop wants its charger",
    )


def _builds(facts: Facts) -> Iterator[Finding]:
    if not facts.debug:
        yield Finding("debug build", "fine", "none")
        return
    yield Finding(
        "debug build",
        "unfit",
        f"{' and '.join(facts.debug)} built for debugging",
        "it checks itself, at several times the time of a release build",
        "install a release build",
    )


def _tracing(facts: Facts) -> Iterator[Finding]:
    malloc = facts.environment.get("PYTHONMALLOC", "")
    traced = [*facts.tracers, *([f"PYTHONMALLOC={malloc}"] if "debug" in malloc else [])]
    if not traced:
        yield Finding("tracing", "fine", "nothing watches this Python")
        return
    yield Finding(
        "tracing",
        "unfit",
        ", ".join(traced),
        "every line, call or allocation pays for being watched; the CPU's rows pay most",
        "run without coverage, debuggers, profilers, -X dev and PYTHONMALLOC",
    )


def _launches(facts: Facts) -> Iterator[Finding]:
    if not any(device.state is not None for device in facts.devices):
        return
    switched = [
        f"{name}={facts.environment[name]}"
        for name in ("CUDA_LAUNCH_BLOCKING", "PYTORCH_NO_CUDA_MEMORY_CACHING")
        if facts.environment.get(name, "0") not in ("", "0")
    ]
    if not switched:
        yield Finding("CUDA debugging", "fine", "off")
        return
    yield Finding(
        "CUDA debugging",
        "unfit",
        ", ".join(switched),
        "every launch or allocation waits for the GPU, as it never does in training",
        f"unset {' '.join(name.partition('=')[0] for name in switched)}",
    )


def _tf32(facts: Facts) -> Iterator[Finding]:
    if not any(device.state is not None for device in facts.devices):
        yield Finding("TF32", "fine", "no CUDA device would use it")
        return
    override = facts.environment.get("NVIDIA_TF32_OVERRIDE")
    matmul, convolution = facts.machine.get("tf32"), facts.machine.get("cudnn_tf32")
    if override == "0" or not (matmul or convolution):
        yield Finding("TF32", "fine", "off: CPU and GPU compute in float32")
        return
    yield Finding(
        "TF32",
        "noted",
        f"matrix products {_on(matmul)}, convolutions {_on(convolution)}"
        + (f", NVIDIA_TF32_OVERRIDE={override}" if override else ""),
        "the GPU then computes with 10 bits of mantissa where the CPU has 23: not the same work",
        "if that is not meant: torch.set_float32_matmul_precision('highest') and "
        "torch.backends.cudnn.allow_tf32 = False",
    )


def _accelerators(facts: Facts) -> Iterator[Finding]:
    for device in facts.devices:
        if device.error is not None:
            yield Finding(
                device.name,
                "unfit",
                f"could not be started: {device.error}",
                "nothing can be measured there",
                "see nvidia-smi for who has it; free its memory, or take another device",
            )
        elif device.state is not None:
            yield from _gpu(device)


def _gpu(device: DeviceFacts) -> Iterator[Finding]:
    state = device.state or {}
    others, reasons = state.get("other_processes"), state.get("event_reasons")
    if others:
        yield Finding(
            f"{device.name} shared",
            "unfit",
            f"{others} other {'process' if others == 1 else 'processes'} on {device.device_name}",
            "its time is split with them, and so is its memory",
            "see nvidia-smi for who it is; stop it, or choose another GPU with CUDA_VISIBLE_DEVICES",
        )
    elif others is not None:
        yield Finding(f"{device.name} shared", "fine", "no other process on it")
    slowed = [reason for reason in reasons or () if reason in THROTTLING]
    if slowed:
        yield Finding(
            f"{device.name} throttled",
            "unfit",
            f"{', '.join(slowed)} at {state.get('temperature_c')} C, {state.get('sm_clock_mhz')} MHz",
            "its clock is below what was asked of it",
            "let it cool, and look at its cooling and power limit (nvidia-smi -q -d PERFORMANCE)",
        )
    elif reasons is not None:
        yield Finding(f"{device.name} throttled", "fine", "no reason to slow down")
    for name, why in state.get("unreadable", {}).items():
        yield Finding(f"{device.name} {name}", "unreadable", str(why))


def _unreadable(facts: Facts) -> Iterator[Finding]:
    for name, why in facts.unreadable.items():
        yield Finding(name, "unreadable", why)


def _threads(count: int) -> str:
    return "one thread" if count == 1 else f"{count} threads"


def _on(flag: object) -> str:
    return "unknown" if flag is None else "on" if flag else "off"


RULES: tuple[Callable[[Facts], Iterator[Finding]], ...] = (
    _neighbors,
    _openmp,
    _quota,
    _one_thread,
    _governor,
    _turbo,
    _cpu_throttling,
    _builds,
    _tracing,
    _launches,
    _tf32,
    _accelerators,
    _unreadable,
)
"""Every rule; a new one is added here."""
