"""What all figures have in common: the same bytes every time, any name, any report, one style."""

import re
import xml.etree.ElementTree
from dataclasses import replace

import pytest

from breakeven.render.figures import FIGURES, device_styles, to_png, to_svg
from breakeven.render.figures.style import PAPER
from breakeven.report.answer import Trust
from breakeven.report.report import analyze
from breakeven.runs import reader
from support.reports import answered
from support.run_files import affine_run, benchmark, outcome, run, write

HOSTILE = "$\\frac{1}{0}$ <b>&\x1b]]>--><!--"
FOREIGN = "\u05e9\u05dc\u05d5\u05dd \u202e漢字 \ud800\x00\ufffe" + "x" * 10_000
PHASES = ("transfer", "forward", "backward", "step", "train")
LINES = {"cpu": (1, 1), "cuda": (33, 0.2)}


def full_run(name="mlp", batches=(1, 8, 64, 512), devices=None, axes=None, machine=None, seed=0):
    """A run that every figure draws something of."""
    axes = {"width": 128} if axes is None else axes
    contents = [
        affine_run(
            devices or LINES,
            batches,
            phases=PHASES,
            workload=name,
            axes=one,
            outcomes=[outcome("oom", workload=name, axes=one, batch_size=16)],
            machine=machine,
            seed=seed,
            n=8,
        )
        for one in (axes, axes | {"depth": 1}, axes | {"depth": 2})
    ]
    content = contents[0]
    content["benchmarks"] = [entry for one in contents for entry in one["benchmarks"]]
    for entry in content["benchmarks"]:
        entry["extra_info"] |= {"flops": 10**9, "moved_bytes": 10**6, "peak_memory_bytes": 10**6}
    return content


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A report that every figure draws something of, its figures, and these as SVG."""
    path = write(tmp_path_factory.mktemp("whole") / "run.json", full_run())
    found = analyze(reader.read([path]))
    drawn = figures(found)
    return found, drawn, {key: to_svg(figure) for key, figure in drawn.items()}


def figures(report):
    """Every figure of a report that is not None, by its key."""
    drawn = {key: drawing.draw(report) for key, drawing in FIGURES.items()}
    return {key: figure for key, figure in drawn.items() if figure is not None}


@pytest.mark.parametrize("save", [to_svg, to_png])
def test_saving_keeps_the_resolution(report, save):
    figure = FIGURES["speedup"].draw(report(full_run("mlp", [1, 8], {"cpu": (1, 1), "cuda": (9, 0.2)}, {})))
    before = figure.dpi
    save(figure)
    assert figure.dpi == before


def test_svg_is_reproducible(whole):
    """An SVG is the same bytes every time, without a date and without addresses."""
    found, _, svgs = whole
    dtd = "http://www.w3.org/Graphics/SVG/1.1/DTD/svg11.dtd"
    for key, figure in figures(found).items():
        assert to_svg(figure) == svgs[key]
        text = svgs[key].decode()
        assert set(re.findall('http://[^"]*', text)) <= {
            "http://www.w3.org/1999/xlink",
            "http://www.w3.org/2000/svg",
            dtd,
        }
        assert "<metadata" not in text


def test_text_and_paper_in_svg(whole):
    """Text stays text, ids are unique, and the background can be dropped by its id."""
    for svg in whole[2].values():
        root = xml.etree.ElementTree.fromstring(svg)
        names = {element.get("id"): element for element in root.iter() if element.get("id")}
        [ground] = list(names["paper"])
        assert ground.get("style") == f"fill: {PAPER}"
        assert any("mlp" in (element.text or "") for element in root.iter("{http://www.w3.org/2000/svg}text"))
        everywhere = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(everywhere) == len(set(everywhere)), "ids are unique"


def test_text_colors(whole):
    """Text has only colors that the page can change for a dark screen."""
    for key, svg in whole[2].items():
        fills = re.findall(rb'<text style="[^"]*fill: (#[0-9a-f]{6})', svg)
        assert set(fills) <= {b"#1a1a1a"} | ({b"#111111", b"#fefefe"} if key == "map" else set())


def test_font_sizes_and_width(whole):
    """No font is smaller than 8 points, and no figure or column of one is too wide for a phone."""
    for key, figure in whole[1].items():
        svg = whole[2][key]
        sizes = [float(size) for size in re.findall(rb"font-size: ([\d.]+)px", svg)]
        sizes += [float(size) for size in re.findall(rb"font: [^\"]*?([\d.]+)px", svg)]
        assert min(sizes) >= 8
        columns = 2 if FIGURES[key].column else 1
        assert figure.get_figwidth() / columns < 6.5 or key == "break_even"


@pytest.mark.parametrize("name", [HOSTILE, FOREIGN], ids=["hostile", "foreign"])
def test_hostile_names(report, name):
    """Markup, control characters, foreign scripts and very long names do no harm."""
    machine = {"node": name, "cpu": {"brand_raw": name, "count": 2}}
    found = report(full_run(name, (1, 512), axes={name[:9]: name}, machine=machine))
    for key, figure in figures(found).items():
        svg = to_svg(figure)
        xml.etree.ElementTree.fromstring(svg)
        assert b"<b>" not in svg
        assert len(svg) < 60_000
        assert FIGURES[key].describe(found).isprintable()
        assert len(FIGURES[key].describe(found)) < 3000
    assert to_png(FIGURES["map"].draw(found)).startswith(b"\x89PNG")


def test_formula_in_a_name(report):
    """A name that looks like a formula or a tag is drawn letter by letter."""
    figure = FIGURES["speedup"].draw(report(full_run("$\\frac{1}{0}$ <b>&")))
    assert "$\\frac{1}{0}$ &lt;b&gt;&amp;" in to_svg(figure).decode()


@pytest.mark.parametrize(
    "content",
    [
        full_run(batches=(64,)),
        full_run(devices={"cpu": (1, 1)}),
        full_run(devices={"cuda": (1, 1)}),
        full_run(devices={"cpu": (0, 0), "cuda": (0, 0)}),
        full_run(devices={"cpu": (1e-9, 0), "cuda": (1e6, 1)}),
        full_run(batches=range(1, 15)),
        run([], [outcome(), outcome("skipped", batch_size=..., axes=...)]),
        run([benchmark([0.0] * 9), benchmark([1.0] * 9, device="cuda")]),
        run([benchmark([1.0] * 3), benchmark([2.0] * 3, device="cuda")]),
        run([benchmark([0.0] * 3 + [1.0] * 4, device=d, batch_size=b) for d in LINES for b in (1, 2)]),
        run([benchmark([1.0] * 9, phase="own"), benchmark([2.0] * 9, phase="own", device="cuda")]),
    ],
    ids=[
        "one batch", "one device", "no cpu", "zero", "extreme", "many batches", "all skipped", "one zero",
        "no intervals", "intervals from zero", "own phase",
    ],
)  # fmt: skip
def test_unusual_reports(report, content):
    """Every figure is drawn and described, or there is neither a figure nor a description."""
    found = report(content)
    for drawing in FIGURES.values():
        figure = drawing.draw(found)
        assert (figure is None) == (drawing.describe(found) == "")
        if figure is not None:
            assert drawing.describe(found).endswith(".")
            xml.etree.ElementTree.fromstring(to_svg(figure))


def test_nothing_to_draw(report):
    """Figures without data do not exist."""
    assert list(figures(report(affine_run({"cpu": (1, 1)}, phases=("forward",))))) == ["speedup"]
    assert figures(report(run([], [outcome()]))) == {}


ABSENT = ("variants", "against_one", "scaling")
"""The figures that need variants, or devices of several processes."""


def red(**modes):
    """A machine with those numeric modes."""
    return {"node": "box", "breakeven": {"class": {"cpu": "EPYC", "gpu": "H100", **modes}}}


def test_refused_and_forced_comparisons(report, look):
    """A refused comparison has no speedups; figures of a forced one carry a watermark."""
    contents = [full_run(machine=red(tf32=flag), seed=flag) for flag in (False, True)]
    refused = report(*contents)
    assert refused.refused
    assert list(figures(refused)) == ["speedup", "phases", "throughput", "memory"]
    assert FIGURES["speedup"].describe(refused).startswith("Time over batch size")
    assert not any("forced" in text for figure in figures(refused).values() for text in look.texts(figure))
    forced = figures(report(*contents, force=True))
    assert list(forced) == [name for name in FIGURES if name not in ABSENT]
    for figure in forced.values():
        marks = [text for text in figure.texts if text.get_text() == "not comparable (forced)"]
        assert marks
        assert all(mark.get_rotation() % 90 and mark.get_alpha() < 0.3 for mark in marks)


def test_unfit_machine(report):
    """Every figure of a report that cannot be trusted says so."""
    found = report(full_run())
    calm = figures(found)
    unfit = figures(answered(found, replace(found.answer, trust=Trust.UNFIT)))
    assert list(calm) == list(unfit) == [name for name in FIGURES if name not in ABSENT]
    for key, figure in unfit.items():
        marks = [text for text in figure.texts if text.get_text() == "not to be trusted"]
        halves = {text.get_position()[0] > 0.5 for text in marks if text.get_position()[0] != 0.5}
        assert marks
        assert len(halves) == (2 if figure.get_figwidth() > 9 else 0), "a narrow screen shows each half alone"
        assert not any(text.get_text() == "not to be trusted" for text in calm[key].texts)


def test_same_style_in_all_figures(whole):
    """A device looks the same in every figure of lines."""
    for key in ("throughput", "memory"):
        figure = whole[1][key]
        drawn = {
            (line.get_color(), line.get_marker())
            for ax in figure.axes
            for line in ax.get_lines()
            if line.get_marker() != "None"
        }
        assert drawn == {("#0072B2", "o"), ("#D55E00", "s")}


@pytest.mark.slow
def test_svg_size(report):
    """Twelve models of ten batch sizes stay below 110 kB."""
    content = run()
    devices = {"cpu": (1, 1), "cuda": (9, 0.2)}
    for width in range(12):
        content["benchmarks"] += affine_run(devices, [2**n for n in range(10)], axes={"width": width})[
            "benchmarks"
        ]
    found = report(content)
    for key in ("speedup", "map", "throughput"):
        assert len(to_svg(FIGURES[key].draw(found))) < 110_000


def test_device_styles():
    """A device has a color and a marker of its own, whatever the order of the devices."""
    many = ["cpu", "cuda", "cpu@1", "cuda:1", "cpu@2"]
    styles = device_styles(many)
    assert styles["cpu"] == ("#0072B2", "o")
    assert styles["cuda"] == ("#D55E00", "s")
    assert len(set(styles.values())) == 5
    assert styles["cuda:1"] == ("#009E73", "^")
    assert [styles[name][0] for name in ("cpu@1", "cpu@2")] == ["#59a3cd", "#80b9d8"], "shades of the CPU's"
    assert device_styles(reversed(many)) == styles
    assert len(set(device_styles([*many, *(f"cuda:{n}" for n in range(2, 9))]).values())) == 12
