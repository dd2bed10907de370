"""The time of a predicted step, its band, and what widens it."""

import math
from dataclasses import replace

import pytest

from breakeven.predict.cards import Card
from breakeven.predict.formula import BACKWARD_OPERATORS, KERNEL_S, UNSEEN_LOG_SD, Z90, predict_step
from breakeven.predict.work import Work
from breakeven.runs.schema import CaseFacts

CARD = Card(
    name="box",
    hardware="",
    class_id="",
    device="cuda",
    machine={},
    launch_s=4e-5,
    flops_per_s={"float32": 5e13},
    bytes_per_s=2e12,
    copied_bytes_per_s=1e10,
    process_log_sd=0.0,
    low_log=-0.3,
    high_log=0.4,
    log_sds={"launches": 0.0, "memory": 0.0, "copy": 0.0, "float32": 0.0},
    cells=50,
    models=12,
    runs=1,
    processes=1,
    batch_sizes=(4, 1024),
)
SMALL = Work(operators=20, kernels=20, flops={"float32": 1e6}, moved_bytes=1e5, copied_bytes=0)
LARGE = Work(operators=20, kernels=20, flops={"float32": 1e12}, moved_bytes=1e10, copied_bytes=0)


def band(step):
    """Return how far the band reaches down and up, in logarithms."""
    return math.log(step.seconds / step.low_s), math.log(step.high_s / step.seconds)


def test_a_small_step_takes_the_hosts_time():
    assert predict_step(CARD, SMALL, 64).seconds == (20 + BACKWARD_OPERATORS) * 4e-5


def test_a_large_step_takes_the_devices_time():
    assert predict_step(CARD, LARGE, 64).seconds == pytest.approx(20 * KERNEL_S + 1e12 / 5e13 + 1e10 / 2e12)


@pytest.mark.parametrize("work", [SMALL, LARGE])
def test_the_copy_comes_before_either(work):
    with_copy = predict_step(CARD, replace(work, copied_bytes=1e7), 64)
    assert with_copy.seconds == pytest.approx(predict_step(CARD, work, 64).seconds + 1e-3)


def test_a_captured_step_is_one_launch():
    """Its kernels still take their time on the device, and nothing hands its backward pass over."""
    assert predict_step(CARD, replace(SMALL, operators=1, kernels=0), 64).seconds == 4e-5
    assert predict_step(CARD, replace(SMALL, operators=1), 64).seconds == pytest.approx(
        20 * KERNEL_S, rel=1e-2
    )


def test_a_step_without_any_work_takes_a_launch():
    assert predict_step(CARD, Work(0, 0, {}, 0, 0), 64).seconds == 4e-5


def test_the_band_is_the_cards():
    step = predict_step(CARD, SMALL, 64)
    assert band(step) == pytest.approx((0.3, 0.4))
    assert step.widened == ()


def test_another_run_widens_what_the_host_takes():
    """The new run and those of the card differ from the mean of all runs."""
    card = replace(CARD, process_log_sd=0.2)
    of_one = math.hypot(0.4, Z90 * 0.2 * math.sqrt(2))
    assert band(predict_step(card, SMALL, 64))[1] == pytest.approx(of_one)
    assert predict_step(card, SMALL, 64).widened == ()
    of_four = math.hypot(0.4, Z90 * 0.2 * math.sqrt(1.25))
    assert band(predict_step(replace(card, runs=4), SMALL, 64))[1] == pytest.approx(of_four)
    assert band(predict_step(card, LARGE, 64)) == pytest.approx((0.3, 0.4))


@pytest.mark.parametrize(
    ("rate", "work", "name"),
    [
        ("float32", replace(LARGE, moved_bytes=0, kernels=0), "arithmetic in float32"),
        ("memory", replace(LARGE, flops={}, kernels=0, moved_bytes=1e12), "memory rate"),
        (
            "copy",
            replace(SMALL, operators=0, kernels=0, flops={}, moved_bytes=0, copied_bytes=1e11),
            "copy rate",
        ),
    ],
)
def test_an_uncertain_rate_widens_what_depends_on_it(rate, work, name):
    card = replace(CARD, log_sds=CARD.log_sds | {rate: 1.0})
    step = predict_step(card, work, 64)
    assert band(step) == pytest.approx((math.hypot(0.3, Z90), math.hypot(0.4, Z90)), rel=1e-3)
    assert step.widened == (f"the card knows its {name} only within 5.2x",)
    assert predict_step(card, SMALL, 64) == predict_step(CARD, SMALL, 64)


def test_a_faster_device_still_waits_for_the_host():
    """The band reaches down to the host's time only, however fast the arithmetic may be."""
    card = replace(CARD, low_log=0.0, log_sds=CARD.log_sds | {"float32": 3.0})
    step = predict_step(card, LARGE, 64)
    host_s = (20 + BACKWARD_OPERATORS) * 4e-5
    assert step.low_s == pytest.approx(20 * KERNEL_S + 1e10 / 2e12, rel=0.1)
    assert predict_step(card, replace(LARGE, moved_bytes=0), 64).low_s == pytest.approx(host_s)


@pytest.mark.parametrize(("sd", "phrases"), [(0.1, 0), (0.2, 1)])
def test_what_hardly_widens_the_band_is_not_named(sd, phrases):
    """From 1.49x to 1.54x, and to 1.68x."""
    card = replace(CARD, log_sds=CARD.log_sds | {"float32": sd})
    work = replace(LARGE, moved_bytes=0, kernels=0)
    assert len(predict_step(card, work, 64).widened) == phrases


def test_an_unseen_format_is_known_within_12_times():
    step = predict_step(CARD, replace(LARGE, flops={"float16": 1e15}), 64)
    assert step.seconds == pytest.approx(20, rel=1e-2)
    assert band(step)[1] == pytest.approx(math.hypot(0.4, Z90 * UNSEEN_LOG_SD), rel=1e-2)
    assert step.widened == ("the card knows its arithmetic in float16 only within 12x",)


@pytest.mark.parametrize(
    ("batch_size", "beyond"), [(1, 0), (16 * 1024, 0), (32 * 1024, math.log(4)), (64 * 1024, math.log(8))]
)
def test_a_batch_far_outside_widens_the_band(batch_size, beyond):
    step = predict_step(CARD, SMALL, batch_size)
    assert band(step) == pytest.approx((math.hypot(0.3, beyond), math.hypot(0.4, beyond)))
    why = f"batch {batch_size:,} is more than 16 times outside of those that the card saw (4 to 1,024)"
    assert step.widened == ((why,) if beyond else ())


def test_a_batch_far_below_widens_the_band():
    card = replace(CARD, batch_sizes=(4096, 8192))
    assert band(predict_step(card, SMALL, 128))[1] == pytest.approx(math.hypot(0.4, math.log(4)))


def test_work_of_facts():
    facts = CaseFacts(operators=20, moved_bytes=5.0, batch_bytes=7.0, flops_by_format={"tf32": 3.0})
    assert Work.of(facts) == Work(20, 20, {"tf32": 3.0}, 5.0, 7.0)
    assert Work.of(replace(facts, kernels=200)).kernels == 200


@pytest.mark.parametrize("missing", ["operators", "moved_bytes", "batch_bytes"])
def test_no_work_without_counts(missing):
    facts = CaseFacts(operators=20, moved_bytes=5.0, batch_bytes=7.0)
    assert Work.of(replace(facts, **{missing: None})) is None
