"""Each rendered output equals the file of its name in `goldens/`.

After an intended change of wording, rewrite the files with

    python -m pytest tests/test_goldens.py --regenerate-goldens

and review their diff, which leaves `exit-codes.txt` as it is. The files hold no versions, no paths of this
machine and no digits beyond the sixth.
"""

import contextlib
import io
import json
import re
import shlex
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest

from breakeven.cli import main
from breakeven.doctor.against import Against
from breakeven.doctor.against_output import AgainstJson
from breakeven.doctor.facts import MachineFacts
from breakeven.doctor.output import CheckupJson, SelfTestJson
from breakeven.render.calibrate import CalibrationJson
from breakeven.render.compare import ComparisonJson
from breakeven.render.history_json import (
    HistoryAcceptJson,
    HistoryAddJson,
    HistoryCheckJson,
    HistoryShowJson,
)
from breakeven.render.json_output import json_schema
from breakeven.render.predict_data import CardsJson, PredictionJson
from breakeven.render.report_data import ReportJson
from support.frozen_machine import (
    AS_ITS_CLASS,
    BUSY,
    FAILED,
    HEALTHY,
    PASSED,
    UNFIT,
    UNLIKE_ITS_CLASS,
    as_compared,
    freeze,
    replay,
)
from support.golden_inputs import BROKEN, make_inputs
from support.pages import lines_of

GOLDENS = Path(__file__).parent / "goldens"

H100 = "committed/h100-16core/run.json committed/h100-16core/large.json"
SMALL_H100 = "small/h100-run.json small/h100-large.json"
BASE, SAME, SLOW, OTHER = (
    " ".join(f"{name}{i}.json" for i in range(5)) for name in ("base", "same", "slow", "other")
)
MEASURE = "'cp measured/$(basename {out}) {out}'"


@dataclass(frozen=True)
class Output:
    """The output of a command, or a file that it writes, and its exit code; `after` runs first."""

    command: str
    code: int = 0
    file: str = ""
    after: str = ""


CPU_REPORT = "report small/cpu.json -o cpu"
H100_REPORT = f"report {H100} -o h100"
SMALL_REPORT = f"report {SMALL_H100} -o small-h100"
PROCESSES_REPORT = "report processes.json -o five"
TWO_REPORT = "report tiny/laptop.json tiny/server.json -o two"
PREDICT = (
    "predict predicted/laptop.json --on predicted/h100.json,predicted/l4.json --steps 200000 "
    "--price cpu=0.20/h --price h100-16core=2.00/h"
)
ACCEPT = "history accept 0000014 --reason 'one more layer' --store changing --accepted meant.json"

OUTPUTS = {
    "report-cpu.txt": Output(CPU_REPORT),
    "report-cpu.md": Output(CPU_REPORT, file="cpu/summary.md"),
    "report-cpu.page.txt": Output(CPU_REPORT, file="cpu/index.html"),
    "report-cpu.json": Output("report small/cpu.json --format json"),
    "report-h100.txt": Output(H100_REPORT),
    "report-h100.md": Output(H100_REPORT, file="h100/summary.md"),
    "report-h100-small.csv": Output(SMALL_REPORT, file="small-h100/summary.csv"),
    "report-h100-small.page.txt": Output(SMALL_REPORT, file="small-h100/index.html"),
    "report-h100-small.json": Output(f"report {SMALL_H100} --format json"),
    "report-variants.txt": Output("report small/variants.json -o variants"),
    "report-variants.json": Output("report small/variants.json --format json"),
    "report-two.txt": Output(TWO_REPORT),
    "report-two.md": Output(TWO_REPORT, file="two/summary.md"),
    "report-two.page.txt": Output(TWO_REPORT, file="two/index.html"),
    "report-two-one-baseline.json": Output(
        "report tiny/laptop.json tiny/server.json --baseline H100/cpu --format json"
    ),
    "report-processes.txt": Output(PROCESSES_REPORT),
    "report-processes.md": Output(PROCESSES_REPORT, file="five/summary.md"),
    "report-processes.page.txt": Output(PROCESSES_REPORT, file="five/index.html"),
    "report-processes.json": Output("report processes.json --format json"),
    "report-interrupted.txt": Output("report interrupted.json -o interrupted"),
    "report-noise.txt": Output(
        "report base0.json -o noisy --noise kept",
        after=f"calibrate {MEASURE} --runs 5 --noise kept -o calibrate-kept",
    ),
    "report-red.txt": Output("report mode-one.json mode-two.json -o red", 3),
    "report-red.json": Output("report mode-one.json mode-two.json --format json", 3),
    "report-forced.txt": Output("report mode-one.json mode-two.json -o forced --force"),
    "predict.txt": Output(PREDICT),
    "predict.json": Output(f"{PREDICT} --format json"),
    "predict.csv": Output(f"{PREDICT} --format csv"),
    "predict.md": Output(f"{PREDICT} --format markdown"),
    "predict.page.txt": Output(f"{PREDICT} -o predicted/out", file="predicted/out/index.html"),
    "predict-one.txt": Output("predict predicted/laptop.json --on predicted/h100.json"),
    "predict-nothing.txt": Output("predict predicted/uncounted.json --on predicted/h100.json", 3),
    "compare-regressed.txt": Output(f"compare --baseline {BASE} --candidate {SLOW}", 1),
    "compare-regressed.md": Output(f"compare --baseline {BASE} --candidate {SLOW} --format markdown", 1),
    "compare-regressed.json": Output(f"compare --baseline {BASE} --candidate {SLOW} --format json", 1),
    "compare-unchanged.txt": Output(f"compare --baseline {BASE} --candidate {SAME}"),
    "compare-single.txt": Output("compare base0.json slow0.json", 3),
    "compare-noise.txt": Output(
        "compare base0.json slow0.json --noise kept",
        1,
        after=f"calibrate {MEASURE} --runs 5 --noise kept -o calibrate-kept",
    ),
    "compare-varied.txt": Output(f"compare --baseline {BASE} --candidate {OTHER} --vary torch,driver", 1),
    "compare-new.txt": Output("compare empty.json base0.json", 3),
    "compare-missing.txt": Output("compare base0.json empty.json", 3),
    "compare-plain.txt": Output("compare plain.json plain.json", 3),
    "ab.txt": Output(f"ab --base {MEASURE} --candidate {MEASURE} --pairs 8 -o ab", 1),
    "ab-few.txt": Output(f"ab --base {MEASURE} --candidate {MEASURE} --pairs 3 -o ab-few", 3),
    "calibrate.txt": Output(f"calibrate {MEASURE} --runs 5 -o calibrate"),
    "calibrate.json": Output(f"calibrate {MEASURE} --runs 5 -o calibrate-json --format json"),
    "history-add.txt": Output("history add base0.json base0.json base1.json --store added"),
    "history-add.json": Output("history add base0.json base1.json --store added-json --format json"),
    "history-check.txt": Output("history check --store changing", 1),
    "history-check.md": Output("history check --store changing --format markdown", 1),
    "history-check.json": Output("history check --store changing --format json", 1),
    "history-check-steady.txt": Output("history check --store steady"),
    "history-check-young.txt": Output("history check --store young", 3),
    "history-check-empty.txt": Output("history check --store nothing", 3),
    "history-show.txt": Output("history show --store changing -o shown"),
    "history-show.page.txt": Output("history show --store changing -o shown", file="shown/index.html"),
    "history-show.json": Output("history show --store steady --format json"),
    "history-accept.txt": Output(ACCEPT),
    "history-accept-again.txt": Output(ACCEPT, after=ACCEPT),
    "history-accept.json": Output(f"{ACCEPT.replace('meant', 'meant-too')} --format json"),
    "history-check-accepted.txt": Output(
        "history check --store changing --accepted meant.json", 1, after=ACCEPT
    ),
    **{
        f"help{''.join(f'-{word}' for word in words.split())}.txt": Output(f"{words} --help".strip())
        for words in (
            "", "report", "compare", "ab", "calibrate", "doctor", "ci", "merge", "fleet", "recover",
            "predict", "card",
            "history", "history add", "history check", "history show", "history accept",
        )
    },
}  # fmt: skip
"""The outputs of commands that read files, by the name of their golden file."""

DOCTOR = {
    "doctor-fit.txt": ("doctor", HEALTHY, 0),
    "doctor-fit.json": ("doctor --format json", HEALTHY, 0),
    "doctor-busy.txt": ("doctor", BUSY, 3),
    "doctor-unfit.txt": ("doctor", UNFIT, 3),
    "doctor-unfit.json": ("doctor --format json", UNFIT, 3),
    "doctor-against.txt": ("doctor --against h100-16core", AS_ITS_CLASS, 0),
    "doctor-against-slower.txt": ("doctor --against h100-16core", UNLIKE_ITS_CLASS, 3),
    "doctor-against-slower.json": ("doctor --against h100-16core --format json", UNLIKE_ITS_CLASS, 3),
    "doctor-selftest.txt": ("doctor --selftest", [PASSED], 0),
    "doctor-selftest-failed.txt": ("doctor --selftest", [PASSED, FAILED], 1),
    "doctor-selftest-failed.json": ("doctor --selftest --format json", [PASSED, FAILED], 1),
}

EXIT_CODES, ERRORS = "exit-codes.txt", "errors.txt"

SCHEMAS = {
    "schema-calibrate.json": CalibrationJson,
    "schema-compare.json": ComparisonJson,
    "schema-doctor.json": CheckupJson,
    "schema-doctor-against.json": AgainstJson,
    "schema-history-accept.json": HistoryAcceptJson,
    "schema-history-add.json": HistoryAddJson,
    "schema-history-check.json": HistoryCheckJson,
    "schema-history-show.json": HistoryShowJson,
    "schema-predict.json": PredictionJson,
    "schema-predict-cards.json": CardsJson,
    "schema-report.json": ReportJson,
    "schema-doctor-selftest.json": SelfTestJson,
}
"""The JSON outputs, by the golden file of their JSON Schema."""

ELSEWHERE = {"plugin-errors.txt", "plugin-refusals.txt"}
"""Golden files that other modules' tests compare."""

BAD_USAGE = (
    "",
    "nonsense",
    "--nope",
    "--nope report",
    "report --nope",
    "report -x",
    "report --version",
    "report --format",
    "report --f",
    "report none.json",
    "report ''",
    "report",
    "report small",
    "report bad/bytes.json",
    "report base0.json bad/newer.json --format json --noise nothing",
    "report base0.json --baseline tpu",
    "report small/h100-run.json --baseline nowhere/cpu",
    "report tiny/laptop.json tiny/server.json --baseline EPYC/cuda",
    "report base0.json --format xml",
    "report base0.json -o ''",
    "report base0.json -o base1.json",
    "report base0.json -o base1.json/out",
    "report --force=3",
    "report base0.json --noise gone",
    "compare",
    "compare base0.json",
    "compare base0.json base1.json base2.json",
    "compare --baseline base0.json",
    "compare base0.json --baseline base0.json --candidate base1.json",
    "compare none.json base0.json",
    "compare --baseline base0.json base0.json --candidate base1.json",
    "compare base0.json other0.json",
    "compare base0.json other0.json --vary torch",
    "compare base0.json other0.json --vary nonsense",
    "compare base0.json base1.json --threshold 2",
    "compare base0.json base1.json --resolution x%",
    "compare base0.json base1.json --fail-on slower",
    "compare base0.json base1.json --fail-on ''",
    "compare base0.json base1.json --fail-on none,new",
    "compare base0.json base1.json --fail-on ' ,'",
    "compare base0.json base1.json --noise ''",
    "compare --baseline '' --candidate base1.json",
    "compare --baseline base0.json --candidate ''",
    "compare '' base1.json",
    "compare bad/blank.json bad/cut.json",
    "compare base0.json base1.json --noise gone",
    "compare base0.json base1.json --noise base0.json",
    "compare base0.json base1.json --format csv",
    *(
        f"compare base0.json base1.json --noise bad/noise/{name}"
        for name in ("no-medians", "newer", "one-run", "short", "renamed", "text")
    ),
    "ab --base x",
    "ab --base pytest --candidate 'pytest {out}'",
    "ab --base '' --candidate 'pytest {out}'",
    "ab --base 'pytest {out}' --candidate 'pytest {out}' --pairs few",
    "ab --base 'pytest {out}' --candidate 'pytest {out}' --pairs 0",
    "ab --base 'pytest {out}' --candidate 'pytest {out}' --budget soon",
    "ab --base 'pytest {out}' --candidate 'pytest {out}' --budget 0s",
    "calibrate",
    "calibrate pytest",
    "calibrate ''",
    "calibrate 'pytest {out}' --runs 1",
    "calibrate 'pytest {out}' --runs few",
    f"calibrate 'pytest {{out}}' --runs {'9' * 5000}",
    "calibrate 'pytest {out}' --noise ''",
    "calibrate 'pytest {out}' --noise base0.json",
    "calibrate 'pytest {out}' --output base0.json",
    "calibrate 'pytest {out}' --output bad/other-folder",
    "calibrate 'pytest {out}' --output bad/damaged-plan",
    "doctor extra",
    "doctor --format csv",
    "history",
    "history nonsense",
    "history add",
    "history add ''",
    "history add base0.json --store base0.json",
    "history add none.json empty.json base0.json --store added-errors",
    "history check --store none",
    "history check --store ''",
    "history check --nope",
    "history check --accepted ''",
    "history check --threshold much",
    "history check --threshold 3",
    "history check --format xml",
    "history check --store changing --accepted none.json",
    *(
        f"history check --store changing --accepted bad/accepted/{name}.json"
        for name in ("text", "newer", "list", "number", "no-reason")
    ),
    "history show --store none",
    "history show --output ''",
    "history accept 0123abc --reason x --store none",
    "history show --store changing --output base0.json",
    "history accept 0000014 --store changing",
    "history accept 0000014 --store changing --reason ' '",
    "history accept fffffff --store changing --reason x",
    "history accept 0000003 --store changing --reason x",
    "history accept 2026-02-30 --store changing --reason x",
    "history accept 0000014 --store changing --reason x --case mpl*",
)
"""Commands that cannot do what they are asked, or not all of it."""


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A working directory with the inputs and the stores, and an environment that changes no output."""
    place = tmp_path_factory.mktemp("goldens")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        for name in ("GITHUB_STEP_SUMMARY", "FORCE_COLOR"):
            patch.delenv(name, raising=False)
        patch.setenv("NO_COLOR", "1")
        patch.setenv("COLUMNS", "100")
        make_inputs(place)
        for store, runs in (("changing", 30), ("steady", 30), ("young", 3)):
            name = "steady" if store == "young" else store
            paths = " ".join(f"history/{name}{i:02}.json" for i in range(runs))
            assert run(f"history add {paths} --store {store}")[0] == 0
        yield place


@pytest.fixture(scope="module")
def printed(place):
    """A function that runs each command only once, and returns its exit code and standard output."""
    known = {}

    def of(command, after=""):
        if after:
            of(after)
        key = (command, after)
        if key not in known:
            known[key] = run(command)[:2]
        return known[key]

    return of


def run(command):
    """Run the command line; return exit code, standard output and standard error."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = main(shlex.split(command))
    return code, out.getvalue(), err.getvalue()


def normalized(text):
    """Leave out what differs between machines: version, paths, seconds, digests, digits beyond the sixth."""
    for found, kept in (
        (f"breakeven {version('breakeven')}", "breakeven VERSION"),
        (str(Path.cwd()), "PLACE"),
    ):
        text = text.replace(found, kept)
    text = re.sub(r'"seconds": [\d.e+-]+', '"seconds": SECONDS', text)
    text = re.sub(r"(figures, in) \d+ [µm]s", r"\1 MOMENT", text)
    text = re.sub(r"-[0-9a-f]{16}\.parquet", "-DIGEST.parquet", text)
    text = re.sub(r"\(choose from [^)]*\)", lambda found: found[0].replace("'", ""), text)
    return re.sub(r"\d+\.\d{5,}(e[+-]\d+)?", lambda found: f"{float(found[0]):.6g}", text)


@pytest.fixture
def golden(golden):
    """The function of that name, for a normalized text."""
    return lambda name, text: golden(name, normalized(text))


@pytest.mark.parametrize("name", OUTPUTS)
def test_output_is_golden(name, place, printed, golden):
    if name.startswith("help") and sys.version_info >= (3, 13):
        pytest.skip("argparse lays out help in another way from Python 3.13 on")
    wanted = OUTPUTS[name]
    code, text = printed(wanted.command, wanted.after)
    assert code == wanted.code
    if wanted.file:
        text = (place / wanted.file).read_text(encoding="utf-8")
    golden(name, lines_of(text) if wanted.file.endswith(".html") else text)


@pytest.mark.parametrize("name", DOCTOR)
def test_doctor_is_golden(name, place, monkeypatch, golden):
    command, found, expected = DOCTOR[name]
    replaced = {list: replay, MachineFacts: freeze, Against: as_compared}
    replaced[type(found)](monkeypatch, found)
    code, text, err = run(command)
    assert (code, err) == (expected, "")
    golden(name, text)


@pytest.fixture(scope="module")
def refused(place):
    """The exit code and output of every command that fails."""
    reading = ("report {} --format json", "compare {} base0.json", "history add {} --store broken")
    broken = [command.format(f"bad/{name}.json") for name in BROKEN for command in reading]
    return {command: run(command) for command in (*BAD_USAGE, *broken)}


def test_exit_codes_are_golden(refused, golden):
    """They are in a separate file, because a change of wording must not change it."""
    golden(
        EXIT_CODES,
        "".join(f"{code} breakeven {command[:200]}\n" for command, (code, _, _) in refused.items()),
    )


def test_errors_are_golden(refused, golden):
    shown = [
        f"$ breakeven {command[:200]}\n{out if code == 2 else ''}{err}\n"
        for command, (code, out, err) in refused.items()
        if command  # without one it is the help, which has a golden file of its own
    ]
    golden(ERRORS, "".join(shown))


@pytest.mark.parametrize("name", SCHEMAS)
def test_schema_is_golden(name, golden):
    text = json.dumps(json_schema(SCHEMAS[name]), indent=1)
    for _ in range(2):  # innermost lists and objects, and those around them, on one line
        text = re.sub(r"[\[{][^]\[{}]*[]}]", lambda found: " ".join(found[0].split()), text)
    golden(name, text + "\n")


def test_every_golden_file_has_its_output():
    known = {*OUTPUTS, *DOCTOR, *SCHEMAS, *ELSEWHERE, EXIT_CODES, ERRORS}
    assert {path.name for path in GOLDENS.iterdir()} == known
