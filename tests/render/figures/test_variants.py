"""A row for each variant of a model on a device, at its best batch size, the largest speedup first."""

import re
from itertools import groupby

from breakeven.render.figures import FIGURES
from breakeven.render.figures.panels import HALF
from breakeven.render.figures.style import PAPER
from breakeven.report.text import model_names
from support.reports import box
from support.run_files import benchmark, run

ROUNDS = (0.97, 0.98, 0.99, 1.0, 1.0, 1.01, 1.02, 1.03)


def step(train_s, workload="mlp", device="cuda", batch=64, facts=None, **axes):
    """One whole training step."""
    times = [train_s * one for one in ROUNDS]
    return benchmark(times, workload, device=device, batch_size=batch, axes=axes, **(facts or {}))


def graphs(speedups, device="cuda", **facts):
    """A model at several batch sizes, plain and as a CUDA graph that is faster by these factors."""
    return [
        step(seconds, device=device, batch=batch, cuda_graph=on, facts=facts if on else {})
        for batch, speedup in speedups.items()
        for on, seconds in ((False, 1.0), (True, 1 / speedup))
    ]


def rows_of(figure):
    """The texts of each row from the top: those at its left, and those at its right."""
    every = [(text.get_position()[0] * 72 * figure.get_figwidth() % HALF, text) for text in figure.texts]
    machine = next(place for place, (_, text) in enumerate(every) if text.get_text().startswith("AMD"))
    sides = groupby(every[machine + 1 :], key=lambda item: item[0] > HALF / 2)
    texts = [[text.get_text() for _, text in side] for _, side in sides]
    return list(zip(texts[::2], texts[1::2], strict=True))


def test_rows(report, look):
    content = run(
        [
            *graphs({1: 8.0, 64: 2.0, 1024: 0.5}, capture_s=0.25, compile_s=7.5),
            *graphs({64: 0.5}, device="cpu"),
            *(step(seconds, "lstm", width=w, dtype=dtype)
              for w, dtype, seconds in ((8, "float32", 1.0), (8, "bfloat16", 0.25),
                                        (16, "float32", 1.0), (16, "bfloat16", 1.0))),
        ]
    )  # fmt: skip
    found = report(content)
    figure = FIGURES["variants"].draw(found)
    models = {model.label(): name for model, name in model_names(way.sizes for way in found.variants).items()}
    assert [(*left, right[0].split()[0], *right[1:]) for left, right in rows_of(figure)] == [
        ("cuda_graph=True", "mlp", "batch 1", "8.00x", "7.75 s once"),
        ("dtype=bfloat16", models["lstm width=8"], "batch 64", "4.00x", "less precise"),
        ("dtype=bfloat16", models["lstm width=16"], "batch 64", "1.00x", "less precise"),
        ("cuda_graph=True", "mlp", "batch 64", "0.500x"),
    ]
    (ax,) = figure.axes
    assert look.legend(figure) == ["cpu", "cuda", "undecided or same"]
    assert [round(x, 6) for x, *_ in look.markers(ax, "s")] == [8, 4, 1]
    assert [face == PAPER for *_, face in look.markers(ax, "s")] == [False, False, True]
    assert [round(x, 6) for x, *_ in look.markers(ax, "o")] == [0.5]
    assert list(look.ticks(ax.xaxis)) == ["1x", "4x"]
    heavy = [line.get_xdata() for line in ax.get_lines() if line.get_linewidth() == 1.8]
    assert heavy == [[1, 1]]
    best = max(found.variants, key=lambda way: way.row.speedup).row
    intervals = [line.get_xdata() for line in ax.get_lines() if line.get_gid() == "interval"]
    assert (best.low, best.high) == tuple(intervals[0])
    top, bottom = ax.get_ylim()[::-1]
    assert top < 0 < 3 < bottom, "the best is at the top"
    text = FIGURES["variants"].describe(found)
    assert "2 of 4 are faster" in text
    assert text.index("8.00x") < text.index("4.00x") < text.index("0.500x")


def test_many(report, look):
    """The rows that do not fit are the slowest, and a note counts them."""
    rows = [
        step(seconds, width=width, tf32=on)
        for width in range(30)
        for on, seconds in ((False, 1.0 + width), (True, 1.0))
    ]
    figure = FIGURES["variants"].draw(report(run(rows)))
    widths = [int(re.findall(r"\d+", left[1])[0]) for left, _ in rows_of(figure)]
    assert widths == [*range(29, 5, -1)]
    one, other = figure.axes
    assert one.get_xlim() == other.get_xlim()
    assert [len(look.markers(ax, "s")) for ax in (one, other)] == [12, 12]
    assert "6 more variants are in the table (summary.csv)." in look.texts(figure)


def test_machines(report):
    """With several machines, each row names its own."""
    runs = [run(graphs({64: speedup}), machine=box(name)) for name, speedup in (("a", 2.0), ("b", 3.0))]
    figure = FIGURES["variants"].draw(report(*runs))
    texts = [text.get_text() for text in figure.texts]
    assert [text for text in texts if text.startswith("batch")] == ["batch 64 on b", "batch 64 on a"]
