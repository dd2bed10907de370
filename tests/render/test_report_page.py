"""The page is complete, needs nothing else, and shows the numbers of the report."""

import base64
import hashlib
import re
from dataclasses import replace
from html import unescape

import numpy as np
import pytest

from breakeven.case import Model
from breakeven.render import report_page
from breakeven.render.case_table import COLUMNS, anchors
from breakeven.render.figures import FIGURES, to_svg
from breakeven.render.how_made import outcome_lines
from breakeven.render.summary_tables import SAMPLES
from breakeven.report.answer import Answer, Trust
from support.pages import rows_of, text_of
from support.reports import answered, box, hostile, report
from support.run_files import affine_run, benchmark, outcome, run
from support.training_loops import loop_run

FOLD = '<details class="untrusted"><summary>The measurements, which cannot be trusted</summary>'
HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(1)>\x1b[31m\u202eevil {{ 7 * 7 }}"
SHARES = {"transfer": 0.01, "forward": 0.3, "backward": 0.5, "step": 0.2, "train": 1.0}
GPU = {"cpu": (1, 1), "cuda": (33, 0.2)}


def html(found, directory="."):
    """The page of a report, with its figures."""
    drawn = {name: drawing.draw(found) for name, drawing in FIGURES.items()}
    svgs = {name: to_svg(figure) for name, figure in drawn.items() if figure is not None}
    return report_page.to_html(found, "1.2.3", svgs, directory)


def visible(page):
    """A page without its style and script."""
    return re.sub(r"<(style|script)>.*?</\1>", "", page, flags=re.DOTALL)


def test_exact_values(tmp_path):
    found = report(tmp_path, run([benchmark([0.0012345678] * 9)]))
    assert "<td class=r data-v=0.00123457><details><summary>1.23 ms" in html(found)


def test_nothing_is_loaded(tmp_path):
    text = html(report(tmp_path, affine_run(GPU)))
    assert not re.search(r"<(link|img|iframe|object|embed|base|script src)|@import|@font-face", text)
    for value in re.findall(r'(?:href|src)="([^"]*)"', text):
        assert value.startswith("#") or value.endswith(("summary.csv", "run0.json"))
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
    assert "red : tf32 differs" in text
    assert all(reason.text in text for reason in found.comparability.reasons)
    assert not re.search(r"\d x at best|\d\.\d+x", text)
    assert "1.99 s" in text, "the medians are shown all the same"
    forced = html(report(tmp_path / "2", *contents, force=True))
    assert '<p class="watermark">' in forced
    assert '<p class="watermark">' not in html(report(tmp_path / "3", contents[0]))


def test_ids_and_names(tmp_path):
    """Ids are unique, every reference has its element, and every figure has a title and a description."""
    text = html(report(tmp_path, affine_run(GPU)))
    ids = re.findall(r'\sid="?([^">]+)"?', text)
    assert len(ids) == len(set(ids))
    inside = re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)
    assert len(inside) > 10, "figures use markers by reference"
    assert {one or other for one, other in inside} <= set(ids)
    labels = re.findall(r'<svg (?=[^>]*role="img")[^>]*aria-labelledby="(\S+) (\S+)"', text)
    assert labels
    for name in (name for label in labels for name in label):
        (content,) = re.findall(rf'id="{name}">(.*?)</(?:title|desc)>', text, re.DOTALL)
        assert content.strip()


def default_sweep():
    """A run like that of `pytest bench`: 360 cases, of which the training steps ran in five processes."""
    rng = np.random.default_rng(1)
    models = [("cnn", {"channels": 16, "side": 32}, 4), ("lstm", {"hidden": 64, "length": 32}, 4)]
    models += [
        ("mlp", {"depth": 2, "dtype": dtype, "width": width}, 5)
        for dtype in ("bfloat16", "float32")
        for width in (64, 256)
    ]
    models += [("seed_net", {}, 4), ("transformer", {"d_model": 64, "length": 32, "optimizer": "adam"}, 4)]
    found = []
    for workload, axes, sizes in models:
        for batch in [4**i for i in range(sizes)]:
            for device, factor in (("cpu", 1.0), ("cpu@1", 0.8 + 0.1 * batch**0.3)):
                for phase, share in SHARES.items():
                    count = 5 if phase == "train" else 2
                    times = 1e-3 * share * batch**0.7 * factor * np.exp(0.1 * rng.standard_normal(8 * count))
                    found.append(
                        benchmark(
                            times.tolist(), workload=workload, phase=phase, device=device, batch_size=batch,
                            axes=axes, processes=[8] * count + [0] * (5 - count), flags=["noisy"],
                            **({"steps": 10} if phase == "train" else {}),
                            flops=1e6 * batch, moved_bytes=4e6,
                        )
                    )  # fmt: skip
    return run(found, machine=box("Intel(R) Xeon(R) Processor", cores=2))


def test_size(tmp_path):
    """The default sweep fits into 600 KB."""
    found = report(tmp_path, default_sweep())
    assert len(found.rows) == 360
    assert len(html(found).encode()) < 600_000


@pytest.mark.slow
def test_size_of_many(tmp_path):
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


def test_untrusted(tmp_path):
    """Where the machine was unfit, all but the answer is inside one closed fold."""
    found = report(tmp_path, affine_run(GPU))
    assert FOLD not in html(found)
    assert "nothing throttled" in html(found)
    found = answered(found, Answer(("Another program used the CPU.",), Trust.UNFIT, ("All of it.",)))
    before, _, after = visible(html(found)).partition(FOLD)
    assert "<details open" not in before
    assert "<section" not in before.partition("</section>")[2]
    assert before.count("<p><bdi>Another program used the CPU.</bdi></p>") == 1
    inside, _, behind = after.rpartition("</details>\n</main>")
    assert inside.count("<section") == inside.count("</section>") >= 5
    assert "<section" not in behind
    assert "level green" not in inside
    assert "nothing throttled" not in inside


def test_captions_explain_what_is_shown(tmp_path):
    """Diamonds are mentioned where there is a break-even."""
    phases = ("transfer", "forward", "backward", "step", "train")
    always = {"cpu": (33, 1), "cuda": (1, 0.2)}
    for devices, count in ((GPU, 2), (always, 0)):
        text = html(report(tmp_path / str(count), affine_run(devices, phases=phases)))
        captions = re.findall("<figcaption>(.*?)</figcaption>", text)
        assert len(captions) >= 3
        assert sum("iamond" in caption for caption in captions) == count


def test_sections(tmp_path):
    """They come in the order of need, each with one heading, and those without content do not exist."""
    text = html(report(tmp_path / "one", affine_run(GPU, phases=("forward", "train"))))
    ids = re.findall(r'<section id="([\w-]+)"', text)
    drawn = {"speedup"} - {report_page.CHART}
    assert ids == [
        "answer", "break-even", *drawn, "phases", "machines", "quantities", "all-cases",
    ]  # fmt: skip
    assert text.count("<h2") == len(ids)
    assert not re.search("<h[3-6]", text)
    nothing = html(report(tmp_path / "two", run([], [outcome(device="cuda")])))
    assert re.findall(r'<section id="([\w-]+)"', nothing) == ["answer", "machines", "all-cases"]
    assert "Every case" not in nothing


def test_narrow_figure(tmp_path):
    """A figure with a form for phones has both, of which the style sheet shows one."""
    found = report(tmp_path, affine_run(GPU))
    svg = to_svg(FIGURES["speedup"].draw(found))
    text = report_page.to_html(found, "1", {"speedup": svg, "speedup_narrow": svg})
    (shown,) = re.findall(r'<figure class="both">(.*?)</figure>', text, re.DOTALL)
    assert re.findall(r'aria-labelledby="(\w+) ', shown) == ["speedup_title", "speedup_narrow_title"]
    assert "both" not in visible(report_page.to_html(found, "1", {"speedup": svg}))


def test_parts_of_the_chart(tmp_path, monkeypatch):
    """The first part of the chart is shown, and the others are folded, with their number of models."""
    monkeypatch.setattr("breakeven.render.figures.break_even.MAX_ROWS", 0)
    found = report(tmp_path, affine_run(GPU))
    svg = to_svg(FIGURES[report_page.CHART].draw(found))
    names = [report_page.CHART, f"{report_page.CHART}_1", f"{report_page.CHART}_2"]
    text = report_page.to_html(found, "1", dict.fromkeys(names, svg))
    section = text.partition('<section id="break-even"')[2].partition("</section>")[0]
    shown, folded = section.partition("<summary>1 more model</summary>")[::2]
    assert [part.count("<figure") for part in (shown, folded.partition("</details>")[0])] == [1, 2]


def test_reasons_are_shown_once(tmp_path):
    """The reasons of the comparability are not repeated among the warnings."""
    content = affine_run(GPU)
    content["benchmarks"][0]["extra_info"]["flags"] = ["throttled"]
    found = report(tmp_path, content)
    (reason,) = found.comparability.reasons
    assert f"comparability amber: {reason.text}" in found.warnings
    assert text_of(html(found)).count(reason.text) == 1


def test_links_to_models(tmp_path):
    """Each model in a table links to its first case, whatever its name."""
    names = ("mlp", "MLP", "answer", "cases", "שלום")
    first, *others = [affine_run(GPU, workload=name, axes={}, batches=(1, 64)) for name in names]
    first["benchmarks"] += [item for other in others for item in other["benchmarks"]]
    text = html(report(tmp_path, first))
    links = re.findall(r'<a href="#([^"]+)"><bdi>(.*?)</bdi>', text)
    anchors = {name: anchor for anchor, name in links}
    assert anchors.keys() == set(names)
    assert anchors["mlp"] != anchors["MLP"]
    for name, anchor in anchors.items():
        assert text.count(f"<tr id={anchor}><td><b>{name}</b>") == 1
        assert not re.search(f'id="{anchor}"', text)


def test_anchor_of_a_long_name():
    """It has at most 80 characters; one without any letter or digit is numbered."""
    models = {Model("x"): "x" * 200, Model("?"): "?", Model("!"): "!", Model("mlp"): "mlp at width 8"}
    assert [*anchors(models, ["answer"]).values()] == ["x" * 80, "model", "model-3", "mlp-width-8"]


def test_order_of_cases(tmp_path):
    """Cases are listed by model, the headline phase first, then as they occur in a step."""
    devices = {device: GPU[device] for device in ("cuda", "cpu")}
    content = affine_run(devices, batches=(64, 8), phases=("backward", "train", "novel", "transfer"))
    shown = rows_of(html(report(tmp_path, content)))[1:]
    assert [row[2] for row in shown[::4]] == ["train", "transfer", "backward", "novel"]
    assert [(row[1], row[3]) for row in shown[:4]] == [
        ("8", "cpu"), ("8", "cuda"), ("64", "cpu"), ("64", "cuda"),
    ]  # fmt: skip


def test_rounds_and_rate(tmp_path):
    """The rounds of several processes, and samples where neither FLOPs nor bytes are known."""
    content = run([benchmark([1.0] * 12, processes=[6, 6]), benchmark([1.0] * 12, batch_size=8)])
    one, two = rows_of(html(report(tmp_path, content)))[1:]
    assert (one[5], two[5]) == ("12", "12 in 2")
    assert (one[9], two[9]) == ("8.00 samples/s ±0%", "64.0 samples/s")


def test_machine_column(tmp_path):
    """The machine of a case is named where there are several."""
    runs = [affine_run(GPU, machine=box(name), seed=i) for i, name in enumerate(("one", "two"))]
    alone = rows_of(html(report(tmp_path / "1", runs[0])))
    both = rows_of(html(report(tmp_path / "2", *runs)))
    usual = [name for name in COLUMNS if name != SAMPLES]
    assert alone[0] == [name for name in usual if name != "machine"]
    assert both[0] == usual
    assert [row[-1] for row in both[1:5]] == ["one", "one", "two", "two"]


def test_samples_of_a_step(tmp_path):
    """A step of several passes has its samples in a column of their own."""
    found = report(tmp_path, loop_run(accumulate=4, batches=(8,), load=(1e-3, 1e-4)))
    heads, *rows = rows_of(html(found))
    at = heads.index(SAMPLES)
    of_batch = dict.fromkeys(("transfer", "forward", "backward", "step", "load", "epoch"), "8")
    assert {row[heads.index("phase")]: row[at] for row in rows} == {"train": "32", **of_batch}


def test_links(tmp_path):
    found = report(tmp_path, affine_run(GPU))
    assert '<a href="../run0.json">' in html(found, tmp_path / "out")
