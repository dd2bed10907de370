"""What holds for every figure: the same bytes every time, any name, any record, one style."""

import re
import xml.etree.ElementTree
from itertools import pairwise

import pytest
from matplotlib.colors import to_rgb

from breakeven.render.figures import FIGURES, device_styles, to_png, to_svg
from breakeven.render.figures.phases import PHASE_COLORS
from breakeven.render.figures.style import PAPER
from breakeven.report.report import analyze
from breakeven.runs import reader
from support.run_files import affine_run, benchmark, outcome, run, write

HOSTILE = "$\\frac{1}{0}$ <b>&\x1b]]>--><!--"
FOREIGN = "\u05e9\u05dc\u05d5\u05dd \u202e漢字 \ud800\x00\ufffe" + "x" * 10_000
NOTHING = re.compile("There is no |Nothing was timed|No two devices")
PHASES = ("transfer", "forward", "backward", "step", "train")
LINES = {"cpu": (1, 1), "cuda": (33, 0.2)}


def full_run(name="mlp", batches=(1, 8, 64, 512), devices=None, axes=None, machine=None, seed=0):
    """A run that every figure has something of."""
    content = affine_run(
        devices or LINES,
        batches,
        phases=PHASES,
        workload=name,
        axes={"width": 128} if axes is None else axes,
        outcomes=[
            outcome("oom", workload=name, axes={"width": 128} if axes is None else axes, batch_size=16)
        ],
        machine=machine,
        seed=seed,
        n=8,
    )
    for entry in content["benchmarks"]:
        entry["extra_info"] |= {"flops": 10**9, "moved_bytes": 10**6, "peak_memory_bytes": 10**6}
    return content


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A record that every figure has something of, its figures, and these as SVG."""
    path = write(tmp_path_factory.mktemp("whole") / "run.json", full_run())
    found = analyze(reader.read([path]))
    drawn = figures(found)
    return found, drawn, {key: to_svg(figure) for key, figure in drawn.items()}


def figures(report):
    """Every figure of a record that is one, by its key."""
    drawn = {key: drawing.draw(report) for key, drawing in FIGURES.items()}
    return {key: figure for key, figure in drawn.items() if figure is not None}


def test_the_registry_lists_the_figures_of_a_page_in_their_order(whole):
    keys = ["step_time", "speedup", "map", "phases", "efficiency", "throughput", "memory"]
    assert list(FIGURES) == keys
    assert list(whole[1]) == keys
    assert all(drawing.title and drawing.caption.endswith(".") for drawing in FIGURES.values())


def test_each_svg_is_the_same_bytes_every_time_and_carries_no_date_and_no_address(whole):
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


def test_text_stays_text_and_the_paper_can_be_dropped(whole):
    for svg in whole[2].values():
        root = xml.etree.ElementTree.fromstring(svg)
        names = {element.get("id"): element for element in root.iter() if element.get("id")}
        [ground] = list(names["paper"])
        assert ground.get("style") == f"fill: {PAPER}"
        assert any("mlp" in (element.text or "") for element in root.iter("{http://www.w3.org/2000/svg}text"))
        everywhere = [element.get("id") for element in root.iter() if element.get("id")]
        assert len(everywhere) == len(set(everywhere)), "an id stands once"


def test_figures_on_one_page_share_no_id_but_those_of_equal_things(whole):
    seen = {}
    for svg in whole[2].values():
        for element in xml.etree.ElementTree.fromstring(svg).iter():
            if element.get("id"):
                content = xml.etree.ElementTree.tostring(element)
                if "height" not in element.attrib and element.get("id") != "paper":
                    assert seen.setdefault(element.get("id"), content) == content


def test_only_the_neutral_colors_a_page_can_recolour_are_used_for_text(whole):
    for key, svg in whole[2].items():
        fills = re.findall(rb'<text style="[^"]*fill: (#[0-9a-f]{6})', svg)
        assert set(fills) <= {b"#1a1a1a"} | ({b"#111111", b"#fefefe"} if key == "map" else set())


def test_no_type_is_smaller_than_eight_points_and_no_figure_wider_than_a_telephone_can_show(whole):
    for key, figure in whole[1].items():
        svg = whole[2][key]
        sizes = [float(size) for size in re.findall(rb"font-size: ([\d.]+)px", svg)]
        sizes += [float(size) for size in re.findall(rb"font: [^\"]*?([\d.]+)px", svg)]
        assert min(sizes) >= 8
        assert figure.get_figwidth() < 6.5


@pytest.mark.parametrize("name", [HOSTILE, FOREIGN], ids=["hostile", "foreign"])
def test_hostile_and_foreign_names_are_drawn_as_they_stand(report, name):
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


def test_a_hostile_name_stands_in_its_svg_letter_by_letter(report):
    figure = FIGURES["step_time"].draw(report(full_run("$\\frac{1}{0}$ <b>&")))
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
def test_every_record_is_drawn_or_none(report, content):
    found = report(content)
    for drawing in FIGURES.values():
        figure = drawing.draw(found)
        assert drawing.describe(found).endswith(".")
        assert (figure is None) == bool(NOTHING.match(drawing.describe(found)))
        if figure is not None:
            xml.etree.ElementTree.fromstring(to_svg(figure))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("memory", "because no measured device counts it."),
        ("throughput", "because no whole training step was timed."),
        ("efficiency", "because no case tells how much work it did."),
        ("phases", "because no phase was timed beside a whole training step."),
        ("map", "because no two devices could be compared."),
    ],
)
def test_a_figure_of_nothing_is_none_and_its_description_says_why(report, name, reason):
    found = report(affine_run({"cpu": (1, 1)}, phases=("forward",)))
    assert FIGURES[name].draw(found) is None
    assert FIGURES[name].describe(found).endswith(reason)


def red(**modes):
    """A machine with those numeric modes."""
    return {"node": "box", "breakeven": {"class": {"cpu": "EPYC", "gpu": "H100", **modes}}}


def test_a_refused_comparison_has_times_but_no_speedups_and_a_forced_one_is_marked(report, look):
    contents = [full_run(machine=red(tf32=flag), seed=flag) for flag in (False, True)]
    refused = report(*contents)
    assert refused.refused
    assert list(figures(refused)) == ["step_time", "phases", "efficiency", "throughput", "memory"]
    assert "do not compare" in FIGURES["speedup"].describe(refused)
    assert not any("forced" in text for figure in figures(refused).values() for text in look.texts(figure))
    forced = figures(report(*contents, force=True))
    assert list(forced) == list(FIGURES)
    for figure in forced.values():
        marks = [text for text in figure.texts if text.get_text() == "not comparable (forced)"]
        assert marks
        assert all(mark.get_rotation() % 90 and mark.get_alpha() < 0.3 for mark in marks)


def test_a_device_keeps_its_color_and_marker_and_no_two_share_both():
    many = ["cpu", "cuda", "cpu@1", "cuda:1", "cpu@2"]
    styles = device_styles(many)
    assert styles["cpu"] == ("#0072B2", "o")
    assert styles["cuda"] == ("#D55E00", "s")
    assert len(set(styles.values())) == 5
    assert device_styles(reversed(many)) == styles
    assert len(set(device_styles([*many, *(f"cuda:{n}" for n in range(2, 9))]).values())) == 12


def test_a_device_has_the_same_color_and_marker_in_every_figure_of_lines(whole):
    for key in ("step_time", "efficiency", "throughput", "memory"):
        figure = whole[1][key]
        drawn = {
            (line.get_color(), line.get_marker())
            for ax in figure.axes
            for line in ax.get_lines()
            if line.get_marker() != "None"
        }
        assert drawn == {("#0072B2", "o"), ("#D55E00", "s")}


def test_phases_differ_in_lightness_and_from_every_device():
    def gray(color):
        return sum(part * weight for part, weight in zip(to_rgb(color), (0.3, 0.59, 0.11), strict=True))

    shades = sorted(map(gray, PHASE_COLORS.values()))
    assert min(above - below for below, above in pairwise(shades)) > 0.08
    devices = [color for color, _ in device_styles(["cpu", "cuda", "cpu@1", "cuda:1", "cpu@2"]).values()]
    for phase in PHASE_COLORS.values():
        for device in devices:
            apart = sum((a - b) ** 2 for a, b in zip(to_rgb(phase), to_rgb(device), strict=True)) ** 0.5
            assert apart > 0.25


def test_a_long_name_is_cut_in_its_middle_to_the_room_there_is():
    name = "AMD EPYC 7742 64-Core Processor, 64 cores, NVIDIA H100"
    assert fitted(name, 9) == name
    short = fitted(name, 1.5)
    assert text_width(short) <= 1.5 < text_width(name)
    assert short.startswith("AMD EPYC")
    assert short.endswith("H100")
    assert fitted("W" * 10_000, 0.05) == "..."


def test_twelve_panels_of_ten_batch_sizes_stay_below_250_kilobytes(report):
    content = run()
    devices = {"cpu": (1, 1), "cuda": (9, 0.2)}
    for width in range(12):
        one = full_run("mlp", [2**n for n in range(10)], devices, {"width": width})["benchmarks"]
        # Six models are as many as the figures of phases show.
        content["benchmarks"] += [e for e in one if width < 6 or e["extra_info"]["phase"] == "train"]
    found = report(content)
    for key in ("step_time", "speedup", "map", "efficiency"):
        assert len(to_svg(FIGURES[key].draw(found))) < 250_000
