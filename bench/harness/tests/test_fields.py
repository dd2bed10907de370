"""What a field costs: the order of the blocks, the ratio, the verdict, and the loops written by hand."""

import fields
import pytest
from loops import FIELDS, Size

SMALL = Size(4, 2)


def test_order_of_blocks():
    """A B B A, then B A A B; each pair of times is ours and the loop's."""
    order = []

    def block(name, seconds):
        return lambda steps: order.append((name, steps)) or seconds

    assert fields.ratios(block("a", 3.0), block("b", 2.0), 5, 2) == [(3.0, 2.0)] * 2
    assert "".join(name for name, _ in order) == "abbabaab"
    assert {steps for _, steps in order} == {5}


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.99, 1.02, "yes"), (0.98, 1.0, "yes"), (0.97, 1.0, "undecided"), (1.0, 1.03, "undecided"),
        (1.021, 1.1, "no"), (0.9, 0.979, "no"), (0.9, 1.1, "undecided"),
    ],
)  # fmt: skip
def test_within(low, high, expected):
    assert fields.within({"low": low, "high": high}) == expected


@pytest.mark.parametrize(("step_s", "steps"), [(0.01, 5), (1.0, 2), (1e-6, 250)])
def test_steps_of_a_block(step_s, steps):
    """As many as last that long, at least 2, and at most the field's."""
    assert fields.steps_of(lambda _: step_s, FIELDS["none"], 0.05) == steps
    assert fields.steps_of(lambda _: step_s, FIELDS["closure"], 0.05) == 1


@pytest.mark.parametrize("name", FIELDS)
def test_same_training(name, monkeypatch):
    """Each field trains what its loop trains, or `cost` raises; by a clock that ticks, both take as long."""
    monkeypatch.setattr(fields, "COPIES", 2)
    ticks = iter(range(10**6))
    found = fields.cost(FIELDS[name], SMALL, 2, 2.5, lambda: float(next(ticks)))
    assert (found["ratio"], found["n"]) == (1.0, 2)


def test_other_training_is_noticed(monkeypatch):
    monkeypatch.setattr(fields, "COPIES", 1)
    field = fields.Field(FIELDS["clip_grad_norm"].workload, FIELDS["scheduler"].loop)
    with pytest.raises(SystemExit, match="different weights"):
        fields.cost(field, SMALL, 1, 1.0)


def test_results(tmp_path, monkeypatch):
    monkeypatch.setattr(fields, "COPIES", 1)
    monkeypatch.setattr(fields, "SIZES", {"tiny": SMALL})
    fields.main(["--fields", "none", "--quads", "6", "--block", "0.0001", "-q", "-o", str(tmp_path)])
    assert "| none | tiny | train |" in (tmp_path / "fields.md").read_text()
    assert (tmp_path / "fields.json").exists()
