"""Ranks that train together: real ones, in processes of their own, and one that plays all in this process."""

import json
import os
import socket
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

from breakeven.case import Budget, CaseKey
from breakeven.hardware.devices import parse_device
from breakeven.measure.runner import Runner
from breakeven.measure.simulated import SimulatedDevice, simulated_workload
from breakeven.measure.timing import time_round
from breakeven.measure.together import Part, Together, join
from breakeven.measure.trainer import Trainer

TESTS = Path(__file__).parents[1]

SETUP = """
import json, os, sys, time
from functools import partial
import torch
from torch import nn
from breakeven.case import Budget, CaseKey
from breakeven.hardware.devices import parse_device
from breakeven.measure.runner import Runner
from breakeven.measure.timing import time_round
from breakeven.measure.together import follow, join
from breakeven.measure.workload import Workload
from breakeven.phases import Phase

PHASES = [phase for phase in Phase if not phase.needs_loader]
device = parse_device("{device}")
together = join(device, timeout_s=30)
rank = together.rank
runner = Runner(Budget(max_time_s=0.5), together=together)

def measure(recipe, phase="train", batch_size=8, times=None, workload="w"):
    '''Facts or the outcome on rank 0, None on the others.'''
    case = CaseKey.of(workload, batch_size, phase, device.name)
    if rank:
        follow(together, case.cell, recipe)
        return None
    times = [] if times is None else times
    def rounds(round_, plan):
        times.extend(time_round(round_).latency_s for _ in range(min(plan.rounds, 8)))
    try:
        return runner.measure(case, device, recipe, rounds)
    except Exception as error:
        return list(map(str, runner.note_failure(case, error)))
    finally:
        together.end_case()

def answer(value):
    print("ANSWER", json.dumps(value, default=str), flush=True)

def leave():
    if rank:
        together.follow_rest()
    together.leave()
    os._exit(0)  # as a rank of a run ends: what torch does at exit may abort
"""


def free_port():
    """A port that nothing listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def environment(rank, size, port):
    """What torchrun sets in a rank."""
    ranks = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": size, "MASTER_PORT": port}
    return {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1", **{k: str(v) for k, v in ranks.items()}}


class Ended:
    """How a rank ended: its exit code, what it answered, and what it wrote to standard error."""

    def __init__(self, process):
        out, self.err = process.communicate(timeout=90)
        self.code = process.returncode
        lines = [line for line in out.splitlines() if line.startswith("ANSWER ")]
        self.answer = json.loads(lines[-1].removeprefix("ANSWER ")) if lines else None


def run_ranks(source, device="2xcpu", size=2, **variables):
    """Run a script in every rank of a device; return how each ended."""
    port = free_port()
    with ExitStack() as running:
        processes = []
        for rank in range(size):
            process = subprocess.Popen(
                [sys.executable, "-c", SETUP.replace("{device}", device) + source],
                env={**os.environ, **environment(rank, size, port), **variables},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                cwd=TESTS,
            )
            running.callback(process.kill)
            processes.append(process)
        return [Ended(process) for process in processes]


def joined_alone(monkeypatch, name):
    """The only rank of a device, in this process."""
    for variable, value in environment(0, 1, free_port()).items():
        monkeypatch.setenv(variable, value)
    return join(parse_device(name))


class ScriptedGroup:
    """A group of which one rank is real: it keeps what that rank sends, and plays the others.

    `commands` are what rank 0 announces to this rank; `others` what the others answer to each exchange, by
    default that they took no time.
    """

    def __init__(self, rank=0, size=2, commands=(), others=(), texts=None):
        self.rank, self.size = rank, size
        self.announced = []
        self.exchanged = []
        self.barriers = 0
        self.left = None
        self.texts = texts
        self._commands = iter(commands)
        self._others = iter(others)

    def announce(self, command):
        self.announced.append(list(command))

    def receive(self):
        return next(self._commands)

    def barrier(self):
        self.barriers += 1

    def exchange(self, seconds, failure):
        self.exchanged.append((seconds, failure))
        answer = next(self._others, (0.0, None))
        if isinstance(answer, Exception):
            raise answer
        return max(seconds, answer[0]), answer[1]

    def gather(self, value):
        return [value] * self.size if self.texts is None else self.texts

    def leave_alone(self, failure):
        self.left = failure
        raise SystemExit(76)


class OwnTrainer(Trainer):
    """A trainer that needs no other rank."""

    def parameters_text(self):
        return "same"


class OwnPart(Part):
    """Rank 0 alone trains; its share is all."""

    def share(self, cell, workload):
        return workload

    def trainer(self, cell, workload, device):
        return OwnTrainer(workload, device)


class Two(SimulatedDevice):
    """Two simulated devices that train together."""

    processes = 2


def runner_of(device, group):
    together = Together(group, device, 0.5, OwnPart(0, 2), device.clock)
    return Runner(Budget(max_time_s=1e3), device.clock, together), together


def case_of(phase="train"):
    return CaseKey.of("w", 2, phase, "2xsimulated")


def measure(device, group, phase="train", recipe=None):
    """The facts of a case, and its rounds."""
    times = []
    runner, together = runner_of(device, group)

    def rounds(round_, plan):
        times.extend(time_round(round_, device.clock) for _ in range(plan.rounds))

    try:
        workload = recipe or (lambda: simulated_workload(device))
        return runner.measure(case_of(phase), device, workload, rounds), times
    finally:
        together.end_case()
        runner.close()
