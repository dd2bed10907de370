"""`breakeven ab` with real timings: a slowdown in a model is found, and its phase is named."""

import json
import shlex

import pytest

from breakeven import cli

NET = """
class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(4, 2)

    def forward(self, x):
        {waste}
        return self.layer(x)

@pytest.mark.sweep(batch_size=[16])
def bench_net(train_benchmark, batch_size):
    train_benchmark(lambda: workload(batch_size, model=Net()))
"""
WASTE = "torch.ones(400, 400) @ torch.ones(400, 400)  # many times the work of the whole step"


@pytest.mark.slow
def test_extra_matrix_product(bench, monkeypatch, capsys):
    """Pytest runs inside this process, because a new process takes seconds to start."""
    for name, waste in (("base", "pass"), ("head", WASTE)):
        bench.write(NET.format(waste=waste), f"{name}/bench_net.py")
    ran = []

    def execute(job):
        with monkeypatch.context() as patch:
            for variable, value in job.environment.items():
                patch.setenv(variable, value)
            result = bench.raw(*shlex.split(job.command), "--benchmark-max-time=0.1")
        job.log.write_text(result.stdout.str())
        ran.append(json.loads(job.out.read_text()) if job.out.exists() else None)
        return int(result.ret)

    monkeypatch.setattr("breakeven.experiment.shell.run_in_shell", lambda job, **_: execute(job))
    options = "--breakeven-devices=cpu@1 --breakeven-phases=forward,train --benchmark-json={out}"
    sides = [
        argument
        for side, folder in (("--base", "base"), ("--candidate", "head"))
        for argument in (side, f"{folder}/bench_net.py {options}")
    ]
    assert cli.main(["ab", *sides, "--pairs", "5", "--format", "json"]) == 1
    shown = capsys.readouterr().out
    content = json.loads(shown[shown.rindex('{\n "schema"') :])  # after the output of pytest
    rows = {row["case"]: row for row in content["cases"]}
    assert rows["net forward cpu@1 batch=16"]["verdict"] == "regressed"
    assert rows["net train cpu@1 batch=16"]["verdict"] == "regressed"
    # The share of the step is not checked: on a busy machine its two medians may differ.
    assert any(line.startswith("net on cpu@1: train ") for line in content["warnings"])
    assert rows["net forward cpu@1 batch=16"]["ratio"] > 5
    met = [len(run["benchmarks"]) + len(run["breakeven"]["outcomes"]) for run in ran]
    assert met == [2] * 10
