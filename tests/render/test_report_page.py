"""The page is complete, self-contained, and shows the numbers of the report."""

import base64
import csv
import hashlib
import io
import re
from dataclasses import replace
from html import unescape

import pytest

from breakeven import format as fmt
from breakeven.render import report_page
from breakeven.render.figures import FIGURES, to_svg
from breakeven.render.report_data import to_csv
from breakeven.render.report_tables import outcome_lines
from support.pages import rows_of, text_of
from support.reports import box, report
from support.run_files import affine_run, benchmark, outcome, run

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202eevil {{ 7 * 7 }}"
PARTS = ["verdict-section", "comparability", "machines", *FIGURES, "table", "warnings", "method"]
GPU = {"cpu": (1, 1), "cuda": (33, 0.2)}


def html(found, directory="."):
    """The page of a report, with its figures."""
    drawn = {name: drawing.draw(found) for name, drawing in FIGURES.items()}
    svgs = {name: to_svg(figure) for name, figure in drawn.items() if figure is not None}
    return report_page.to_html(found, "1.2.3", svgs, directory)


def test_parts(tmp_path):
    text = html(report(tmp_path, affine_run(GPU)))
    at = [text.index(f'<section id="{name}"') for name in PARTS]
    assert at == sorted(at)
    assert len(PARTS) == len(re.findall("<section ", text))


def test_verdict(tmp_path):
    found = report(tmp_path, affine_run(GPU))
    inside = re.search(r'<div id="verdict">(.*?)</div>', html(found), re.DOTALL)[1]
    assert text_of(inside) == found.verdict


def test_rows(tmp_path):
    """Every case has a row, with the numbers of summary.csv."""
    content = affine_run(GPU, phases=("transfer", "train"), batches=(1, 64))
    content["benchmarks"].append(benchmark([1.0, 2.0], batch_size=9, flags=["noisy", "drift"]))
    found = report(tmp_path, content)
    head, *rows = rows_of(html(found))
    assert head == list(report_page.COLUMNS)
    records = list(csv.DictReader(io.StringIO(to_csv(found))))
    assert len(rows) == len(records) == 9
    for cells, record in zip(rows, records, strict=True):
        shown = dict(zip(head, cells, strict=True))
        for column, key in (("batch", "batch_size"), ("phase", "phase"), ("device", "device"), ("n", "n"),
                            ("machine", "machine"), ("axes", "axes"), ("verdict", "verdict"),
                            ("flags", "flags")):  # fmt: skip
            assert shown[column] == record[key]
        assert shown["median"] == fmt.seconds(float(record["median_s"]))
        if record["speedup"]:
            assert shown["speedup"] == fmt.ratio(float(record["speedup"]))
            low, high = float(record["speedup_low"]), float(record["speedup_high"])
            assert shown["95% interval of the speedup"] == fmt.ratio_between(low, high)
        else:
            assert shown["speedup"] == ""


def test_exact_values(tmp_path):
    found = report(tmp_path, run([benchmark([0.0012345678] * 9)]))
    assert "<td class=r data-v=0.00123457>1.23 ms" in html(found)


def test_rates(tmp_path):
    content = run([benchmark([2.0] * 9, phase="forward", flops=6e9), benchmark([2.0] * 9, batch_size=100)])
    rows = [
        dict(zip(report_page.COLUMNS, cells, strict=True))
        for cells in rows_of(html(report(tmp_path, content)))[1:]
    ]
    assert {row["phase"]: row["rate"] for row in rows} == {
        "forward": "3.00 GFLOP/s ±0%",
        "train": "50.0 samples/s ±0%",
    }


def test_nothing_is_loaded(tmp_path):
    text = html(report(tmp_path, affine_run(GPU)))
    assert not re.search(r"<(link|img|iframe|object|embed|base|script src)|@import|@font-face", text)
    for value in re.findall(r'(?:href|src)="([^"]*)"', text):
        assert value.startswith("#") or value.endswith("run0.json")
    for reference in re.findall(r"url\(([^)]*)\)", text):
        assert reference.startswith("#")


def test_policy(tmp_path):
    """The content security policy allows only breakeven's script."""
    text = html(report(tmp_path, affine_run(GPU)))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    wanted = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{wanted}'" in text
    assert "default-src 'none'" in text


def hostile(tmp_path):
    """A report in which every string from the file is an attack."""
    content = affine_run(
        {"cpu": (1, 1), HOSTILE: (33, 0.2)},
        workload=HOSTILE,
        axes={HOSTILE: HOSTILE},
        machine=box(HOSTILE, gpu=HOSTILE, driver=HOSTILE, threads=[HOSTILE], torch={"a": HOSTILE}),
    )
    content["benchmarks"][0]["extra_info"]["flags"] = [HOSTILE]
    content["breakeven"] = {
        "schema": 1,
        "outcomes": [{"outcome": HOSTILE, "reason": HOSTILE, "fullname": HOSTILE}],
        "command": HOSTILE,
    }
    content["datetime"] = content["commit_info"]["id"] = HOSTILE
    return report(tmp_path, content)


def test_hostile_strings(tmp_path):
    text = html(hostile(tmp_path))
    assert text.count("<script>") == text.count("</script>") == 1
    assert "<img" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert "{{ 7 * 7 }}" in unescape(text), "a template in a name is not run"
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", text)


def test_hostile_path(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = report(tmp_path, affine_run(GPU))
    found = replace(found, runs=(replace(found.runs[0], path='javascript:alert(1)//".json'),))
    assert 'href="javascript%3Aalert%281%29/%22.json"' in html(found)


def test_links(tmp_path):
    found = report(tmp_path, affine_run(GPU))
    assert '<a href="../run0.json">' in html(found, tmp_path / "out")


def test_long_names(tmp_path):
    found = report(tmp_path, affine_run(GPU, workload="w" * 10_000))
    assert len(html(found)) < 400_000


def test_card(tmp_path):
    """It shows hardware, software, numeric modes and state."""
    gpu = {"sm_clock_mhz": 1980, "memory_clock_mhz": 2619, "temperature_c": 31, "other_processes": 1,
           "pcie_generation": 5, "pcie_width": 16}  # fmt: skip
    state = {
        "start": {"gpu": gpu, "load_average": [0.25, 0, 0]},
        "end": {"gpu": {**gpu, "sm_clock_mhz": 1500}},
    }
    machine = box(
        "EPYC", state=state, cores=16, threads=8, quota=4.5, gpu="H100", gpu_count=2, gpu_memory_bytes=80e9,
        power_limit_w=700.0, driver="580", cuda="13.0", cudnn=91000, python="3.12",
    )  # fmt: skip
    text = text_of(html(report(tmp_path, affine_run(GPU, machine=machine, axes={"dtype": "bfloat16"}))))
    for line in (
        "CPU EPYC", "cores 16", "CPU quota 4.5", "torch threads 8", "GPU 2 x H100", "GPU memory 80.0 GB",
        "power limit 700 W", "driver 580", "CUDA, cuDNN 13.0, 91000",
        "numeric modes TF32 off, deterministic off",
        "precision bfloat16", "clocks before SM 1980 MHz, memory 2619 MHz", "clocks after SM 1500 MHz",
        "on the GPU before 1 other process", "load before 0.25", "PCIe generation 5 x16",
        "commit 0123456789ab", "measured 2026-01-02 03:04",
    ):  # fmt: skip
        assert line in text


def test_card_of_different_gpus(tmp_path):
    machine = box(
        "EPYC", gpu=["H100", "L4"], gpu_count=2, gpu_memory_bytes=[80e9, 24e9], power_limit_w=[700.0, None],
        compute_capability="9.0", amp="cuda float16",
    )  # fmt: skip
    text = text_of(html(report(tmp_path, affine_run(GPU, machine=machine))))
    for line in (
        "GPU H100, L4", "GPU memory 80.0 GB, 24.0 GB", "power limit 700 W, unknown", "compute capability 9.0",
        "numeric modes TF32 off, autocast cuda float16, deterministic off",
    ):  # fmt: skip
        assert line in text


def test_card_without_a_gpu(tmp_path):
    text = text_of(html(report(tmp_path, affine_run(GPU, machine=box("EPYC", gpu=None, gpu_count=0)))))
    assert "GPU 0" not in text


def test_card_of_an_unknown_machine(tmp_path):
    text = text_of(html(report(tmp_path, affine_run(GPU, machine={}))))
    assert "unknown machine" in text
    assert "None" not in text


@pytest.mark.parametrize(
    "content",
    [
        affine_run({"cpu": (1, 1)}),
        run([], [outcome("skipped", "would take too long")]),
        affine_run(GPU, batches=[64]),
        run([benchmark([1.0] * 9), benchmark([2.0] * 9, device="cuda", batch_size=1)]),
        run([benchmark([0.0] * 9), benchmark([0.0] * 9, device="cuda")]),
    ],
    ids=["one device", "all skipped", "one batch size", "one-sided cells", "zero medians"],
)
def test_incomplete_runs(tmp_path, content):
    """The page always has the verdict, the warnings and the outcomes."""
    found = report(tmp_path, content)
    text = text_of(html(found))
    for line in (found.verdict, *found.warnings, *outcome_lines(found)):
        assert " ".join(line.split()) in text
    assert not re.search(r"\bnan\b|\binf\b|\bNone\b", text)


def test_red(tmp_path):
    """A red comparison shows its reasons and no speedup; a forced one is marked."""
    contents = [
        affine_run(GPU, machine=box(name, tf32=tf32), seed=tf32) for name, tf32 in (("a", False), ("b", True))
    ]
    found = report(tmp_path / "1", *contents)
    text = text_of(html(found))
    assert "red" in re.search(r"Comparability: \w+", text)[0]
    assert all(reason.text in text for reason in found.comparability.reasons)
    assert not re.search(r"\d x at best|\d\.\d+x", text)
    assert "1.99 s" in text, "the medians are shown all the same"
    forced = html(report(tmp_path / "2", *contents, force=True))
    assert '<p class="watermark">' in forced
    assert '<p class="watermark">' not in html(report(tmp_path / "3", contents[0]))


def test_machines(tmp_path):
    """Machines are shown side by side, with throughput, speedup and memory."""
    contents = [
        affine_run({"cpu": (1, slope), "cuda": (33, 0.2)}, machine=box(name), seed=i)
        for i, (name, slope) in enumerate((("one", 1), ("two", 2)))
    ]
    for item in contents[0]["benchmarks"]:
        if item["extra_info"]["device"] == "cuda":
            item["extra_info"]["peak_memory_bytes"] = 3_000_000
    text = text_of(html(report(tmp_path, *contents)))
    where = text.index("Machines, train: mlp width=128 batch=512")
    table = text[where : where + 900]
    assert re.search(r"one cpu 5\d\d s ±\S+ [\d.]+ samples/s ±\S+ baseline not counted", table)
    assert re.search(r"one cuda 13\d s ±\S+ [\d.]+ samples/s ±\S+ 3\.\d+x \[\S+\] 3\.00 MB", table)
    assert re.search(r"two cuda .* 7\.\d+x \[", table)


def test_command(tmp_path):
    content = affine_run(GPU)
    assert "pytest bench --own" not in html(report(tmp_path / "a", content))
    content["breakeven"] = {"schema": 1, "outcomes": [], "command": "pytest bench --own"}
    text = html(report(tmp_path / "b", content))
    assert "<code>pytest bench --own</code>" in text
    assert "<code>breakeven report run0.json</code>" in text


def test_figures_have_names(tmp_path):
    text = html(report(tmp_path, affine_run(GPU)))
    labels = re.findall(
        r'<svg [^>]*role="img" aria-labelledby="(\S+) (\S+)"|aria-labelledby="(\S+) (\S+)" [^>]*role="img"',
        text,
    )
    assert labels
    for label in labels:
        for name in filter(None, label):
            (content,) = re.findall(rf'id="{name}">(.*?)</(?:title|desc)>', text, re.DOTALL)
            assert content.strip()


def test_ids_are_unique(tmp_path):
    ids = re.findall(r'\sid="([^"]+)"', html(report(tmp_path, affine_run(GPU))))
    assert len(ids) == len(set(ids))


def test_references_within_the_page(tmp_path):
    text = html(report(tmp_path, affine_run(GPU)))
    ids = set(re.findall(r'\sid="([^"]+)"', text))
    inside = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert len(inside) > 10, "figures use markers by reference"
    assert {one or other for one, other in inside} <= ids


@pytest.mark.slow
def test_size(tmp_path):
    """4,000 cases fit into 3 MB."""
    content = run(
        [
            benchmark([1e-3 * (1 + i % 7), 2e-3, 3e-3] * 3, device=device, phase=phase,
                      batch_size=2 ** (i % 10), axes={"width": i // 10, "depth": 2, "dtype": "bfloat16"})
            for i in range(400) for device in ("cpu", "cuda")
            for phase in ("transfer", "forward", "backward", "step", "train")
        ],
        machine=box("AMD EPYC 9354 32-Core Processor", cores=32, gpu="NVIDIA H100 80GB HBM3"),
    )  # fmt: skip
    text = html(report(tmp_path, content))
    assert len(rows_of(text)) == 4001
    assert len(text.encode()) < 3_000_000
