"""Step time, throughput and memory draw the cases of the record, a panel for each model."""

from breakeven.render.figures import FIGURES
from breakeven.render.figures.models import Model, select_models
from support.run_files import affine_run, benchmark, outcome, run

CPU, GPU = "#0072B2", "#D55E00"
LINES = {"cpu": (1, 1), "cuda": (33, 0.2)}


def cases(report, device, column):
    """That column of the cases of `train` on one device."""
    rows = report.cases[(report.cases["device"] == device) & (report.cases["phase"] == "train")]
    return list(rows[column])


def test_step_time_draws_the_medians_and_intervals_of_every_device(report, look):
    found = report(affine_run(LINES, phases=("forward", "train")))
    (ax,) = FIGURES["step_time"].draw(found).axes
    for device, color in (("cpu", CPU), ("cuda", GPU)):
        assert look.lines(ax, color) == [([1, 8, 64, 512], cases(found, device, "median_s"))]
        [(_, ends)] = look.lines(ax, color, "intervals")
        assert ends[0::3] == cases(found, device, "low_s")
        assert ends[1::3] == cases(found, device, "high_s")
    assert ax.get_yscale() == "log"
    assert look.ticks(ax.xaxis) == {"1": 1, "8": 8, "64": 64, "512": 512}
    assert look.ticks(ax.yaxis)["10 s"] == 10


def test_a_device_without_a_timing_where_another_has_one_breaks_its_line_there(report, look):
    content = affine_run(LINES)
    for entry in list(content["benchmarks"]):
        if entry["extra_info"]["device"] == "cuda" and entry["extra_info"]["batch_size"] == 8:
            content["benchmarks"].remove(entry)
    (ax,) = FIGURES["step_time"].draw(report(content)).axes
    assert [x for x, _ in look.lines(ax, CPU)] == [[1, 8, 64, 512]]
    assert [x for x, _ in look.lines(ax, GPU)] == [[64, 512]]
    assert [x for x, _, _ in look.markers(ax, "s")] == [1, 64, 512]


def test_a_case_that_ended_without_a_timing_breaks_the_line_of_its_model_alone(report, look):
    content = affine_run(LINES)
    content["benchmarks"] += affine_run(LINES, axes={"width": 7})["benchmarks"]
    ended = [
        outcome(batch_size=16),
        outcome(batch_size=100, axes={"width": 7}, phase="forward"),
        outcome(batch_size=...),
    ]
    content["breakeven"] = {"schema": 1, "outcomes": ended}
    narrow, wide = FIGURES["step_time"].draw(report(content)).axes
    assert [x for x, _ in look.lines(narrow, CPU)] == [[1, 8, 64, 512]]
    assert [x for x, _ in look.lines(wide, CPU)] == [[1, 8], [64, 512]]


def test_the_description_of_step_time_tells_the_times_at_both_ends(report):
    text = FIGURES["step_time"].describe(report(affine_run(LINES, noise=0)))
    assert text == (
        "Time over batch size (train) for 1 model. For mlp at width=128: cpu takes 2.00 s at batch 1 and "
        "513 s at batch 512; cuda takes 33.2 s at batch 1 and 135 s at batch 512."
    )


def test_throughput_draws_samples_a_second_and_names_the_highest_of_each_device(report, look):
    found = report(affine_run(LINES, noise=0))
    (ax,) = FIGURES["throughput"].draw(found).axes
    rates = [rate.value for rate in cases(found, "cuda", "samples")]
    assert look.lines(ax, GPU) == [([1, 8, 64, 512], rates)]
    text = FIGURES["throughput"].describe(found)
    assert "cuda 3.78 samples/s (batch 512, mlp at width=128)" in text
    assert "cpu 0.998 samples/s" in text


def test_memory_is_drawn_only_for_devices_that_count_it(report, look):
    entries = [
        benchmark([1.0] * 9, device=device, batch_size=batch, **extra)
        for batch in (1, 64)
        for device, extra in (("cpu", {}), ("cuda", {"peak_memory_bytes": batch * 10**6}))
    ]
    found = report(run(entries))
    figure = FIGURES["memory"].draw(found)
    (ax,) = figure.axes
    assert look.lines(ax, GPU) == [([1, 64], [1e6, 64e6])]
    assert not look.lines(ax, CPU)
    assert look.ticks(ax.yaxis)["10 M"] == 1e7
    assert "64.0 MB" in FIGURES["memory"].describe(found)


def test_times_of_zero_are_no_point_on_a_logarithmic_axis(report, look):
    content = run([benchmark([0.0] * 9), *(benchmark([1.0] * 9, batch_size=b) for b in (1, 512))])
    (ax,) = FIGURES["step_time"].draw(report(content)).axes
    assert [x for x, _, _ in look.markers(ax, "o")] == [1, 512]
    assert not look.lines(ax, CPU)
    nothing = report(run([benchmark([0.0] * 9)]))
    assert FIGURES["step_time"].draw(nothing) is None
    assert "nothing was timed that took any time" in FIGURES["step_time"].describe(nothing)


def test_markers_of_extreme_values_stay_clear_of_the_edges_of_their_panel(report):
    entries = [benchmark([10.0**e] * 9, batch_size=b) for b, e in ((1, -9), (8, 0), (64, 6))]
    (ax,) = FIGURES["step_time"].draw(report(run(entries))).axes
    places = ax.transAxes.inverted().transform(ax.transData.transform([(1, 1e-9), (64, 1e6)]))
    assert 0.03 < places[0][1] < places[1][1] < 0.97


def test_of_too_many_models_every_machine_and_workload_is_shown():
    models = [Model(f"m{m}", f"w{w}", f"a={a}") for m in range(3) for w in range(4) for a in range(9)]
    shown = select_models(models, 12)
    assert len(shown) == 12
    assert {model.class_id for model in shown} == {"m0", "m1", "m2"}
    assert {model.workload for model in shown} == {"w0", "w1", "w2", "w3"}
    assert shown == sorted(shown, key=models.index)


def test_panels_of_several_machines_carry_their_labels(report, look):
    boxes = [{"node": name, "cpu": {"brand_raw": f"CPU {name}", "count": 2}} for name in ("a", "b")]
    several = [affine_run(LINES, machine=box, seed=seed) for seed, box in enumerate(boxes)]
    figure = FIGURES["step_time"].draw(report(*several))
    texts = look.texts(figure)
    assert {"CPU a, 2 cores", "CPU b, 2 cores", "2 machines"} <= set(texts)
    alone = FIGURES["step_time"].draw(report(affine_run(LINES, machine=boxes[0])))
    assert look.texts(alone).count("CPU a, 2 cores") == 1


def test_a_title_tells_the_axes_that_vary_and_all_where_none_does(report, look):
    content = affine_run(LINES, axes={"width": 1, "dtype": "float32"})
    for width, workload in ((2, "mlp"), (3, "cnn")):
        more = affine_run(LINES, axes={"width": width, "dtype": "float32"}, workload=workload)
        content["benchmarks"] += more["benchmarks"]
    texts = look.texts(FIGURES["step_time"].draw(report(content)))
    assert {"width=1", "width=2", "dtype=float32 width=3"} <= set(texts)
