"""Efficiency draws the record's rates, a row for each model and a column for each phase, a block a unit."""

from breakeven.render.figures import FIGURES
from support.run_files import affine_run, run

GPU = "#D55E00"
PHASES = ("transfer", "forward", "backward", "step", "train")


def counted(phases=PHASES, **options):
    """A run whose cases tell what work they did."""
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, phases=phases, **options)
    for entry in content["benchmarks"]:
        entry["extra_info"] |= {"flops": 10**12, "moved_bytes": 10**9}
    return content


def test_each_phase_has_a_panel_with_the_rates_of_the_record_and_their_intervals(report, look):
    found = report(counted())
    figure = FIGURES["efficiency"].draw(found)
    assert len(figure.axes) == 5
    for ax, phase in zip(figure.axes, ("forward", "backward", "train", "transfer", "step"), strict=True):
        cases = found.cases[(found.cases["phase"] == phase) & (found.cases["device"] == "cuda")]
        assert look.lines(ax, GPU) == [([1, 8, 64, 512], [rate.value for rate in cases["rate"]])]
        [(_, ends)] = look.lines(ax, GPU, "intervals")
        assert ends[0::3] == [rate.low for rate in cases["rate"]]
        assert ends[1::3] == [rate.high for rate in cases["rate"]]
        assert ax.get_xscale() == ax.get_yscale() == "log"


def test_the_blocks_share_their_axes_and_name_their_unit_and_phases(report, look):
    figure = FIGURES["efficiency"].draw(report(counted()))
    flops, bytes_ = figure.axes[:3], figure.axes[3:]
    assert len({ax.get_ylim() for ax in flops}) == len({ax.get_ylim() for ax in bytes_}) == 1
    assert flops[0].get_ylim() != bytes_[0].get_ylim()
    assert {"FLOP/s", "B/s", *PHASES} <= set(look.texts(figure))
    assert look.legend(figure) == ["cpu", "cuda"]
    assert look.ticks(flops[0].yaxis)["10 G"] == 1e10
    assert not any("%" in text for text in look.texts(figure) if text != figure.texts[0].get_text())


def test_only_phases_with_a_rate_have_a_column(report, look):
    figure = FIGURES["efficiency"].draw(report(counted(("forward", "train"))))
    assert len(figure.axes) == 2
    assert not {"B/s", "backward", "step", "transfer"} & set(look.texts(figure))


def test_at_most_six_models_have_a_row(report, look):
    content = run()
    for width in range(8):
        content["benchmarks"] += counted(("train",), axes={"width": width}, n=8)["benchmarks"]
    figure = FIGURES["efficiency"].draw(report(content))
    assert len(figure.axes) == 6
    assert "2 more models are in the table (summary.csv)." in look.texts(figure)


def test_the_description_tells_the_highest_rate_of_each_device(report):
    text = FIGURES["efficiency"].describe(report(counted(noise=0)))
    assert text == (
        "Achieved work a second over batch size, in 5 phases. In train at most: cpu 500 GFLOP/s (batch 1, "
        "mlp at width=128); cuda 30.1 GFLOP/s (batch 1, mlp at width=128)."
    )
