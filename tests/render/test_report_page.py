"""The page is complete, needs nothing else, and shows the numbers of the report."""

import base64
import hashlib
import re
from dataclasses import replace
from html import unescape

import pytest

from breakeven.render import report_page
from breakeven.render.figures import FIGURES, to_svg
from breakeven.render.how_made import outcome_lines
from support.pages import rows_of, text_of
from support.reports import box, hostile, report
from support.run_files import affine_run, benchmark, outcome, run

HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202eevil {{ 7 * 7 }}"
GPU = {"cpu": (1, 1), "cuda": (33, 0.2)}


def html(found, directory="."):
    """The page of a report, with its figures."""
    drawn = {name: drawing.draw(found) for name, drawing in FIGURES.items()}
    svgs = {name: to_svg(figure) for name, figure in drawn.items() if figure is not None}
    return report_page.to_html(found, "1.2.3", svgs, directory)


def test_exact_values(tmp_path):
    found = report(tmp_path, run([benchmark([0.0012345678] * 9)]))
    assert "<td class=r data-v=0.00123457>1.23 ms" in html(found)


def test_nothing_is_loaded(tmp_path):
    text = html(report(tmp_path, affine_run(GPU)))
    assert not re.search(r"<(link|img|iframe|object|embed|base|script src)|@import|@font-face", text)
    for value in re.findall(r'(?:href|src)="([^"]*)"', text):
        assert value.startswith("#") or value.endswith("run0.json")
    for reference in re.findall(r"url\(([^)]*)\)", text):
        assert reference.startswith("#")


def test_policy(tmp_path):
    """The content security policy allows our own script and no other."""
    text = html(report(tmp_path, affine_run(GPU)))
    (script,) = re.findall(r"<script>(.*?)</script>", text, re.DOTALL)
    wanted = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{wanted}'" in text
    assert "default-src 'none'" in text


def test_hostile_strings(tmp_path):
    machine = box(HOSTILE, gpu=HOSTILE, driver=HOSTILE, threads=[HOSTILE], torch={"a": HOSTILE})
    text = html(hostile(tmp_path, HOSTILE, machine))
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
    """Whatever was not measured, the page has the verdict, the warnings and the outcomes."""
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


def test_ids_and_names(tmp_path):
    """Ids are unique, every reference has its element, and every figure has a title and a description."""
    text = html(report(tmp_path, affine_run(GPU)))
    ids = re.findall(r'\sid="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    inside = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert len(inside) > 10, "figures use markers by reference"
    assert {one or other for one, other in inside} <= set(ids)
    labels = re.findall(r'<svg (?=[^>]*role="img")[^>]*aria-labelledby="(\S+) (\S+)"', text)
    assert labels
    for name in (name for label in labels for name in label):
        (content,) = re.findall(rf'id="{name}">(.*?)</(?:title|desc)>', text, re.DOTALL)
        assert content.strip()


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


def test_links(tmp_path):
    found = report(tmp_path, affine_run(GPU))
    assert '<a href="../run0.json">' in html(found, tmp_path / "out")
