"""Names, paths, options and messages with hostile text, in the output of every command."""

import csv
import io
import json
import re

import pytest
from markdown_it import MarkdownIt

from breakeven import cli
from breakeven.format import printable
from breakeven.render import report_files
from support.histories import commit, content, medians
from support.hostile import HOSTILE, check
from support.reports import box
from support.run_files import affine_run, benchmark, outcome, write


@pytest.fixture
def call(capsys):
    """Run a command and return its standard output; both outputs are checked."""

    def run(*words):
        code = cli.main([*map(str, words)])
        out, err = capsys.readouterr()
        assert code in (0, 1, 2, 3)
        check(out)
        check(err)
        return out

    return run


def hostile_run(text, seed=0, slower=1.0):
    """A run file in which every name, axis, reason and fact is the text."""
    made = affine_run(
        {"cpu": (1, 1), "cuda": (33, 0.2 * slower)}, seed=seed, workload=text, axes={text: text}
    )
    made["benchmarks"].append(
        benchmark([1.0, 2.0], workload=text, device=text, axes={text: text}, flags=[text])
    )
    ended = [outcome("failed", text, workload=text, axes={text: text}, batch_size=3), outcome(text, text)]
    for case in made["benchmarks"]:
        case["extra_info"]["operators"] = 100 * slower
    made["breakeven"] = {"schema": 1, "outcomes": ended}
    made["machine_info"] = box(text)
    made["commit_info"] = {"id": "0" * 40, "branch": text, "dirty": False}
    return made


MIXED = ("".join(HOSTILE[:10]), "a##[error]" + "".join(HOSTILE[10:19]))
"""What is tried every day; one kind at a time takes minutes."""


@pytest.fixture(
    params=[*MIXED, *(pytest.param(one, marks=pytest.mark.slow) for one in HOSTILE)],
    ids=range(len(MIXED) + len(HOSTILE)),
)
def text(request):
    return request.param


def test_report(call, text, tmp_path, monkeypatch):
    """In each format, and in each file."""
    summary = tmp_path / "step"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    path = write(tmp_path / "run.json", hostile_run(text))
    call("report", path, "--format", "markdown")
    check(summary.read_text("utf-8"))
    for file in (tmp_path / "run.json.report").rglob("*"):
        if file.suffix in {".md", ".csv", ".html"}:
            check(re.sub(r"(?s)<(style|script).*?</\1>", "", file.read_text("utf-8")))
    monkeypatch.setattr(report_files, "write_report", lambda *_: [])  # it takes seconds
    call("report", path)
    call("report", path, "--label", f"{path}={text}")
    assert json.loads(call("report", path, "--format", "json"))["speedup"][0]["workload"] == text
    for row in csv.reader(io.StringIO(call("report", path, "--format", "csv"))):
        assert not any(cell.startswith(("=", "+", "@", "\t")) for cell in row)


def test_compare(call, text, tmp_path):
    base, head = (
        write(tmp_path / name, hostile_run(text, seed, slower))
        for seed, (name, slower) in enumerate([("a.json", 1.0), ("b.json", 1.5)])
    )
    call("compare", base, head)
    names = [case["case"] for case in json.loads(call("compare", base, head, "--format", "json"))["cases"]]
    assert any(text in name or json.dumps(text)[1:-1] in name for name in names)
    page = MarkdownIt().enable("table").render(call("compare", base, head, "--format", "markdown"))
    assert page.count("<code") <= 1


def test_history(call, text, tmp_path):
    """All actions; `accept` repeats the names, the reason and the file."""
    store = tmp_path / "store"
    for i, value in enumerate(medians(12, step=1.5, at=8)):
        cells = [benchmark([value] * 6, workload=text, axes={text: text})]
        made = content(i, cells, box(text), [outcome("failed", text, workload=text)], branch=text)
        call("history", "add", write(tmp_path / f"{i}.json", made), "--store", store)
    for form in ("terminal", "markdown", "json"):
        call("history", "check", "--store", store, "--format", form)
    call("history", "show", "--store", store)
    check(re.sub(r"(?s)<(style|script).*?</\1>", "", (store / "page" / "index.html").read_text("utf-8")))
    for form in ("terminal", "json"):
        words = ("history", "accept", commit(8), "--case", "* cpu *", "--reason", text)
        assert call(*words, "--store", store, "--format", form)
    call("history", "check", "--store", store)


def test_merge(call, text, tmp_path):
    path = write(tmp_path / "run.json", hostile_run(text))
    call("merge", path, "-o", tmp_path / "merged.json")
    call("merge", path, write(tmp_path / "other.json", hostile_run("other")), "-o", tmp_path / "merged.json")


def test_file_names(call, text, tmp_path, monkeypatch):
    """Of run files, stores and summaries, relative to the working directory as users type them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report_files, "write_report", lambda _, home, __: [home / "index.html"])
    name = text.replace("\0", "").replace("/", "").replace("\ud800", "\udcff")[:60]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", name + "/summary")
    write(tmp_path / f"{name}.json", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    (tmp_path / f"{name}.txt").write_text(text, "utf-8", "surrogatepass")
    for file in (f"{name}.json", f"{name}.txt"):
        call("report", file)
        call("report", file, "--format", "markdown")
        call("compare", file, file)
        call("history", "add", file, "--store", name)
        call("merge", file, file, "-o", f"{name}.merged")
        call("recover", file)
    call("history", "check", "--store", name)


def test_environment(call, text, tmp_path, monkeypatch):
    """No variable is printed as it is, and none ends a command in another way than in one line."""
    monkeypatch.chdir(tmp_path)
    path = write(tmp_path / "run.json", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    for name in ("COLUMNS", "TERM", "GITHUB_ACTIONS", "TMPDIR", "GITHUB_STEP_SUMMARY"):
        monkeypatch.setenv(name, text.replace("\0", "").replace("\ud800", "\udcff") + "/x")
    call("report", path, "--format", "markdown")
    call("compare", path, path)


@pytest.mark.parametrize(
    "words",
    [
        ("{0}",),
        ("--{0}",),
        ("report", "{0}"),
        ("report", "{run}", "-o", "{folder}/{0}"),
        ("report", "{run}", "--baseline", "{0}"),
        ("report", "{run}", "--label", "{run}={0}"),
        ("report", "{run}", "--price", "{0}"),
        ("report", "{run}", "--format", "{0}"),
        ("compare", "{run}", "{0}"),
        ("compare", "{run}", "{run}", "--fail-on", "{0}"),
        ("compare", "{run}", "{run}", "--noise", "{0}"),
        ("history", "{0}"),
        ("history", "add", "{0}"),
        ("history", "add", "{run}", "--store", "{folder}/{0}"),
        ("history", "check", "--store", "{0}"),
        ("history", "check", "--store", "s3://{0}"),
        ("history", "check", "--accepted", "{0}"),
        ("history", "accept", "{0}", "--reason", "x"),
        ("merge", "{0}", "-o", "x"),
        ("merge", "{run}", "-o", "{folder}/{0}/x"),
        ("recover", "{0}"),
        ("ab", "--base", "{0}", "--candidate", "x"),
        ("ab", "--base", "a {{out}}", "--candidate", "a {{out}}", "--budget", "{0}"),
        ("calibrate", "{0}"),
        ("ci", "{0}"),
        ("fleet", "{0}"),
        ("doctor", "--{0}"),
    ],
    ids=" ".join,
)
def test_arguments(call, text, tmp_path, monkeypatch, words):
    """Of every command; a NUL cannot be in an argument."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(report_files, "write_report", lambda _, home, __: [home / "index.html"])
    run = write(tmp_path / "run.json", affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}))
    given = text.replace("\0", "").replace("/", "").replace("\ud800", "\udcff")
    call(*(word.format(given, run=run, folder=tmp_path) for word in words))


def test_printable_is_stable():
    """What has been made printable is not changed again, so that parts of a line may be."""
    for text in HOSTILE:
        assert printable(printable(text)) == printable(text)
        check(printable(text))


def test_what_stays():
    """Names in any script, symbols, node ids and markdown's headings."""
    for text in (
        "模型 é µs ±2% — 1.5x",
        "bench/bench_a.py::test_a[64]",
        "## [1.0] x",
        "a::b",
        "#[a]",
        "שלום",
    ):
        assert printable(text) == text
