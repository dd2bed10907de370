"""Efficiency draws the report's rates, a row for each model and a column for each phase."""

from breakeven.render.figures import FIGURES
from support.run_files import affine_run

GPU = "#D55E00"
PHASES = ("transfer", "forward", "backward", "step", "train")


def counted(phases=PHASES, **options):
    """A run whose cases record their work."""
    content = affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, phases=phases, **options)
    for entry in content["benchmarks"]:
        entry["extra_info"] |= {"flops": 10**12, "moved_bytes": 10**9}
    return content


def test_rates(report, look):
    """Each phase has a panel with the report's rates and intervals."""
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


def test_axes_of_a_unit(report, look):
    """Phases of one unit share their y axis, which names the unit."""
    figure = FIGURES["efficiency"].draw(report(counted()))
    flops, bytes_ = figure.axes[:3], figure.axes[3:]
    assert len({ax.get_ylim() for ax in flops}) == len({ax.get_ylim() for ax in bytes_}) == 1
    assert flops[0].get_ylim() != bytes_[0].get_ylim()
    assert {"FLOP/s", "B/s", *PHASES} <= set(look.texts(figure))
    assert look.legend(figure) == ["cpu", "cuda"]
    assert look.ticks(flops[0].yaxis)["10 G"] == 1e10
    assert [bool(look.ticks(ax.yaxis)) for ax in figure.axes] == [True, False, False, True, False]
    assert [text for text in look.texts(figure) if "%" in text] == [figure.texts[0].get_text()]


def test_phases_without_a_rate(report, look):
    """A phase without a rate has no column."""
    figure = FIGURES["efficiency"].draw(report(counted(("forward", "train"))))
    assert len(figure.axes) == 2
    assert not {"B/s", "backward", "step", "transfer"} & set(look.texts(figure))
