"""No text of a figure covers another text or a line, and none leaves its column, whatever the report."""

from itertools import combinations, product
from pathlib import Path

import numpy as np
import pytest
from matplotlib.transforms import Bbox

from breakeven.render.figures import FIGURES
from breakeven.render.figures.panels import HALF
from breakeven.report.report import analyze
from breakeven.runs import reader
from support import reports
from support.reports import box
from support.run_files import affine_run, benchmark, outcome, run

RESULTS = Path(__file__).parents[3] / "results"
OURS = ("speedup", "phases", "variants", "map", "throughput", "memory")
LONG = "a name that is longer than anyone would choose, " * 3


def models(count, devices=("cpu", "cuda"), batches=(1, 8, 64, 512), workloads=("mlp",), seed=0, **more):
    """A run of as many models of each workload, whose devices take random times."""
    rng = np.random.default_rng(seed)
    content = run(**more)
    for workload in workloads:
        for width in range(count):
            lines = {name: 10.0 ** rng.uniform((-6, -8), (0, -1)) for name in devices}
            axes = {"width": 2**width if count < 20 else width, "dtype": "float32"}
            made = affine_run(lines, batches, workload=workload, axes=axes, n=8)["benchmarks"]
            for entry in made:
                entry["extra_info"]["peak_memory_bytes"] = int(10 ** rng.uniform(3, 10))
            content["benchmarks"] += made
    return content


def machines(*names, **more):
    """A run on each machine."""
    return [models(3, machine=box(name, cpu=name), seed=seed, **more) for seed, name in enumerate(names)]


def equal():
    """Many lines that end at the same values."""
    times = ((d, w, b) for d in ("cpu", "cuda", "cuda:1") for w in range(6) for b in (1, 4096, 65536))
    return run([benchmark([0.1] * 9, device=d, batch_size=b, axes={"w": w}) for d, w, b in times])


def partly():
    """Lines of different lengths with holes."""
    content = models(6, batches=(1, 16, 256, 4096, 65536))
    rng = np.random.default_rng(1)
    content["benchmarks"] = [entry for entry in content["benchmarks"] if rng.random() < 0.8]
    content["breakeven"] = {"schema": 1, "outcomes": [outcome("oom", axes={"width": 1, "dtype": "float32"})]}
    return content


def phases():
    """Models of one, two and many batch sizes, with all phases and bounds on three devices."""
    content = run()
    for workload, batches in (("a", (1,)), ("a_long_name", (1, 65536)), ("b", (1, 8, 64)), ("c", (1,))):
        axes = {"width": 4096, "dtype": "bfloat16", "graph": workload == "b"}
        for phase in ("transfer", "forward", "backward", "step", "train"):
            for device, batch in product(("cpu", "cpu@16", "cuda:1"), batches):
                facts = {"enqueue_s": 80e-6, "enqueue_low_s": 1e-6, "enqueue_high_s": 1e-3}
                content["benchmarks"].append(
                    benchmark([123e-6] * 9, workload, phase, device, batch, axes, **facts)
                )
    return content


def variants(*speedups):
    """Variants with long names, one for each speedup, that are compiled and less precise."""
    content = run()
    for width, speedup in enumerate(speedups):
        for on, dtype, time_s in ((False, "float32", 1.0), (True, "bfloat16", 1.0 / speedup)):
            axes = {"a_long_name_of_a_switch": on, "another_switch": on, "dtype": dtype, "width": width}
            facts = {"capture_s": 123.0, "compile_s": 345e-6} if on else {}
            for device in ("cpu", "cuda"):
                times = [time_s * one for one in (0.98, 0.99, 1.0, 1.0, 1.0, 1.01, 1.02)]
                content["benchmarks"].append(
                    benchmark(times, "a_long_name_of_a_model", "train", device, 65536, axes, **facts)
                )
    return content


def extreme(low_s, high_s):
    """A GPU that is faster or slower by far more than anyone has seen."""
    return run(
        [benchmark([low_s] * 9, batch_size=b) for b in (1, 64)]
        + [benchmark([high_s] * 9, device="cuda", batch_size=b) for b in (1, 64)]
    )


CONTENTS = {
    "one model": [models(1)],
    "one batch size": [models(4, batches=(64,))],
    "many batch sizes": [models(2, batches=[2**n for n in range(21)])],
    "close batch sizes": [models(2, batches=range(65_000, 65_030))],
    "60 models": [models(60)],
    "60 models of 10 workloads": [models(6, workloads=[f"model_{i}" for i in range(10)])],
    "two GPUs": [models(4, devices=("cpu", "cuda", "cuda:1"))],
    "nine devices": [models(2, devices=("cpu", "cpu@1", "cpu@2", *(f"cuda:{n}" for n in range(6))))],
    "one device": [models(7, devices=("cpu",))],
    "three machines": machines("laptop", "server", "cloud"),
    "long machines": machines(f"one {LONG}", f"two {LONG}"),
    "long workloads": [models(3, workloads=(f"one {LONG}", f"two {LONG}"))],
    "long devices": [models(3, devices=("cpu", f"cuda {LONG}", f"xpu {LONG}"))],
    "equal": [equal()],
    "far faster": [extreme(1e3, 1e-5)],
    "far slower": [extreme(1e-5, 1e3)],
    "holes": [partly()],
    "phases": [phases()],
    "a slow variant": [variants(1e-3)],
    "a fast variant": [variants(1e4)],
    "many variants": [variants(*np.geomspace(0.5, 2, 30))],
    **{f"random {seed}": [models(5, seed=seed, batches=(1, 4, 4096))] for seed in range(5)},
}

EVERY_DAY = (
    "60 models of 10 workloads", "nine devices", "three machines", "long workloads", "holes", "phases",
    "a slow variant", "random 0", "h100-16core",
)  # fmt: skip
"""The reports that differ most; the others wait for the slow tests."""

PARAMS = [
    name if name in EVERY_DAY else pytest.param(name, marks=pytest.mark.slow)
    for name in (*CONTENTS, "h100-16core", "cpu-2core")
]


@pytest.fixture(scope="module", params=PARAMS)
def figures(request, tmp_path_factory, boxes_of):
    """Each of our figures of one report, drawn, with its texts and their boxes, by its key."""
    if request.param in CONTENTS:
        found = reports.report(tmp_path_factory.mktemp("boxes"), *CONTENTS[request.param])
    else:
        found = analyze(reader.read(sorted(map(str, (RESULTS / request.param).glob("*.json")))))
    drawn = {key: FIGURES[key].draw(found) for key in OURS}
    assert drawn["speedup"] is not None
    return {key: (figure, boxes_of(figure)) for key, figure in drawn.items() if figure is not None}


def test_texts_are_apart(figures):
    for key, (_, boxes) in figures.items():
        placed = [(text, Bbox.from_extents(b.x0 + 1, b.y0 + 1, b.x1 - 1, b.y1 - 1)) for text, b in boxes]
        for (one, its), (other, box_of_other) in combinations(placed, 2):
            assert not its.overlaps(box_of_other), (key, one, other)


def test_texts_are_in_their_columns(figures):
    """A narrow screen shows each half of a figure alone."""
    for figure, boxes in figures.values():
        pixels = figure.dpi / 72
        width, height = figure.get_size_inches() * figure.dpi
        for text, found in boxes:
            assert 0 <= found.x0 < found.x1 <= width, text
            assert 0 <= found.y0 < found.y1 <= height, text
            assert found.x1 <= HALF * pixels or found.x0 >= HALF * pixels, text


def test_labels_are_beside_the_lines(figures):
    """No text is on a line: labels are outside of the panels."""
    for figure, texts in figures.values():
        for ax in figure.axes:
            for line in ax.get_lines():
                if line.get_gid() in ("line", "unity", "break-even"):
                    path = line.get_transform().transform_path(line.get_path())
                    assert not [text for text, found in texts if path.intersects_bbox(found, filled=False)]


def test_labels_are_as_high_as_their_panel(figures):
    """A panel has room for all of its labels."""
    for figure, _ in figures.values():
        for ax in figure.axes:
            low, high = ax.get_window_extent().intervaly
            labels = [text for text in ax.texts if text.get_gid() == "label"]
            middles = [text.get_window_extent().intervaly.mean() for text in labels]
            assert all(low - 2 < middle < high + 2 for middle in middles)
