"""The answer of a prediction: short, marked as predicted, and understood without the manual."""

import pytest

from breakeven.format import MAX_CHARACTERS
from support.predictions import H100, L4, card, cpu_run, planted, prediction

__all__ = ["planted"]

BATCHES = (1, 16, 256, 4096)
HEAD = "Predicted for mlp, width 64: "


def verdict(tmp_path, *cards, widths=(64,), batches=BATCHES, **options):
    """The lines of the answer."""
    found = prediction(tmp_path, cpu_run(widths, batches), *cards, **options)
    assert found.verdict.startswith("Predicted")
    assert len(found.verdict) <= MAX_CHARACTERS
    lines = found.verdict.split("\n")
    assert len(lines) <= 2
    return lines


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (
            (4e-3, 0.0, 1.6),
            f"{HEAD}the H100 beats the CPU from a batch size between 24 and 64 on; "
            "64.0x to 164x as fast at batch 4,096.",
        ),
        (
            (1e-5, 0.0, 2.0),
            f"{HEAD}the H100 beats the CPU at every measured batch size (1–4,096); "
            "20,500x to 81,900x as fast at batch 4,096.",
        ),
        (
            (1.0, 1e-4, 1.1),
            f"{HEAD}the H100 does not beat the CPU up to batch 4,096.",
        ),
        ((0.6, 0.0, 1.1), f"{HEAD}the H100 beats the CPU only above batch 4,096."),
        (
            (1.5e-4, 0.0, 1.9),
            f"{HEAD}the H100 beats the CPU from batch 3 at the latest; 1,440x to "
            "5,190x as fast at batch 4,096.",
        ),
        (
            (0.3, 0.0, 1.9),
            f"{HEAD}the H100 does not beat the CPU below batch 1,578, and may from there on.",
        ),
        (
            (0.0, 1e-4, 2.0),
            f"{HEAD}the H100 may or may not beat the CPU up to batch 4,096.",
        ),
    ],
)
def test_one_model(planted, tmp_path, line, expected):
    planted(h100_16core=line)
    first, *_ = verdict(tmp_path)
    assert first == expected


@pytest.mark.parametrize(
    ("floor", "verb"), [(1e-3, "beats"), (6.4e-3, "may or may not beat"), (1.0, "does not beat")]
)
def test_one_batch(planted, tmp_path, floor, verb):
    planted(h100_16core=(floor, 0.0, 2.0))
    first, *_ = verdict(tmp_path, batches=(64,))
    assert first.startswith(f"{HEAD}the H100 {verb} the CPU at batch 64, the only one measured")


def test_advice(planted, tmp_path):
    """Where something is open, the second line names the minutes, the machine, and how much is open."""
    planted(h100_16core=(1.6e-3, 0.0, 2.0))
    _, second = verdict(tmp_path)
    assert second == "To know, measure there: about 1 min on h100-16core (1 of 4 cells is undecided)."


def test_two_machines(planted, tmp_path):
    planted(h100_16core=(4e-3, 0.0, 1.6), l4=(2e-3, 1e-5, 1.6))
    first, second = verdict(tmp_path, card(), card("l4", L4))
    assert first == (
        f"{HEAD}the H100 beats the CPU from a batch size between 24 and 64 on; the L4 beats "
        "the CPU from a batch size between 13 and 39 on."
    )
    assert second == "To know, measure there."


def test_alike_accelerators(planted, tmp_path):
    """Two machines with the same accelerator are named as their cards are."""
    planted(one=(4e-3, 0.0, 1.6), two=(4e-3, 0.0, 1.6))
    first, *_ = verdict(tmp_path, card("one"), card("two"))
    assert first.startswith(f"{HEAD}one beats the CPU from a batch size between 24 and 64 on; two")


def test_models(planted, tmp_path):
    """Of several models: in how many it wins, and from where in the median one."""
    planted(h100_16core=(0.2, 0.0, 1.5))
    first, *_ = verdict(tmp_path, widths=(16, 64, 256))
    assert first == (
        "Predicted: the H100 beats the CPU for 2 of 3 models, for the median one from a batch size between "
        "1,333 and 3,000 on."
    )


def test_models_without_a_win(planted, tmp_path):
    planted(h100_16core=(10.0, 0.0, 1.5))
    first, *_ = verdict(tmp_path, widths=(16, 64))
    assert first == "Predicted: the H100 beats the CPU for none of 2 models."


def test_undecided_models(planted, tmp_path):
    planted(h100_16core=(0.1, 1e-4, 1.5))
    first, *_ = verdict(tmp_path, widths=(16, 64))
    assert first == ("Predicted: the H100 is not shown to beat the CPU for any of 2 models (1 undecided).")


def test_models_on_two_machines(planted, tmp_path):
    """The median is short, so that there is space for what to do."""
    planted(h100_16core=(0.2, 0.0, 1.5), l4=(2.0, 0.0, 1.5))
    first, second = verdict(tmp_path, card(), card("l4", L4), widths=(16, 64, 256))
    assert first == (
        "Predicted: the H100 beats the CPU for 2 of 3 models (median: batch 1,333–3,000), the L4 for none of "
        "3 models."
    )
    assert second == (
        "To know, measure there: about 2 min on h100-16core, about 4 min on l4 (1 of 24 cells is undecided)."
    )


def test_models_not_predicted(planted, tmp_path):
    """The answer does not hide them."""
    planted(h100_16core=(4e-3, 0.0, 1.6))
    found = prediction(tmp_path, cpu_run((16, 64)), unknown=(8,))
    assert found.verdict.split("\n")[1].startswith("Not predicted, all or in part: 2 models. To know,")


def test_many(planted, tmp_path):
    """With many models and machines the answer is a count."""
    names = [f"gpu-with-a-rather-long-name-{i}" for i in range(8)]
    planted(**{name.replace("-", "_"): (4e-3, 0.0, 1.6) for name in names})
    first, *_ = verdict(tmp_path, *(card(name) for name in names), widths=(16, 64))
    assert first == "Predicted: 8 machines, 2 models, each in the table."


def test_threads(planted, tmp_path):
    """A baseline of one thread is named as that."""
    planted(h100_16core=(4e-3, 0.0, 1.6))
    found = prediction(tmp_path, cpu_run(device="cpu@1"))
    assert found.verdict.startswith(f"{HEAD}the H100 beats one CPU thread from a batch size between")


@pytest.mark.parametrize("name", ["x" * 300, "\x1b[31m", "::error::"])
def test_hostile_name(planted, tmp_path, name):
    """A card's name may be anything that a file holds."""
    planted(**{name: (4e-3, 0.0, 1.6)})
    (first, *_) = verdict(tmp_path, card(name, machine={**H100, "gpu": name}))
    assert "\x1b" not in first
