"""Projects with benchmarks, and pytest in them as a command."""

import json
import os
import subprocess
import sys
import time

HEAD = '''
import ctypes, os, pathlib, signal, sys, time
import pytest, torch
from breakeven import Workload

class Model(torch.nn.Linear):
    """Does something in its forward pass."""

    do = staticmethod(lambda: None)

    def forward(self, inputs):
        self.do()
        return super().forward(inputs)

def workload(batch_size, do=lambda: None):
    model = Model(4, 2)
    model.do = do
    return Workload(
        model=model, loss=torch.nn.functional.mse_loss, optimizer=torch.optim.SGD,
        inputs=torch.ones(batch_size, 4), targets=torch.zeros(batch_size, 2),
    )

def fail():
    raise ValueError("no good")
'''

QUICK_FACTS = """
def pytest_benchmark_generate_machine_info():
    return {"node": "inner"}

def pytest_benchmark_generate_commit_info():
    return {"id": "inner"}
"""

OPTIONS = (
    "bench", "--benchmark-json=run.json", "--breakeven-devices=cpu@1", "--breakeven-phases=train",
    "--benchmark-max-time=0.02", "--benchmark-precision=0.9", "-p", "no:hypothesispytest",
)  # fmt: skip


class Project:
    """A directory with benchmarks, and pytest in it with one measuring process unless an option says more."""

    def __init__(self, path, source, conftest=""):
        self.path = path
        self.file = path / "bench" / "bench_mine.py"
        self.file.parent.mkdir()
        self.file.write_text(HEAD + source)
        (path / "pytest.ini").write_text("[pytest]\n")
        (path / "conftest.py").write_text(QUICK_FACTS + conftest)

    def start(self, *options, randomly=False, environment=()):
        return subprocess.Popen(
            [
                *(sys.executable, "-m", "pytest", *OPTIONS, *(() if randomly else ("-p", "no:randomly"))),
                *options,
            ],
            cwd=self.path,
            env={
                **{name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_ADDOPTS")},
                "BREAKEVEN_PROCESSES": "1", "OMP_WAIT_POLICY": "passive", **dict(environment),
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def run(self, *options, **keywords):
        """Return pytest's exit code and output."""
        process = self.start(*options, **keywords)
        output, _ = process.communicate(timeout=300)
        assert "INTERNALERROR" not in output
        assert "Traceback" not in output
        return process.returncode, output

    def start_and_wait_for(self, text, *options):
        """Start pytest, and wait until the journal contains a text."""
        process = self.start(*options)
        journal = self.path / "run.json.journal"
        deadline = time.monotonic() + 240
        while not (journal.exists() and text in journal.read_text()):
            assert process.poll() is None, process.communicate()[0]
            assert time.monotonic() < deadline
            time.sleep(0.05)
        return process

    def content(self, name="run.json"):
        return json.loads((self.path / name).read_text())

    def rounds(self, name="run.json"):
        """Return the rounds of each timed case by its name, without the device and phase."""
        return {short(item["name"]): item["stats"]["data"] for item in self.content(name)["benchmarks"]}

    @property
    def no_good(self):
        """The reason of a case whose model calls `fail`."""
        line = self.file.read_text().splitlines().index('    raise ValueError("no good")') + 1
        return f"{self.file}:{line}: ValueError: no good"

    def outcomes(self, name="run.json"):
        """Return the outcome and the reason of each case without a timing."""
        listed = self.content(name)["breakeven"]["outcomes"]
        return {short(one["fullname"].partition("::")[2]): (one["outcome"], one["reason"]) for one in listed}


def short(name):
    """Return a case's name without the device and phase."""
    return name.removeprefix("bench_").replace("-cpu@1-train", "")
