"""Prices and trainings of predictions."""

import pytest

from breakeven.errors import UsageError
from breakeven.report.money import Price
from support.predictions import L4, card, cpu_run, planted, prediction, read
from support.reports import only

__all__ = ["planted"]

CPU, H100 = Price("cpu", 0.2), Price("h100-16core", 2.0)


def test_cheaper(planted, tmp_path):
    """Ten times the price moves the crossings by ten: 1e-4 s times batch = 20 or 80 ms."""
    planted(h100_16core=(4e-3, 0.0, 2.0))
    found = prediction(tmp_path, cpu_run(batches=(1, 16, 256, 4096)), prices=[CPU, H100])
    line = only(found.break_evens_usd)
    assert line.low == pytest.approx(200, rel=0.01)
    assert line.high == pytest.approx(800, rel=0.01)
    assert only(found.break_evens).high == pytest.approx(80, rel=0.01)


@pytest.mark.parametrize("name", ["h100-16core", "h100-16core/cuda", "cuda"])
def test_names_of_a_machine(planted, tmp_path, name):
    """A card's name prices its accelerator, as do its device and both."""
    planted(h100_16core=(4e-3, 0.0, 2.0))
    assert prediction(tmp_path, cpu_run(), prices=[CPU, Price(name, 3.0)]).prices == {
        "cpu": 0.2,
        "h100-16core": 3.0,
    }


def test_card_of_this_machine(planted, tmp_path):
    """A card may be of the very class that was measured, whose devices have other prices."""
    planted(h100_16core=(4e-3, 0.0, 2.0))
    here = only(read(tmp_path, cpu_run()).machines).class_id
    found = prediction(tmp_path, cpu_run(), card(class_id=here), prices=[CPU, H100])
    assert found.prices == {"cpu": 0.2, "h100-16core": 2.0}


def test_one_without_a_price(planted, tmp_path):
    """It has no break-even in dollars, and a warning names it."""
    planted(h100_16core=(4e-3, 0.0, 2.0), l4=(4e-3, 0.0, 2.0))
    found = prediction(tmp_path, cpu_run(), card(), card("l4", L4), prices=[CPU, H100])
    assert only(found.break_evens_usd).machine == "h100-16core"
    assert "no dollars for l4: without a price; add --price l4=USD/h" in found.warnings


def test_without_prices(planted, tmp_path):
    planted(h100_16core=(4e-3, 0.0, 2.0))
    assert prediction(tmp_path, cpu_run()).break_evens_usd is None


def test_unknown_name(planted, tmp_path):
    planted(h100_16core=(4e-3, 0.0, 2.0))
    with pytest.raises(UsageError, match="neither a device nor a machine that --on names; known: cpu, "):
        prediction(tmp_path, cpu_run(), prices=[Price("h200", 2.0)])


def test_priced_twice(planted, tmp_path):
    planted(h100_16core=(4e-3, 0.0, 2.0))
    with pytest.raises(UsageError, match="another price was given for this device"):
        prediction(tmp_path, cpu_run(), prices=[H100, Price("h100-16core/cuda", 3.0)])


def test_training(planted, tmp_path):
    """A million steps of 3.6 ms are an hour, at $2 each; the CPU's own row is first and measured."""
    planted(h100_16core=(3.6e-3, 0.0, 2.0), l4=(7.2e-3, 0.0, 1.5))
    cards = (card(), card("l4", L4))
    found = prediction(tmp_path, cpu_run(batches=(64,)), *cards, prices=[CPU, H100], steps=1_000_000)
    cpu, h100, l4 = found.trainings
    assert (cpu.place, cpu.is_predicted) == ("cpu", False)
    assert cpu.hours == pytest.approx(6.4e-3 * 1e6 / 3600, rel=1e-3)
    assert cpu.usd == pytest.approx(0.2 * cpu.hours)
    assert (h100.place, h100.is_predicted) == ("h100-16core", True)
    assert (h100.low_hours, h100.hours, h100.high_hours) == pytest.approx((0.5, 1.0, 2.0))
    assert (h100.low_usd, h100.usd, h100.high_usd) == pytest.approx((1.0, 2.0, 4.0))
    assert (l4.hours, l4.usd, l4.low_usd) == (pytest.approx(2.0), None, None)


def test_without_steps(planted, tmp_path):
    planted(h100_16core=(4e-3, 0.0, 2.0))
    assert prediction(tmp_path, cpu_run()).trainings is None
