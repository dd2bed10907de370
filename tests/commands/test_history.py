"""The output, files and exit codes of `breakeven history`."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from breakeven.history.query import read_store
from support.histories import add, commit, content, files_of, medians, ran_out, timed
from support.reports import box
from support.run_files import benchmark, run, write

CASE = "mlp train cpu batch=64 width=128"


@pytest.fixture(scope="module")
def slower(tmp_path_factory):
    """A store of 30 runs, a tenth slower from the 20th commit on."""
    return add(tmp_path_factory.mktemp("slower"), timed(medians(30, step=1.1, at=20)))


def test_regression(check, slower):
    """A slower case fails the check and is placed in its commit."""
    code, found = check(slower)
    assert code == 1
    [change] = found["changes"]
    assert list(change) == ["case", "commit", "date", "ratio", "low", "high", "accepted"]
    assert (change["case"], change["commit"], change["accepted"]) == (CASE, commit(20), None)
    assert change["date"] == "2026-01-21T00:00:00+00:00"
    assert change["low"] < 1.1 < change["high"]
    assert check(slower, "--threshold", "0.2")[0] == 0
    [newest] = found["newest"]
    assert list(newest) == [*change, "verdict"]
    assert newest["verdict"] == "unchanged"


def test_too_few_runs(check, tmp_path):
    code, found = check(add(tmp_path, timed(medians(5))))
    assert code == 3
    assert found["newest"][0]["ratio"] is None
    assert found["newest"][0]["verdict"] == "inconclusive"
    assert any(CASE in line for line in found["warnings"])


def test_changes_that_pass(check, tmp_path):
    """An improvement and a reverted change pass."""
    code, found = check(add(tmp_path, timed(medians(30, step=0.8, at=20))))
    assert (code, len(found["changes"])) == (0, 1)
    values = medians(45)
    values[15:30] *= 1.2
    code, found = check(add(tmp_path, timed(values), store="undone"))
    assert (code, len(found["changes"])) == (0, 2)


def test_newest_regression(check, tmp_path):
    """A newest run above its prediction interval fails at once."""
    values = medians(20)
    values[-1] *= 1.3
    code, found = check(add(tmp_path, timed(values)))
    assert code == 1
    assert found["changes"] == []
    [newest] = found["newest"]
    assert newest["verdict"] == "regressed"
    assert newest["ratio"] > newest["high"] > 1


@pytest.mark.slow
def test_transient(check, tmp_path):
    """Losing an improvement of a few runs passes, losing a lasting one fails."""
    for length, code in ((6, 0), (9, 0), (10, 1), (15, 1)):
        values = medians(60, noise=0.005)
        values[20 : 20 + length] *= 0.8
        assert check(add(tmp_path, timed(values), store=f"store{length}"))[0] == code


@pytest.mark.parametrize(("left", "code"), [(0.4, 0), (0.6, 1)])
def test_partly_reverted(check, tmp_path, left, code):
    """A slowdown persists while more than half of it is left."""
    values = medians(60, noise=0.005)
    values[20:40] *= 1.2
    values[40:] *= 1.2**left
    assert check(add(tmp_path, timed(values)))[0] == code


def test_quantities(check, tmp_path):
    """Memory, break-even and largest batch are judged too."""

    def made(i):
        late = i >= 12
        cells = [
            benchmark([floor + slope * b] * 6, device=device, batch_size=b, peak_memory_bytes=memory * b)
            for device, floor, slope in (("cpu", 1, 1), ("cuda", 49 if late else 33, 0.2))
            for b, memory in ((1, 10), (8, 10), (64, 12 if late else 10), (512, 10))
            if not (late and b == 512 and device == "cuda")
        ]
        return content(i, cells, outcomes=[ran_out(b) for b in ((512, 1024) if late else (1024,))])

    code, found = check(add(tmp_path, [made(i) for i in range(20)]))
    assert code == 1
    ratios = {change["case"]: change["ratio"] for change in found["changes"]}
    assert ratios["peak memory of mlp train cpu batch=64 width=128"] == pytest.approx(1.2)
    assert ratios["break-even batch of mlp train cuda over cpu width=128"] == pytest.approx(1.5)
    assert ratios["largest batch that fits of mlp train cuda width=128"] == pytest.approx(0.125)
    assert {change["commit"] for change in found["changes"]} == {commit(12)}


@pytest.mark.parametrize(
    ("floors", "warned"),
    [([33] * 9 + [999], ["slower at the largest batch"]), ([33, 33, 0, 0, 999, 999], [])],
)
def test_lost_break_even(check, tmp_path, floors, warned):
    """One that varied before gives no warning."""

    def made(i, floor):
        lines = (("cpu", 1, 1), ("cuda", floor, 2 if floor == 999 else 0.2))
        cells = [
            benchmark([f + s * b] * 6, device=d, batch_size=b) for d, f, s in lines for b in (1, 64, 512)
        ]
        return content(i, cells)

    path = add(tmp_path, [made(i, floor) for i, floor in enumerate(floors)])
    found = [line for line in check(path)[1]["warnings"] if line.startswith("break-even batch of mlp")]
    assert len(found) == len(warned)
    assert all(words in line for words, line in zip(warned, found, strict=True))


def test_renamed_case(check, tmp_path):
    contents = timed(medians(20))
    for i in range(14, 20):
        contents[i] = content(i, [benchmark([0.01, 0.011, 0.012] * 2, workload="perceptron")])
    code, found = check(add(tmp_path, contents))
    assert (code, found["changes"]) == (0, [])
    ended, begun = (line for line in found["warnings"] if "measured in" in line)
    assert f"last measured in {commit(13)[:7]}" in ended
    assert CASE in ended
    assert f"first measured in {commit(14)[:7]}" in begun
    assert "perceptron" in begun


def test_newest_out_of_memory(check, tmp_path):
    contents = [*timed(medians(12)), content(12, [], outcomes=[ran_out(64, device="cpu")])]
    assert any("ran out of memory" in line for line in check(add(tmp_path, contents))[1]["warnings"])


def test_two_machines(check, tmp_path):
    ours = timed(medians(12))
    theirs = timed(medians(12, base=0.02))
    for made in theirs:
        made["machine_info"] = box("Xeon")
    mixed = [made for pair in zip(ours, theirs, strict=True) for made in pair]
    code, found = check(add(tmp_path, mixed))
    assert (code, found["changes"]) == (0, [])
    assert {row["case"] for row in found["newest"]} == {f"{CASE} on EPYC", f"{CASE} on Xeon"}


def test_classes_with_few_runs(check, tmp_path):
    """Too few runs in every class of a pool of machines are one warning, with what distinguishes them."""
    contents = timed(medians(5))
    pool = (("A", "3.8.10"), ("B", "3.8.10"), ("C", "3.8.11"), ("A", "3.8.12"), ("B", "3.8.10"))
    for made, (cpu, python) in zip(contents, pool, strict=True):
        made["machine_info"] = {"python_version": python, "system": "Linux", "cpu": {"brand_raw": cpu}}
    (warning,) = check(add(tmp_path, contents))[1]["warnings"]
    assert "the store has 4 machine classes" in warning
    assert "cpu (A, B, C) and python (3.8.10, 3.8.11, 3.8.12); some of them in cpu or python alone" in warning


def test_classes_with_enough_runs(check, tmp_path):
    """Several machines are only mentioned where they leave a series too short."""
    ours, theirs = timed(medians(12)), timed(medians(3, base=0.02))
    for made in theirs:
        made["machine_info"] = box("Xeon")
    assert check(add(tmp_path, ours, "one"))[1]["warnings"] == []
    (warning,) = check(add(tmp_path, [*ours, *theirs], "two"))[1]["warnings"]
    assert warning.startswith("1 series with fewer than 6 runs")
    assert warning.endswith("differ in cpu (EPYC, Xeon)")


def test_steps_that_waited(check, tmp_path):
    """A loop without waiting begins a new series of each case on an accelerator, with one warning."""
    steps = [benchmark([value] * 6, device=device, batch_size=batch, **extra)
             for device in ("cpu", "cuda") for batch in (1, 64)
             for value, extra in ((0.01, {}), (0.005, {"steps": 100}))]  # fmt: skip
    contents = [content(i, steps[i >= 8 :: 2]) for i in range(14)]
    code, found = check(add(tmp_path, contents))
    waited = [line for line in found["warnings"] if line.startswith("2 cases on accelerators: ")]
    assert len(waited) == 1
    assert "in 8 runs" in waited[0]
    assert code == 0
    changed = {change["case"] for change in found["changes"]}
    assert changed == {f"mlp train cpu batch={batch} width=128" for batch in (1, 64)}


def test_adding_good_and_bad(history, tmp_path):
    """Good files are added and bad ones reported."""
    good = [write(tmp_path / f"{i}.json", made) for i, made in enumerate(timed(medians(2)))]
    bad = write(tmp_path / "bad.json", "{")
    code, out, err = history(
        "add", good[0], bad, tmp_path / "none.json", good[1], good[1], "--store", tmp_path / "s"
    )
    assert code == 2
    assert [line.split(": ")[0] for line in out.splitlines()] == [good[0], good[1], good[1]]
    assert str(files_of(tmp_path / "s")[1]) in out.splitlines()[2]
    assert ["bad.json" in err.splitlines()[0], "none.json" in err.splitlines()[1]] == [True, True]
    assert len(files_of(tmp_path / "s")) == 2
    code, out, _ = history("add", good[0], bad, "--store", tmp_path / "s", "--format", "json")
    assert [(row["run"], row["new"]) for row in json.loads(out)["added"]] == [(good[0], False)]
    assert code == 2


def test_newer_journal(history, tmp_path):
    """A run is added, and that a later one died is pointed out."""
    path = write(tmp_path / "run.json", next(iter(timed(medians(1)))))
    (tmp_path / "run.json.journal").touch()
    os.utime(path, (0, 0))

    code, _, err = history("add", path, "--store", tmp_path / "s")

    assert code == 0
    assert err.startswith("breakeven: run.json.journal is newer: a run that died left it; `breakeven recover")
    assert len(files_of(tmp_path / "s")) == 1


def test_damaged_file(history, tmp_path):
    """A damaged file is reported, and the check is still printed."""
    path = add(tmp_path, timed(medians(30, step=1.1, at=20)))
    damaged_file = files_of(path)[4]
    damaged_file.write_bytes(damaged_file.read_bytes()[:200])
    code, out, err = history("check", "--store", path, "--format", "json")
    assert (code, len(err.splitlines())) == (2, 1)
    assert str(damaged_file) in err
    found = json.loads(out)
    assert [change["commit"] for change in found["changes"]] == [commit(20)]
    assert any(str(damaged_file) in line for line in found["warnings"])
    assert history("show", "--store", path, "--format", "json")[0] == 2


def test_step_summary(history, slower, tmp_path, monkeypatch):
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    code, out, _ = history("check", "--store", slower, "--format", "markdown")
    assert code == 1
    assert summary.read_text() == f"before\n{out}"
    assert f"| {CASE} | 10" in out
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    code, _, err = history("check", "--store", slower, "--format", "markdown")
    assert (code, len(err.splitlines())) == (2, 1)


def test_long_name(history, tmp_path):
    """The middle of a long name is omitted everywhere; the page also has it in full, once."""
    name = f"{'long_' * 40}workload"
    path = add(tmp_path, timed(medians(30, step=1.1, at=20), workload=name))
    history("show", "--store", path, "-o", tmp_path)
    seen = re.sub("<svg.*?</svg>", "", (tmp_path / "index.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    assert seen.count(name) == 1
    assert "width=128</bdi></h4>" in seen
    assert "<p><bdi>10" in seen
    for form in ("terminal", "markdown"):
        out = " ".join(history("check", "--store", path, "--format", form)[1].split())
        assert name not in out
        assert "batch=64 width=128" in out
    assert history("check", "--store", path, "--format", "json")[1].count(name) == 2


def test_page(history, slower, tmp_path):
    """It needs nothing from elsewhere, and runs no script."""
    history("show", "--store", slower, "-o", tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert 'role="img" aria-labelledby="s0_title s0_desc"' in page
    assert "default-src 'none'" in page
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_order_of_page(history, tmp_path):
    """Of the regressions, `train` is first though another phase changed more."""
    phases = {"step": medians(30, 2.0, 20), "train": medians(30, 1.1, 20)}
    rows = zip(*phases.values(), strict=True)
    contents = [
        content(i, [benchmark([t] * 6, phase=p) for p, t in zip(phases, row, strict=True)])
        for i, row in enumerate(rows)
    ]
    history("show", "--store", add(tmp_path, contents), "-o", tmp_path)
    page = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert page.index("mlp train cpu") < page.index("mlp step cpu")


def test_cut_page(history, tmp_path, monkeypatch):
    """The page is cut, and a pattern narrows it."""
    monkeypatch.setattr("breakeven.render.history_page.MAX_DRAWN", 2)
    cells = [benchmark([1.0] * 6, batch_size=b) for b in (1, 2, 4, 8)]
    path = add(tmp_path, [content(i, cells) for i in range(3)])
    assert history("show", "--store", path)[0] == 3
    page = (Path(path) / "page" / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 2
    assert "2 more series are not drawn" in page
    history("show", "--store", path, "--case", "*batch=4 *")
    page = (Path(path) / "page" / "index.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 1
    assert "not drawn" not in page


HOSTILE = "<img src=x onerror=alert(1)>|*b*\x1b[31m\u202e"


def test_hostile_name(history, tmp_path):
    contents = timed(medians(30, step=1.5, at=20), workload=HOSTILE)
    for made in contents:
        made["machine_info"] = box(HOSTILE)
    path = add(tmp_path, contents)
    _, terminal, _ = history("check", "--store", path)
    _, markdown, _ = history("check", "--store", path, "--format", "markdown")
    history("show", "--store", path)
    page = (Path(path) / "page" / "index.html").read_text(encoding="utf-8")
    for text in (terminal, markdown, page):
        assert "\x1b" not in text
        assert "\u202e" not in text
    assert "<img" not in MarkdownIt().enable("table").render(markdown)
    assert "<img" not in page
    assert "&lt;img" in page


def test_case_and_branch(check, tmp_path):
    cells = [benchmark([1.0] * 6, batch_size=b) for b in (1, 2)]
    path = add(tmp_path, [content(i, cells, branch="main" if i % 2 else "topic") for i in range(16)])
    assert len(check(path, "--case", "*batch=2 *")[1]["newest"]) == 1
    assert any("several branches" in line for line in check(path)[1]["warnings"])
    code, found = check(path, "--branch", "main")
    assert code == 0
    assert not any("several branches" in line for line in found["warnings"])


def test_runs_without_commit(check, history, tmp_path):
    """A run without a commit is named by its id."""
    contents = timed(medians(20, step=1.3, at=10))
    for made in contents:
        made["commit_info"] = {"id": "unversioned"}
    path = add(tmp_path, contents)
    code, found = check(path)
    assert (code, found["changes"][0]["commit"]) == (1, None)
    out = " ".join(history("check", "--store", path)[1].split())
    run_id = read_store(path).runs[10].digest[:12]
    assert f"run {run_id} (2026-01-11 00:00), 9 runs ago: 1 series slower" in out
    assert f"breakeven history accept {run_id} " in out


def test_change_within_commit(history, tmp_path):
    """A change between two runs of one commit is a change of the machine."""
    contents = timed(medians(20, step=1.3, at=10))
    for made in contents:
        made["commit_info"]["id"] = commit(0)
    out = " ".join(history("check", "--store", add(tmp_path, contents))[1].split())
    assert "the machine changed, not the code" in out


@pytest.mark.slow
def test_reading_while_writing(tmp_path):
    path = add(tmp_path, timed(medians(8)))
    later = [write(tmp_path / f"late{i}.json", made) for i, made in enumerate(timed(medians(40))[8:])]
    command = [sys.executable, "-m", "breakeven.cli", "history"]
    with subprocess.Popen([*command, "add", *later, "--store", path], stdout=subprocess.DEVNULL) as writer:
        for _ in range(2):
            done = subprocess.run(
                [*command, "check", "--store", path, "--format", "json"], capture_output=True, text=True
            )
            assert (done.returncode, done.stderr) == (0, "")
            json.loads(done.stdout)
    assert writer.returncode == 0
    assert len(files_of(path)) == 40


def test_outcomes_only(history, tmp_path):
    path = write(tmp_path / "r.json", run([], outcomes=[ran_out(64)]))
    assert history("add", path, "--store", tmp_path / "s")[0] == 0
    assert history("check", "--store", tmp_path / "s")[0] == 3
