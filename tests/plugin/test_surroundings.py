"""Where no sweep can be timed, a run with one ends with one line and exit code 4; others are unchanged."""

import pytest

FORKED = """
def pytest_addoption(parser):
    parser.addoption("--forked", action="store_true")
"""
CODSPEED = """
from types import SimpleNamespace

def pytest_configure(config):
    config.pluginmanager.register(SimpleNamespace(is_codspeed_enabled={enabled}), "codspeed_plugin")
"""
# As in a worker: what it reports is sent to the process that started it.
WORKER = """
def pytest_configure(config):
    config.workeroutput = {}

def pytest_unconfigure(config):
    print("reported:", config.workeroutput)
"""
# As in the process that starts the workers: it collects nothing, and a worker ends.
CONTROLLER = """
import pytest
from types import SimpleNamespace

class Hooks:
    def pytest_testnodedown(self, node, error): ...

def pytest_addhooks(pluginmanager):
    pluginmanager.add_hookspecs(Hooks)

@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session):
    for node in (SimpleNamespace(), SimpleNamespace(workeroutput=OUTPUT)):
        session.config.hook.pytest_testnodedown(node=node, error=None)
    return True
"""
THEIR_TEST = "def test_theirs(benchmark): benchmark(int)"


@pytest.fixture
def run(bench):
    """Run the project's benchmarks beside a plugin in its conftest."""

    def with_plugin(plugin="", *options, files=("bench",)):
        bench.pytester.makeconftest(plugin)
        arguments = ("-p", "no:xdist", "-p", "no:hypothesispytest", "--breakeven-devices=cpu@1", *options)
        return bench.pytester.runpytest_inprocess(*files, *arguments)

    bench.write(
        '@pytest.mark.sweep(batch_size=[1])\ndef bench_mine(train_benchmark, batch_size): note("called")'
    )
    return with_plugin


REFUSED = {
    "torchrun --nproc-per-node 2 -m pytest bench": ("", (), {"WORLD_SIZE": "2"}),
    "mpirun -n 2 pytest bench": ("", (), {"OMPI_COMM_WORLD_SIZE": "2"}),
    "mpiexec -n 3 pytest bench": ("", (), {"PMI_SIZE": "3"}),
    "pytest bench --codspeed": (CODSPEED.format(enabled=True), (), {}),
    "pytest bench --forked": (FORKED, ("--forked",), {}),
    "pytest bench -p no:benchmark": ("", ("-p", "no:benchmark"), {}),
}


def test_refused(run, bench, monkeypatch, usage_error, golden):
    """Before anything is measured."""
    lines = []
    for command, (plugin, options, environment) in REFUSED.items():
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            lines.append(f"$ {command}\n{usage_error(run(plugin, *options))}\n")
    lines.append(
        f"$ pytest bench -n 2\n{usage_error(run(controller({'breakeven_refused': WORKER_REASON})))}\n"
    )
    assert bench.notes() == []
    golden("plugin-refusals.txt", "\n".join(lines))


WORKER_REASON = "nothing can be timed under pytest-xdist, whose workers disturb each other; add -n 0"


def controller(output):
    return CONTROLLER.replace("OUTPUT", repr(output))


def test_worker_reports_and_runs_nothing(run, bench):
    """Neither the sweep nor the tests beside it, as with every other invalid option."""
    bench.pytester.makepyfile(test_theirs=THEIR_TEST)
    result = run(WORKER, files=("bench", "test_theirs.py"))
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    result.stdout.fnmatch_lines([f"reported: { ({'breakeven_refused': WORKER_REASON}) }"])
    assert bench.notes() == []


@pytest.mark.parametrize(
    ("plugin", "environment"),
    [
        (WORKER, {}),
        (CODSPEED.format(enabled=True), {}),
        (FORKED, {}),
        ("", {"WORLD_SIZE": "2"}),
    ],
    ids=["xdist", "codspeed", "forked", "torchrun"],
)
def test_projects_without_a_sweep(run, bench, monkeypatch, plugin, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    bench.pytester.makepyfile(test_theirs=THEIR_TEST)
    result = run(plugin, files=("test_theirs.py",))
    assert result.ret == 0
    result.assert_outcomes(passed=1)
    result.stdout.no_fnmatch_line("*breakeven_refused*")


@pytest.mark.parametrize(
    ("plugin", "environment"),
    [
        ("", {"WORLD_SIZE": "1"}),
        ("", {"WORLD_SIZE": ""}),
        ("", {"WORLD_SIZE": "many"}),
        ("", {"PYTEST_XDIST_WORKER": "gw0"}),  # of a pytest that a test runs
        (CODSPEED.format(enabled=False), {}),
        (FORKED, {}),
    ],
)
def test_harmless(run, bench, monkeypatch, plugin, environment):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    run(plugin, "--benchmark-disable", "--breakeven-phases=train")
    assert bench.notes() == ["called"]


def test_controller_of_other_projects(run):
    result = run(controller({"exitstatus": 0}))
    assert result.ret == 0
