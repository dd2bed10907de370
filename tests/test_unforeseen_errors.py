"""An error of breakeven itself: one line with where to report it, exit code 70, and no timing is lost."""

import json

import pytest

from breakeven import cli
from breakeven.errors import BreakevenError, is_own
from breakeven.grouping import grouped
from support.run_files import affine_run, write

REPORT = "please report it to breakeven's issue tracker"


def failing(error):
    """A function that fails."""

    def fail(*_, **__):
        raise error

    return fail


@pytest.fixture
def run_json(tmp_path, monkeypatch):
    """A run file in the working directory."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "run.json", affine_run({"cpu": (1, 1)}))


@pytest.mark.parametrize(
    "error", [KeyError("x"), RecursionError("too\ndeep"), AssertionError(), ValueError("\x1b[1m")]
)
def test_command(run_json, monkeypatch, capsys, error):
    """The line names the error and its place in breakeven; --traceback adds the rest."""
    monkeypatch.setattr("breakeven.report.report.analyze", failing(error))
    assert cli.main(["report", run_json]) == 70
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith(f"breakeven: error: an error of breakeven itself: {type(error).__name__}: ")
    assert "(breakeven/commands/report.py:" in line
    assert REPORT in line
    assert "\x1b" not in line
    assert cli.main(["report", run_json, "--traceback"]) == 70
    assert "Traceback" in capsys.readouterr().err


def test_out_of_memory(run_json, monkeypatch, capsys):
    monkeypatch.setattr("breakeven.report.report.analyze", failing(MemoryError()))
    assert cli.main(["report", run_json]) == 2
    assert capsys.readouterr().err.startswith("breakeven: error: out of memory; ")


def test_file_that_cannot_be_written(run_json, monkeypatch, capsys):
    """The line has its name; without one it is the output."""
    for error, what in (
        (OSError(28, "No space", "page.html"), "page.html"),
        (OSError(28, "No space"), "the output"),
    ):
        monkeypatch.setattr("breakeven.report.report.analyze", failing(error))
        monkeypatch.setattr(cli, "_discard_output", lambda: None)
        assert cli.main(["report", run_json]) == 2
        assert capsys.readouterr().err == (
            f"breakeven: error: {what} cannot be written (No space); free some space\n"
        )


@pytest.mark.parametrize(
    "where",
    [
        "breakeven.plugin.plan.CasePlan.add",
        "breakeven.plugin.plan.CasePlan.summary",
        "breakeven.plugin.measuring.MeasuringSession.finish",
        "breakeven.plugin.session.BenchmarkSession.complete",
        "breakeven.plugin.session.BenchmarkSession.summary",
        "breakeven.plugin.hooks.read_selection",
    ],
)
def test_pytest(bench, monkeypatch, where):
    monkeypatch.setattr(where, failing(KeyError("x")))
    result = bench.write().run()
    text = "\n".join((*result.outlines, *result.errlines))
    assert result.ret == 70
    assert "INTERNALERROR" not in text
    assert "Traceback" not in text
    own = [line for line in text.splitlines() if "an error of breakeven itself: KeyError: 'x' (" in line]
    assert len(own) == (2 if where.endswith("selection") else 1)  # pytest prints an early exit twice
    assert all(REPORT in line for line in own)


@pytest.mark.parametrize(
    "where",
    [
        "breakeven.plugin.session.BenchmarkSession.forget",
        "breakeven.plugin.measuring.MeasuringSession._keep",
        "breakeven.measure.runner.Runner.measure",
    ],
)
def test_case(bench, monkeypatch, where):
    """It costs the case: the reason has the place, and where to report it."""
    monkeypatch.setattr(where, lambda *_, **__: grouped(None))
    assert bench.write().run().ret == pytest.ExitCode.TESTS_FAILED
    found = bench.outcomes()
    assert len(found) == 2
    for outcome, reason in found.values():
        assert outcome == "failed"
        assert "TypeError: 'NoneType' object is not iterable (breakeven/grouping.py:" in reason
        assert reason.endswith(f"if your benchmark is right, {REPORT}")


def test_results_of_a_run_that_ends_early(bench, monkeypatch):
    """What was timed until then is written."""
    monkeypatch.setattr("breakeven.plugin.measuring.MeasuringSession.finish", failing(KeyError("x")))
    assert bench.write().run().ret == 70
    assert len(bench.timed()) == 2


def test_collection(bench, monkeypatch):
    """A file that cannot be collected is an error of one line, and pytest's others are reported too."""
    monkeypatch.setattr("breakeven.plugin.hooks.parametrize", failing(KeyError("x")))
    result = bench.write().run()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    result.stdout.fnmatch_lines(["breakeven: an error of breakeven itself: KeyError: 'x' (*"])
    assert "KeyError" not in result.stdout.str().replace("itself: KeyError", "")


@pytest.mark.parametrize("hook", ["pytest_runtestloop", "pytest_collection_finish", "pytest_sessionfinish"])
def test_errors_of_others_stay_theirs(bench, hook):
    """Also where breakeven's hooks are around those of a plugin."""
    bench.write(f"def {hook}(): raise KeyError('theirs')", "conftest.py", head="")
    result = bench.write().run()
    text = "\n".join((*result.outlines, *result.errlines))
    assert "of breakeven itself" not in text


def test_whose_error():
    """Those that breakeven raises or passes on from a library; not those of code that pytest called."""
    for call, expected in (
        (lambda: cli._parser().parse_args(["nothing"]), True),
        (lambda: json.loads("{"), False),
    ):
        with pytest.raises((BreakevenError, ValueError)) as found:
            call()
        assert is_own(found.value) == expected
    assert not is_own(KeyError())
