"""The map shows speedups as colored cells, and why a cell has none."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_hex, to_rgb
from matplotlib.patches import Rectangle

from breakeven.render.figures import FIGURES
from breakeven.render.figures.map_blocks import DARK, HATCHES, LIGHT, MIDDLE, OTHER, MapCell, text_color
from support.reports import box
from support.run_files import benchmark, outcome, run

CPU, GPU = "#0072b2", "#d55e00"
BATCHES = (1, 8, 64)


def cells(speedups, devices=("cpu", "cuda"), **identity):
    """Benchmarks of one workload: `speedups` has for each width the one at each batch size, or None."""
    return [
        benchmark(
            [second] * 9, device=device, batch_size=batch, axes={"width": width, "dtype": "f"}, **identity
        )
        for width, row in speedups.items()
        for batch, speedup in zip(BATCHES, row, strict=True)
        if speedup is not None
        for device, second in zip(devices, (1.0, 1 / speedup), strict=True)
    ]


def drawn(figure):
    """The first block's panel, the colors of its cells by (column, row), and their texts."""
    figure.draw_without_rendering()
    ax = figure.axes[0]
    [mesh] = [artist for artist in ax.collections if isinstance(artist, QuadMesh)]
    rows, columns = mesh.get_array().shape
    colors = mesh.get_facecolor().reshape(rows, columns, 4)
    faces = {(x, y): to_hex(colors[y, x]) for x in range(columns) for y in range(rows)}
    texts = [text for text in ax.texts if text.get_gid() == "cell"]
    return ax, faces, {tuple(part - 0.5 for part in text.get_position()): text for text in texts}


def hatched(figure):
    """The hatch of each cell that has one."""
    return {patch.get_xy(): patch.get_hatch() for patch in figure.axes[0].patches if patch.get_hatch()}


def test_cells(report, look):
    """A cell has its speedup, and the color of the faster device."""
    found = report(run(cells({64: (1 / 8, 1, 2), 128: (0.5, 4, 8)})))
    figure = FIGURES["map"].draw(found)
    _, faces, texts = drawn(figure)
    values = {place: text.get_text() for place, text in texts.items()}
    assert values == {
        (0, 0): "8.00x\nslower", (1, 0): "same", (2, 0): "2.00x",
        (0, 1): "2.00x\nslower", (1, 1): "4.00x", (2, 1): "8.00x",
    }  # fmt: skip
    assert faces[0, 0] == CPU
    assert faces[1, 0] == MIDDLE
    assert faces[2, 1] == GPU
    names = {
        "Speedup by batch size (train)",
        "mlp",
        "dtype=f",
        "cpu faster",
        "cuda faster",
        "width",
        "64",
        "128",
    }
    assert {*names, "1", "8"} <= set(look.texts(figure))


@pytest.mark.parametrize(
    ("speedup", "verdict", "text"),
    [
        (0.277, "slower", "3.61x\nslower"),
        (0.996, "same", "same"),
        (0.9, "undecided", "1.11x\nslower"),
        (3.0, "faster", "3.00x"),
        (1 / 20_000, "slower", "2e+04x\nslower"),
        (None, "skipped", ""),
    ],
)
def test_text_of_a_cell(speedup, verdict, text):
    """A cell never shows a speedup below 1, which reads as its inverse."""
    assert MapCell(speedup, verdict).text == text


def test_color_scale_is_symmetric(report):
    _, faces, _ = drawn(FIGURES["map"].draw(report(run(cells({64: (0.5, 2, 4), 128: (1, 1, 1)})))))
    middle = np.array(to_rgb(MIDDLE))
    shares = [
        np.linalg.norm(np.array(to_rgb(faces[place, 0])) - middle)
        / np.linalg.norm(np.array(to_rgb(end)) - middle)
        for place, end in ((0, CPU), (1, GPU))
    ]
    assert shares == pytest.approx([0.5, 0.5], abs=0.02)


def test_line_where_the_faster_device_changes(report):
    """The heavy line separates faster cells from slower ones, not cells without a difference."""
    rows = {64: (0.5, 0.6, 2), 128: (0.5, 3, 4), 256: (0.5, 1, 4)}
    ax, _, _ = drawn(FIGURES["map"].draw(report(run(cells(rows)))))
    [contour] = [artist for artist in ax.collections if isinstance(artist, LineCollection)]
    edges = {tuple(map(tuple, edge)) for edge in contour.get_segments()}
    assert edges == {((2, 0), (2, 1)), ((1, 1), (1, 2)), ((1, 1), (2, 1))}
    assert contour.get_linewidth()[0] > 2


def test_hatches(report, look):
    """A cell without an answer is hatched by its reason, which the legend names."""
    rng = np.random.default_rng(0)
    content = run(cells({64: (2, None, None), 128: (2, None, None), 256: (2, 2, None)}))
    content["benchmarks"] += [
        benchmark(
            rng.lognormal(0, 0.4, 20).tolist(), device=d, batch_size=8, axes={"width": 64, "dtype": "f"}
        )
        for d in ("cpu", "cuda")
    ]
    ended = [("oom", "cuda", 64, 64), ("skipped", "cpu", 128, 8), ("crashed", "cuda", 128, 64)]
    content["breakeven"] = {
        "schema": 1,
        "outcomes": [
            outcome(word, device=device, batch_size=batch, axes={"width": width, "dtype": "f"})
            for word, device, width, batch in ended
        ],
    }
    figure = FIGURES["map"].draw(report(content))
    assert hatched(figure) == {
        (1, 0): HATCHES["undecided"],
        (2, 0): HATCHES["out of memory"],
        (1, 1): HATCHES["skipped"],
        (2, 1): HATCHES["failed"],
    }
    assert len(set(HATCHES.values())) == 4
    assert look.legend(figure) == list(HATCHES)
    _, _, texts = drawn(figure)
    assert (2, 2) not in texts, "what was never tried is an empty cell"


def test_blocks(report, look):
    """Each workload and candidate has one, which names the faster device by color; accelerators first."""
    rows = {64: (0.5, 1, 2), 128: (2, 2, 2)}
    content = run([*cells(rows), *cells(rows, workload="cnn")])
    content["benchmarks"] += [
        e for e in cells(rows, ("cpu", "cpu@1")) if e["extra_info"]["device"] == "cpu@1"
    ]
    figure = FIGURES["map"].draw(report(content))
    texts = look.texts(figure)
    assert [text for text in texts if text in ("mlp", "cnn")] == ["cnn", "mlp", "mlp"]
    named = [text for text in texts if text.endswith(" faster")]
    assert named == ["cpu faster", "cuda faster"] * 2 + ["cpu faster", "cpu@1 faster"]
    patches = [
        to_hex(patch.get_facecolor()) for patch in figure.findobj(Rectangle) if patch in figure.artists
    ]
    assert patches == [CPU, GPU, CPU, GPU, CPU, OTHER.lower()]


def test_two_machines(report, look):
    """The legend names machine and device, in two colors also where the device is the same."""
    speeds = {"one": (0.5, 1, 2), "two": (0.4, 1.1, 2)}
    contents = [
        run(cells({64: row, 128: (2, 2, 2)}), machine=box(name, cpu=name)) for name, row in speeds.items()
    ]
    figure = FIGURES["map"].draw(report(*contents, baseline="one/cpu"))
    named = [text for text in look.texts(figure) if text.endswith(" faster")]
    pairs = set(zip(named[::2], named[1::2], strict=True))
    assert pairs == {
        ("cpu on one faster", "cuda on one faster"),
        ("cpu on one faster", "cuda on two faster"),
        ("cpu on one faster", "cpu on two faster"),
    }
    patches = [
        to_hex(patch.get_facecolor()) for patch in figure.findobj(Rectangle) if patch in figure.artists
    ]
    assert all(one != other for one, other in zip(patches[::2], patches[1::2], strict=True))


@pytest.mark.parametrize(
    "content",
    [
        run(cells({64: (0.5, 1, 2)})),
        run(cells({"narrow": (0.5, 1, 2), "wide": (0.5, 1, 2)})),
        run(cells({True: (0.5, 1, 2), False: (0.5, 1, 2)})),
        run(cells({64: (0.5, None, None), 128: (2, None, None)})),
    ],
    ids=["one model", "words", "switches", "one batch size"],
)
def test_no_map(report, content):
    """Without a second numeric axis there is no map."""
    found = report(content)
    assert found.speedups
    assert FIGURES["map"].draw(found) is None
    assert FIGURES["map"].describe(found) == ""


def test_rows_by_ascending_numbers(report, look):
    """Rows are labeled with the values of the axes that differ, numbers in order within the other axes."""
    content = run()
    for kind in ("b", "a"):
        for width in (128, 16, 4):
            axes = {"width": width, "kind": kind}
            content["benchmarks"] += [
                benchmark([s] * 9, device=d, axes=axes, batch_size=b)
                for d, s in (("cpu", 1.0), ("cuda", 2.0))
                for b in BATCHES
            ]
    texts = look.texts(FIGURES["map"].draw(report(content)))
    assert [text for text in texts if text[:2] in ("a ", "b ")] == [
        f"{k} {w}" for k in "ab" for w in (4, 16, 128)
    ]
    assert "kind, width" in texts


def test_max_rows(report, look, monkeypatch):
    monkeypatch.setattr("breakeven.render.figures.speedup_map.MAX_ROWS", 2)
    figure = FIGURES["map"].draw(report(run(cells(dict.fromkeys(range(5), (0.5, 1, 2))))))
    assert "3 more models are in the table (summary.csv)." in look.texts(figure)


def test_max_columns(report, look):
    """Batch sizes that fit are shown, with both ends."""
    content = run(
        [
            benchmark([second] * 9, device=device, batch_size=2**power, axes={"width": width})
            for device, second in (("cpu", 1.0), ("cuda", 2.0))
            for power in range(17)
            for width in (1, 2)
        ]
    )
    texts = look.texts(FIGURES["map"].draw(report(content)))
    shown = [text for text in texts if text.replace(",", "").isdecimal()][:-2]
    assert (shown[0], shown[-1]) == ("1", "65,536")
    assert 5 <= len(shown) < 17


def test_text_contrast(report):
    _, faces, texts = drawn(FIGURES["map"].draw(report(run(cells({64: (1 / 60, 1, 60), 128: (1, 1, 1)})))))
    assert texts[0, 0].get_color() == LIGHT
    assert texts[1, 0].get_color() == DARK
    assert all(text.get_color() == text_color(to_rgb(faces[place])) for place, text in texts.items())
