"""The command line of `breakeven predict`: what it reads, prints and refuses."""

import csv
import io
import json
from pathlib import Path

import pytest

from breakeven.cli import main
from breakeven.commands import measured
from breakeven.predict import cards
from breakeven.predict.cards import write_card
from support.predictions import L4, card, cpu_run, planted
from support.run_files import affine_run, write

__all__ = ["planted"]

COUNTS = {"operators": 50, "flops_by_format": {"float32": 1e6}, "moved_bytes": 1e5, "batch_bytes": 1e3}


def counted(content, **counts):
    """The content of a run file with counts."""
    for one in content["benchmarks"]:
        one["extra_info"] |= {**COUNTS, **counts}
    return content


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The run file of a CPU, with counts, in the working directory."""
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "mine.json", counted(cpu_run()))


@pytest.fixture
def h100(tmp_path, monkeypatch):
    """A card that comes with the package."""
    write_card(card(), tmp_path / "h100-16core.json")
    write_card(card("l4", L4), tmp_path / "l4-8core.json")
    paths = {"h100-16core": tmp_path / "h100-16core.json"}
    monkeypatch.setattr(cards, "shipped_cards", lambda: paths)
    return "h100-16core"


def printed(capsys, *arguments, code=0):
    """The JSON that the command prints."""
    assert main(["predict", *arguments, "--format", "json"]) == code
    return json.loads(capsys.readouterr().out)


def refused(capsys, *arguments):
    """The one line of an error."""
    assert main(["predict", *arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = [one for one in captured.err.splitlines() if "error" in one]
    return line


def test_json(run, h100, planted, capsys):
    """It is marked as predicted, with the fields of every cell and break-even."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    found = printed(capsys, run, "--on", h100)
    assert found["predicted"] is True
    assert found["verdict"].startswith("Predicted")
    assert len(found["cells"]) == 4
    one = found["cells"][2]
    assert (one["workload"], one["axes"], one["batch_size"]) == ("mlp", {"width": 64}, 64)
    assert (one["machine"], one["baseline"]) == ("h100-16core", "cpu")
    assert (one["predicted_s"], one["low_s"], one["high_s"]) == (2e-3, 1e-3, 4e-3)
    assert one["speedup"] == pytest.approx(3.2, rel=1e-3)
    assert one["verdict"] == "faster"
    (line,) = found["break_even"]
    assert line["status"] == "crosses"
    assert (line["low"], line["high"]) == (pytest.approx(10, rel=0.01), pytest.approx(40, rel=0.01))
    assert [rent["machine"] for rent in found["rent"]] == ["h100-16core"]
    assert "break_even_usd" not in found
    assert "trainings" not in found


def test_money_and_steps(run, h100, planted, capsys):
    planted(h100_16core=(3.6e-3, 0.0, 2.0))
    options = ["--price", "cpu=.20/h", "--price", "h100-16core=2.00/h", "--steps", "1000000"]
    found = printed(capsys, run, "--on", h100, *options)
    assert found["break_even_usd"][0]["low"] == pytest.approx(180, rel=0.01)
    assert found["steps"] == 1_000_000
    here, there = found["trainings"][:2]
    assert (here["place"], here["is_predicted"]) == ("cpu", False)
    assert (there["place"], there["is_predicted"]) == ("h100-16core", True)
    assert (there["low_hours"], there["hours"], there["high_hours"]) == pytest.approx((0.5, 1.0, 2.0))
    assert (there["low_usd"], there["usd"], there["high_usd"]) == pytest.approx((1.0, 2.0, 4.0))


def test_csv(run, h100, planted, capsys):
    planted(h100_16core=(2e-3, 0.0, 2.0))
    assert main(["predict", run, "--on", h100, "--format", "csv"]) == 0
    rows = list(csv.DictReader(io.StringIO(capsys.readouterr().out)))
    assert len(rows) == 4
    assert (rows[0]["axes"], rows[0]["predicted_s"], rows[0]["verdict"]) == ("width=64", "0.002", "slower")


@pytest.mark.parametrize("form", ["terminal", "markdown"])
def test_every_title_and_column_is_marked(run, h100, planted, capsys, form):
    """No table of a prediction can be taken for one of measurements."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    prices = ["--price", "cpu=.20/h", "--price", "h100-16core=2.00/h", "--steps", "1000"]
    assert main(["predict", run, "--on", h100, *prices, "--format", form]) == 0
    text = capsys.readouterr().out
    assert text.removeprefix("**").startswith("Predicted")
    flat = " ".join(text.split())
    for title in (
        "from which batch size h100-16core is cheaper than cpu",
        "a training of 1,000 steps",
    ):
        assert flat.count(title) == flat.count(f"Predicted: {title}") == 1
    for column in ("predicted break-even", "predicted step", "predicted speedup", "cpu (measured)"):
        assert column in text


def test_summary_of_a_job(run, h100, planted, tmp_path, monkeypatch, capsys):
    """Markdown is also appended to the summary of a GitHub job."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    assert main(["predict", run, "--on", h100, "--format", "markdown"]) == 0
    assert (tmp_path / "summary.md").read_text() == f"{capsys.readouterr().out}\n"


def test_wider_bands(run, h100, planted, capsys):
    """They are marked in the table, and a warning has the reason."""
    planted(widened=("a batch far outside",), h100_16core=(2e-3, 0.0, 2.0))
    assert main(["predict", run, "--on", h100]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "(* wider than usual, see the warnings)" in text
    assert text.count("slower *") == 2
    assert "the band of 4 cells is wider than usual: a batch far outside" in text
    assert printed(capsys, run, "--on", h100)["cells"][0]["widened"] == ["a batch far outside"]


def test_run_twice(run, h100, planted, tmp_path, capsys):
    """What the reader of run files warns of is a warning here too."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    copy = write(tmp_path / "copy.json", Path(run).read_text())
    first, *_ = printed(capsys, run, copy, "--on", h100)["warnings"]
    assert first.endswith("it is used once, since a copy is not a second run")


def test_a_band_with_1x_is_answered_by_measure(run, h100, planted, capsys):
    """For people; programs read the verdict of a report."""
    planted(h100_16core=(6.4e-3, 0.0, 2.0))
    assert main(["predict", run, "--on", h100, "--format", "markdown"]) == 0
    text = capsys.readouterr().out
    assert "1.00x [0.500–2.00] | measure |" in text
    assert "| cells to measure |" in text
    assert printed(capsys, run, "--on", h100)["cells"][2]["verdict"] == "undecided"


def test_several_machines(run, h100, planted, capsys):
    """By name and by file, repeated or separated by commas."""
    planted(h100_16core=(2e-3, 0.0, 2.0), l4=(2e-3, 0.0, 2.0))
    one = printed(capsys, run, "--on", h100, "--on", "l4-8core.json")
    both = printed(capsys, run, "--on", f"{h100},l4-8core.json")
    assert one == both
    assert [line["machine"] for line in one["break_even"]] == ["h100-16core", "l4"]


def test_run_of_the_machine(run, tmp_path, capsys):
    """A card is fitted from the run file of a machine, and named after it."""
    content = counted(cpu_run(), operators=50)
    parts = [
        counted(affine_run({"cuda": (0.0, 1e-9)}, axes={"width": width}), operators=25 * width)
        for width in (4, 16, 64)
    ]
    for part in parts:
        for one in part["benchmarks"]:
            launches = one["extra_info"]["operators"] + 12
            one["stats"]["data"] = [launches * 2e-5] * 10
    content["benchmarks"] = [one for part in parts for one in part["benchmarks"]]
    there = write(tmp_path / "h200" / "run.json", content)
    found = printed(capsys, run, "--on", there)
    assert [one["name"] for one in found["cards"]] == ["h200"]
    assert found["cells"][0]["predicted_s"] == pytest.approx(62 * 2e-5, rel=0.02)


def test_cards_are_listed(run, h100, capsys):
    """Without --on, with a run file or without one; a line shows how to go on with it."""
    for arguments, named in (([], "bench_mine.py"), ([run], run)):
        assert main(["predict", *arguments]) == 0
        text, line = capsys.readouterr()
        assert line == f"breakeven: to predict one: breakeven predict {named} --on h100-16core\n"
        assert "h100-16core" in text
        assert "40.0 µs" in text
    assert [one["name"] for one in printed(capsys)["cards"]] == ["h100-16core"]
    assert main(["predict", "--format", "csv"]) == 0
    assert capsys.readouterr().out.startswith("name,hardware,device,launch_s")
    assert main(["predict", "--format", "markdown"]) == 0
    assert "| h100-16core |" in capsys.readouterr().out


def test_rates_that_are_hardly_known(h100, tmp_path, capsys):
    """A rate that no step has shown is listed with how far off it may be."""
    log_sds = {"launches": 0.1, "float32": 0.1, "tf32": 1.5, "memory": 0.43, "copy": 0.42}
    write_card(card(log_sds=log_sds), tmp_path / "h100-16core.json")
    assert main(["predict", "--format", "markdown"]) == 0
    out = capsys.readouterr().out
    assert "fp32 40.0, tf32 200 (within 12x) TFLOP/s" in out
    assert "| 2.00 TB/s (within 2.0x) | 10.0 GB/s |" in out


def test_files(run, h100, planted, tmp_path, capsys):
    """-o writes what the formats print, and a list of the cases in question."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    assert main(["predict", run, "--on", h100, "-o", "out"]) == 0
    assert "written to out/: predictions.json, predictions.csv, predictions.md" in capsys.readouterr().out
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert names >= {"predictions.json", "predictions.csv", "predictions.md", "cases-h100-16core.txt"}
    assert (tmp_path / "out/cases-h100-16core.txt").read_text().splitlines() == [
        "mlp train cuda batch=8 width=64",
        "mlp train cuda batch=64 width=64",
    ]


def test_prints_only(run, h100, planted, tmp_path):
    """Without -o no file is written."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    before = sorted(tmp_path.rglob("*"))
    assert main(["predict", run, "--on", h100]) == 0
    assert sorted(tmp_path.rglob("*")) == before


def test_benchmarks_are_measured_first(run, h100, planted, monkeypatch, capsys):
    """A benchmark file is measured on this CPU, with the options after --."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    asked = []
    monkeypatch.setattr(measured, "measured", lambda *given: asked.append(given) or [run])
    assert main(["predict", "bench_mine.py", "--on", h100, "--format", "csv", "--", "-k", "mlp"]) == 0
    assert asked == [(["bench_mine.py"], ["-k", "mlp"])]


def test_options_of_pytest_follow_two_dashes(run, h100, capsys):
    line = refused(capsys, run, "--on", h100, "--breakeven-wait-idle=5m")
    assert "unknown option '--breakeven-wait-idle=5m'; options of pytest follow --; see" in line


def test_wrong_name_costs_no_measurement(h100, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measured, "measured", lambda *_: pytest.fail("measured"))
    line = refused(capsys, "bench_mine.py", "--on", "h10-16core")
    assert "'h10-16core': neither a card that comes with breakeven nor a file" in line
    assert "did you mean 'h100-16core'?" in line


def test_wrong_price_costs_no_measurement(h100, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(measured, "measured", lambda *_: pytest.fail("measured"))
    line = refused(capsys, "bench_mine.py", "--on", h100, "--price", "h10=2/h")
    assert "neither a device nor a machine that --on names; known: cpu, cuda, h100-16core" in line


def test_unknown_machine(run, h100, capsys):
    line = refused(capsys, run, "--on", "laptop")
    assert "choose from h100-16core, or give a card file or a run file of the machine" in line


def test_machine_twice(run, h100, capsys):
    line = refused(capsys, run, "--on", f"{h100},h100-16core.json")
    assert "two machines are named h100-16core; give each once" in line


def test_machines_of_one_file_name(run, capsys):
    """The list of cases of the one would replace that of the other."""
    for name in ("my card", "My_card"):
        write_card(card(name), Path(f"{name}.json"))
    line = refused(capsys, run, "--on", "my card.json", "--on", "My_card.json")
    assert "two machines are named my card, My_card; give each once" in line


def test_no_machine(run, h100, capsys):
    assert "--on ',' names no machine" in refused(capsys, run, "--on", ",")


def test_nothing_to_predict(h100, capsys):
    assert "nothing to predict: give a run file of this CPU" in refused(capsys, "--on", h100)


@pytest.mark.parametrize("steps", ["0", "-1", "1e6", "many", "10000000000000"])
def test_bad_steps(run, h100, capsys, steps):
    assert "argument --steps" in refused(capsys, run, "--on", h100, f"--steps={steps}")


def test_run_without_a_cpu(run, h100, tmp_path, capsys):
    there = write(tmp_path / "gpu.json", counted(affine_run({"cuda": (1e-3, 1e-6)})))
    line = refused(capsys, there, "--on", h100)
    assert "gpu.json: no training step was timed on a CPU (timed: train on cuda)" in line


def test_two_machines_with_a_cpu(run, h100, tmp_path, planted, capsys):
    """The baseline must then be named."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    m3 = {"node": "other", "cpu": {"brand_raw": "M3"}}
    other = write(tmp_path / "other.json", counted(cpu_run(machine=m3, seed=1)))
    line = refused(capsys, run, other, "--on", h100)
    assert "the CPUs of 2 machines were measured" in line
    assert "mine/cpu; other/cpu" in line
    found = printed(capsys, run, other, "--on", h100, "--baseline", "other/cpu")
    assert len(found["cells"]) == 4


def test_not_counted(tmp_path, h100, monkeypatch, capsys):
    """Exit 3 where nothing could be predicted, with the reason of each model."""
    monkeypatch.chdir(tmp_path)
    content = cpu_run()
    for one in content["benchmarks"]:
        one["extra_info"]["operators_unknown"] = "its operator mine::op cannot run without a device"
    path = write(tmp_path / "mine.json", content)
    found = printed(capsys, path, "--on", h100, code=3)
    assert found["cells"] == []
    assert found["not_predicted"] == [
        {
            "workload": "mlp",
            "axes": {"width": 64},
            "batch_sizes": [1, 8, 64, 512],
            "reason": "its operator mine::op cannot run without a device",
        }
    ]
    assert main(["predict", path, "--on", h100]) == 3
    assert "Nothing could be predicted: its operator mine::op cannot run" in capsys.readouterr().out


@pytest.mark.parametrize(
    "command",
    [
        ["report", "out/predictions.json"],
        ["compare", "out/predictions.json", "mine.json"],
        ["history", "add", "out/predictions.json"],
        ["merge", "out/predictions.json", "mine.json", "-o", "merged.json"],
        ["predict", "out/predictions.json", "--on", "h100-16core"],
    ],
)
def test_prediction_is_not_a_run(run, h100, planted, capsys, command):
    """What was predicted never enters a comparison or a history."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    assert main(["predict", run, "--on", h100, "-o", "out"]) == 0
    capsys.readouterr()
    assert main(command) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "out/predictions.json: is a prediction, which is never used as a run; give a file that" in line


def test_card_is_not_a_run(tmp_path, capsys):
    path = tmp_path / "box.json"
    write_card(card("box"), path)
    assert main(["report", str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert (
        "box.json: is a card, which `breakeven predict --on` takes, and not a run; give a file that" in line
    )


def test_sweep_of_the_run(run, h100, planted, tmp_path, capsys):
    """The command to run there collects the cells as the run did."""
    planted(h100_16core=(2e-3, 0.0, 2.0))
    (tmp_path / "bench").mkdir()
    content = counted(cpu_run(outcomes=[]))
    content["breakeven"]["command"] = "python -m pytest bench --breakeven-sweep='full width=64' -q"
    path = write(tmp_path / "full.json", content)
    (rent,) = printed(capsys, path, "--on", h100)["rent"]
    assert rent["command"] == (
        "BREAKEVEN_CASES=cases-h100-16core.txt pytest bench '--breakeven-sweep=full width=64' "
        "--breakeven-devices=cuda --breakeven-phases=train --benchmark-json=h100-16core.json"
    )
