"""The map shows speedups as colored cells, and why a cell has none."""

import numpy as np
import pytest
from matplotlib.collections import LineCollection, QuadMesh
from matplotlib.colors import to_hex, to_rgb
from matplotlib.text import Annotation

from breakeven.render.figures import FIGURES
from breakeven.render.figures.speedup_map import DARK, HATCHES, LIGHT, MIDDLE, text_color
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
    texts = [text for text in ax.texts if not isinstance(text, Annotation)]
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
        (0, 0): "0.125x", (1, 0): "1.00x", (2, 0): "2.00x",
        (0, 1): "0.500x", (1, 1): "4.00x", (2, 1): "8.00x",
    }  # fmt: skip
    assert faces[0, 0] == CPU
    assert faces[1, 0] == MIDDLE
    assert faces[2, 1] == GPU
    assert {"width | batch size", "64", "128", "mlp: cuda over cpu", "dtype=f"} <= set(look.texts(figure))
    assert {"1", "8", "64"} <= set(look.texts(figure))


def test_color_scale_is_symmetric(report):
    _, faces, _ = drawn(FIGURES["map"].draw(report(run(cells({64: (0.5, 2, 4)})))))
    middle = np.array(to_rgb(MIDDLE))
    shares = [
        np.linalg.norm(np.array(to_rgb(faces[place, 0])) - middle)
        / np.linalg.norm(np.array(to_rgb(end)) - middle)
        for place, end in ((0, CPU), (1, GPU))
    ]
    assert shares == pytest.approx([0.5, 0.5], abs=0.02)


def test_line_at_one(report):
    """The heavy line separates cells above and below 1x."""
    ax, _, _ = drawn(FIGURES["map"].draw(report(run(cells({64: (0.5, 0.6, 2), 128: (0.5, 3, 4)})))))
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
    """Each workload and candidate has one."""
    content = run([*cells({64: (0.5, 1, 2)}), *cells({64: (0.5, 1, 2)}, workload="cnn")])
    content["benchmarks"] += [
        e for e in cells({64: (2, 2, 2)}, ("cpu", "cpu@1")) if e["extra_info"]["device"] == "cpu@1"
    ]
    texts = look.texts(FIGURES["map"].draw(report(content)))
    titles = [text for text in texts if " over " in text]
    assert sorted(titles[:2]) == ["cnn: cuda over cpu", "mlp: cuda over cpu"]
    assert titles[2:] == ["mlp: cpu@1 over cpu"], "accelerators come first"


def test_max_cells(report, look, monkeypatch):
    monkeypatch.setattr("breakeven.render.figures.speedup_map.MAX_ROWS", 2)
    monkeypatch.setattr("breakeven.render.figures.speedup_map.MAX_COLUMNS", 2)
    figure = FIGURES["map"].draw(report(run(cells(dict.fromkeys(range(5), (0.5, 1, 2))))))
    texts = look.texts(figure)
    assert {"3 more models are in the table (summary.csv).", "1", "64"} <= set(texts)
    assert "1 more batch size is in the table (summary.csv)." in texts
    assert "8" not in texts


def test_row_labels(report, look):
    """Rows have the values of the axes that differ, under their names."""
    content = run()
    for value in ("one", "two"):
        axes = {"a_rather_long_name_of_an_axis": value, "another_long_name": value}
        content["benchmarks"] += [
            benchmark([s] * 9, device=d, axes=axes) for d, s in (("cpu", 1.0), ("cuda", 2.0))
        ]
    texts = look.texts(FIGURES["map"].draw(report(content)))
    assert {"one, one", "two, two"} <= set(texts)
    assert any(text.startswith("a_rather_long") for text in texts)


def test_text_contrast(report):
    _, faces, texts = drawn(FIGURES["map"].draw(report(run(cells({64: (1 / 60, 1, 60)})))))
    assert texts[0, 0].get_color() == LIGHT
    assert texts[1, 0].get_color() == DARK
    assert all(text.get_color() == text_color(to_rgb(faces[place])) for place, text in texts.items())


def test_color_bar(report, look):
    """Its ticks are ratios, its ends are named after the devices."""
    texts = look.texts(FIGURES["map"].draw(report(run(cells({64: (0.25, 1, 3)})))))
    assert {"1/4x", "1/2x", "1x", "2x", "4x", "cpu faster", "cuda faster"} <= set(texts)
