"""Scripts and their Workloads: the order of the processes, the agreement, and the section."""

import ast

import own_scripts
import pytest


def test_processes_take_turns():
    order = []
    timers = (lambda _: order.append("script") or 1.0, lambda _: order.append("workload") or 2.0)
    assert own_scripts.pairs_of("gan", 3, *timers) == [(1.0, 2.0)] * 3
    assert order == ["script", "workload", "workload", "script", "script", "workload"]


@pytest.mark.parametrize(("factors", "agrees"), [((0.99, 1.0, 1.02), True), ((1.04, 1.05, 1.06), False)])
def test_agreement(factors, agrees):
    found = own_scripts.agreement([(2.0, 2.0 * factor) for factor in factors])
    assert found["agrees"] is agrees
    assert found["ratio"][1] == pytest.approx((factors[0] * factors[1] * factors[2]) ** (1 / 3))
    assert found["n"] == 3


def test_interval_of_two_processes():
    """Student's quantile of one degree of freedom is 12.7; of equal times the interval is a point."""
    assert own_scripts.interval([3.0, 3.0]) == pytest.approx((3.0, 3.0, 3.0))
    low, center, high = own_scripts.interval([1.0, 4.0])
    assert center == pytest.approx(2.0)
    assert high / center == pytest.approx(4.0 ** (12.706 / 2), rel=1e-3)
    assert low * high == pytest.approx(4.0)


@pytest.mark.parametrize("name", own_scripts.NAMES)
def test_every_script_has_its_workload(name):
    """A bench file builds its Workload of what the script defines."""
    tree = ast.parse((own_scripts.SCRIPTS / f"bench_{name}.py").read_text())
    imports = [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    assert name in imports
    assert (own_scripts.SCRIPTS / f"{name}.py").exists()


def test_results(tmp_path, monkeypatch):
    monkeypatch.setattr(own_scripts, "script_s", lambda _: 0.002)
    monkeypatch.setattr(own_scripts, "workload_s", lambda _: 0.002)
    assert own_scripts.main(["--pairs", "2", "-q", "-o", str(tmp_path)]) == 0
    text = (tmp_path / "own_scripts.md").read_text()
    assert "| LBFGS | 2.000 [2.000-2.000] | 2.000 [2.000-2.000] | 1.000 [1.000-1.000] | yes |" in text


def test_disagreement_is_an_error(tmp_path, monkeypatch):
    monkeypatch.setattr(own_scripts, "script_s", lambda _: 0.002)
    monkeypatch.setattr(own_scripts, "workload_s", lambda _: 0.003)
    assert own_scripts.main(["--pairs", "2", "-q", "--scripts", "gan", "-o", str(tmp_path)]) == 1
