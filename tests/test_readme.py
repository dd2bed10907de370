"""What README shows is true: its two commands are one line each, and its example runs and reports."""

import importlib.util
import itertools
import json
import math
import re
import shlex
import statistics
from pathlib import Path

import pytest

from breakeven import cli
from breakeven.experiment.shell import Job
from support.fake_commands import Machine, install
from support.histories import medians, timed
from support.pages import Cells, rows_of, text_of
from support.reports import box
from support.run_files import affine_run, write

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language):
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def test_commands_are_those_of_ci():
    spec = importlib.util.spec_from_file_location("readme_command", ROOT / ".ci" / "readme_command.py")
    readme_command = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(readme_command)
    main_job, tests = readme_command.sh_blocks(README)
    assert "\n" not in main_job
    assert "\n" not in tests
    assert "pytest bench --benchmark-json=" in main_job
    assert "breakeven report" in main_job
    assert "'.[test]'" in tests


def test_named_files_exist():
    named = [
        *re.findall(r"\]\((?!https:)([^)]+)\)", README),
        *re.findall(r"breakeven report (results/\S+?\.json)", README),
    ]
    assert named
    for name in named:
        assert (ROOT / name).is_file(), name


def test_example_of_several_machines(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (command,) = [block for block in blocks("console") if "--baseline" in block]
    words = shlex.split(command)
    names = [word for word in words if word.endswith(".json")]
    for seed, name in enumerate(names):
        write(tmp_path / name, affine_run({"cpu": (1, 1)}, machine=box(Path(name).stem), seed=seed))
    assert words[0] == "breakeven"
    assert cli.main(words[1:]) == 0
    shown, *_ = capsys.readouterr().out.partition("next:")
    assert all(Path(name).stem in shown for name in names)


@pytest.mark.slow
def test_example_of_a_benchmark(torch_is_loaded, pytester, capsys):
    (example,) = blocks("python")
    commands = blocks("console")[0]
    measure, report = (shlex.split(line) for line in commands.strip().splitlines())
    pytester.makepyfile(bench_mine=example)
    assert measure[0] == "pytest"
    quick = ("--benchmark-max-time=0.02", "--breakeven-phases=train")  # as typed it takes minutes
    result = pytester.runpytest_inprocess(*measure[1:], *quick)
    assert result.ret == 0
    names = [item["name"] for item in json.loads(Path("mine.json").read_text())["benchmarks"]]
    assert any(re.fullmatch(r"bench_mine\[256-1024-\S+-train\]", name) for name in names)
    assert report[0] == "breakeven"
    capsys.readouterr()
    assert cli.main(report[1:]) == 0
    assert "the page: mine.json.report/index.html" in capsys.readouterr().out


def test_example_of_two_commits(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    console = "\n".join(blocks("console"))
    ab, calibrate, compare = (
        shlex.split(re.search(rf"^breakeven {name} .*", console, re.MULTILINE)[0])
        for name in ("ab", "calibrate", "compare")
    )
    machine = install(monkeypatch, Machine(noise=0.001))
    assert cli.main(calibrate[1:]) == 0
    assert "10 runs per side" in capsys.readouterr().out
    assert cli.main(ab[1:]) == 0
    assert {job.command.partition(" && ")[0] for job in machine.jobs[10:]} == {"cd base", "cd head"}
    for name in compare[2:]:
        machine.measure(Job("another", Path(), Path(name).absolute()), f"{name} of another day")
    assert cli.main(compare[1:]) == 0
    assert "10 calibration runs" in " ".join(capsys.readouterr().out.split())


def test_example_of_a_history(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    keeping, accepting = (
        [shlex.split(line) for line in block.strip().splitlines()]
        for block in blocks("console")
        if "breakeven history" in block
    )
    assert [words[:3] for words in keeping] == [["breakeven", "history", a] for a in ("add", "check", "show")]
    name = keeping[0][3]
    contents = timed(medians(30, step=1.1, at=20))
    [[*_, named, _flag, _reason]] = accepting
    for made in contents[20:]:
        made["commit_info"]["id"] = made["commit_info"]["id"].replace(
            contents[20]["commit_info"]["id"], f"{named}0"
        )
    for made in contents:
        write(tmp_path / name, made)
        assert cli.main(keeping[0][1:]) == 0
    assert cli.main(keeping[1][1:]) == 1
    assert cli.main(keeping[2][1:]) == 0
    assert (tmp_path / ".breakeven" / "history" / "page" / "index.html").is_file()
    assert cli.main(accepting[0][1:]) == 0
    assert cli.main(keeping[1][1:]) == 0


def test_quoted_figures_of_the_timers():
    figures = json.loads((ROOT / "results" / "harness" / "regression.json").read_text())["figures"]
    flat = " ".join(README.split())
    alarms = [figure for name, figure in figures.items() if "5 runs a side, noise" in name]
    assert {figure["n"] for figure in alarms} == {2000}
    assert f"at most {max(figure['share'] for figure in alarms):.1%} call anything slower" in flat
    (found,) = (figure["share"] for name, figure in figures.items() if name.startswith("+10%"))
    assert f"at 2% noise, {found:.1%} are found" in flat
    split = max(figure["share"] for name, figure in figures.items() if "random 5 against 5" in name)
    assert f"called slower in {split:.1%} of splits" in flat
    (speed,) = (figure["median"] for name, figure in figures.items() if name.startswith("comparing two"))
    assert f"in {1 / speed:.1f} of the time that pytest-benchmark takes" in flat


def test_quoted_figures_of_the_history():
    figures = json.loads((ROOT / "results" / "harness" / "history.json").read_text())["figures"]
    flat = " ".join(README.split())
    falsely = figures["false changes per series and 100 commits"]["rows"]
    worst = max(row["in any of 91 checks"] for row in falsely if row["kind"] in (0.0, 0.5))
    assert f"raises at most {worst:.2f} false alarms" in flat
    found = figures["a step of 10% at 2% noise, found within 5 commits"]["rows"]
    iid, correlated = (min(row["found"] for row in found if row["rho"] == rho) for rho in (0.0, 0.5))
    assert f"in {iid:.0%} of series" in flat
    assert f"({correlated:.0%} where neighboring runs correlate by .5)" in flat
    whole = figures["history check, the whole process"]
    assert (whole["runs"], whole["cases"], whole["rounds"]) == (1000, 400, 100)
    assert whole["median_s"] < whole["bound_s"]
    assert whole["peak_memory_bytes"] < whole["bound_bytes"]


def test_quoted_figures_of_predictions():
    figures = json.loads((ROOT / "results" / "harness" / "prediction.json").read_text())["figures"]
    flat = " ".join(README.split())
    found = figures["H100, each model left out"]
    assert f"On the H100, {found['cells']} measured steps were predicted" in flat
    assert f"the median error is {found['median_error'] - 1:.0%}, and {found['coverage']:.0%} of the" in flat
    assert f"Of the {found['with_cpu']} that the CPU ran too, {found['firm']} get a firm verdict" in flat
    assert found["wrong"] == []


QUOTED = "h200-16core"
RESULTS = {
    QUOTED: ("run.json", "wide.json"),
    "h100-16core": ("run.json", "large.json"),
    "cpu-2core": ("run.json",),
}


@pytest.fixture(scope="module")
def benchmarks():
    """The benchmarks of each committed report, as plain JSON, by the report's folder."""
    return {
        folder: [
            item
            for name in names
            for item in json.loads((ROOT / "results" / folder / name).read_text())["benchmarks"]
        ]
        for folder, names in RESULTS.items()
    }


@pytest.fixture(scope="module")
def pages():
    """The committed page of each report, by the report's folder."""
    return {folder: (ROOT / "results" / folder / "index.html").read_text("utf-8") for folder in RESULTS}


@pytest.fixture(scope="module")
def quote():
    """The verdict that README quotes."""
    (block,) = re.findall(r"((?:^> .*\n)+)", README, re.MULTILINE)
    return " ".join(block.replace("> ", "").split())


def test_quoted_verdict(quote, pages, capsys):
    paths = [str(ROOT / "results" / QUOTED / name) for name in RESULTS[QUOTED]]
    assert cli.main(["report", *paths, "--format", "json"]) == 0
    verdict = json.loads(capsys.readouterr().out)["verdict"]
    assert quote == " ".join(verdict.split())
    assert quote == text_of(re.search(r'<div id="lines">(.*?)</div>', pages[QUOTED], re.DOTALL)[1])


def facts_of(item):
    """What identifies a benchmark: its keys and its axes."""
    return {**item["extra_info"], **item["extra_info"]["axes"]}


def samples_s(items, **wanted):
    """The median of each process of the cases with these keys and axes, by batch size."""
    found = {
        facts_of(item)["batch_size"]: process_medians_s(item)
        for item in items
        if wanted.items() <= facts_of(item).items()
    }
    return dict(sorted(found.items()))


def medians_s(items, **wanted):
    """The medians over the processes of the cases with these keys and axes, by batch size."""
    return {batch: statistics.median(found) for batch, found in samples_s(items, **wanted).items()}


def process_medians_s(item):
    """The median of each process of a case; its rounds follow one another in the file."""
    rounds = iter(item["stats"]["data"])
    counts = facts_of(item).get("processes") or [len(item["stats"]["data"])]
    return [statistics.median(itertools.islice(rounds, count)) for count in counts if count]


def speedups(items, **wanted):
    """How many times faster the GPU is than all CPU threads, the median over processes, by batch size."""
    cpu, gpu = (samples_s(items, phase="train", device=device, **wanted) for device in ("cpu", "cuda"))
    pairs = {batch: zip(cpu[batch], gpu[batch], strict=True) for batch in cpu if batch in gpu}
    return {batch: statistics.median(a / b for a, b in pair) for batch, pair in pairs.items()}


def leads_s(items, **wanted):
    """How much longer the whole step takes on all CPU threads than on the GPU, by batch size."""
    cpu = medians_s(items, phase="train", device="cpu", **wanted)
    return {batch: cpu[batch] * (1 - 1 / ratio) for batch, ratio in speedups(items, **wanted).items()}


def crossing(leads):
    """The batch size from which every lead is above 0, on straight lines between measured batch sizes.

    Infinite if the last is not.
    """
    batches = list(leads)
    after = next((i for i in range(len(batches)) if min(list(leads.values())[i:]) > 0), None)
    if after is None:
        return math.inf
    if after == 0:
        return 0
    low, high = batches[after - 1], batches[after]
    return low + (high - low) * leads[low] / (leads[low] - leads[high])


def in_words(seconds):
    """A time with three digits, as the page shows it."""
    unit, name = next((u, n) for u, n in ((1, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns")) if seconds >= u)
    value = seconds / unit
    return f"{value:.{2 if value < 10 else 1 if value < 100 else 0}f} {name}"


@pytest.mark.parametrize(
    ("folder", "case"),
    [
        ("h100-16core", "cnn channels=64 side=32 | 1024 | train | cpu"),
        ("h100-16core", "cnn channels=64 side=32 | 1024 | train | cuda"),
        ("h100-16core", "seed_net | 1 | backward | cuda"),
        ("h200-16core", "mlp dtype=float32 width=4096 | 256 | train | cpu"),
        ("h200-16core", "lstm | 64 | transfer | cuda"),
        ("h100-16core", "transformer d_model=512 length=128 optimizer=adam | 16 | forward | cpu"),
        ("cpu-2core", "lstm | 64 | train | cpu"),
        ("cpu-2core", "seed_net | 1 | backward | cpu@1"),
    ],
)
def test_page_medians_recomputed_from_rounds(benchmarks, pages, folder, case):
    model, batch, phase, device = case.split(" | ")
    workload, *axes = model.split()
    head, *rows = rows_of(pages[folder])
    shown = [dict(zip(head, row, strict=True)) for row in rows]
    [row] = [
        row
        for row in shown
        if (row["batch"], row["phase"], row["device"]) == (f"{int(batch):,}", phase, device)
        and {workload, *axes} <= set(row["model"].split())
    ]
    cases = [
        item
        for item in benchmarks[folder]
        if set(axes) <= {f"{key}={value}" for key, value in item["extra_info"]["axes"].items()}
    ]
    medians = medians_s(cases, workload=workload, phase=phase, device=device)
    assert row["time"].startswith(f"{in_words(medians[int(batch)])} ±")


@pytest.fixture(scope="module")
def crossings(benchmarks):
    """The batch size from which the GPU wins, by workload and axes."""
    items = benchmarks[QUOTED]
    models = {json.dumps([facts_of(item)["workload"], item["extra_info"]["axes"]]) for item in items}
    return {
        name: crossing(leads_s(items, workload=workload, axes=axes))
        for name in models
        for workload, axes in [json.loads(name)]
    }


def test_quoted_models(crossings, quote):
    """For how many the GPU wins, and from where the median one; those in bfloat16 are left out."""
    fair = [found for name, found in crossings.items() if "bfloat16" not in name]
    assert f"for {sum(map(math.isfinite, fair))} of {len(fair)} models," in quote
    assert f"{len(crossings) - len(fair)} more models in bfloat16 are left out" in quote
    (median,) = re.findall(r"the median model from batch ([\d,]+) \[", quote)
    assert f"{math.ceil(sorted(fair)[len(fair) // 2]):,}" == median


@pytest.mark.parametrize(
    ("model", "wanted"),
    [
        ("mlp float32 width=512", {"workload": "mlp", "width": 512, "dtype": "float32"}),
        ("cnn", {"workload": "cnn"}),
    ],
)
def test_chart_recomputed_from_rounds(benchmarks, pages, model, wanted):
    found = crossing(leads_s(benchmarks[QUOTED], **wanted))
    tables = [table for name, table in Cells(pages[QUOTED]).tables.items() if name != "cases"]
    [shown] = [row[1] for table in tables if "best speedup" in table[0] for row in table if row[0] == model]
    assert shown.split()[0] == f"{math.ceil(found):,}"


def test_quoted_largest_speedup_recomputed_from_rounds(benchmarks, crossings, quote):
    (quoted,) = re.findall(r"up to ([\d.]+)x faster", quote)
    found = [
        ratio
        for workload, axes in map(json.loads, crossings)
        for ratio in speedups(benchmarks[QUOTED], workload=workload, axes=axes).values()
    ]
    assert f"{max(found):.1f}" == quoted


@pytest.mark.parametrize("option", sorted(set(re.findall(r"`(--breakeven-\w+)=", README))))
def test_named_options_exist(option, pytestconfig):
    assert pytestconfig.getoption(option.lstrip("-").replace("-", "_"), "absent") != "absent"
