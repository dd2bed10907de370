"""Which models a figure shows if there are too many."""

from breakeven.render.figures.curves import Curve
from breakeven.render.figures.models import PanelModel, select_models
from breakeven.render.figures.panels import select_groups, split_models


def test_same_models_on_every_machine():
    """Panels side by side can be compared."""
    models = [
        PanelModel(box, work, f"width={width}")
        for box in ("one", "two", "three")
        for work in ("cnn", "mlp")
        for width in range(4)
    ]
    shown = select_models(models, 12)
    assert len(shown) == 12
    per_machine = [{m[1:] for m in map(_key, shown) if m[0] == box} for box in ("one", "two", "three")]
    assert per_machine[0] == per_machine[1] == per_machine[2]
    assert {work for work, _ in per_machine[0]} == {"cnn", "mlp"}


def test_common_models_first():
    """Models on more machines come first."""
    common = [PanelModel(box, "mlp", "width=9") for box in ("one", "two")]
    assert select_models([PanelModel("one", "mlp", "width=1"), *common], 2) == common


def test_groups_on_several_machines():
    """A model is in one panel on all machines, and is counted once where it is left out."""
    models = [
        PanelModel(box, work, f"width={width}")
        for box in ("one", "two")
        for work in ("cnn", "mlp")
        for width in range(4)
    ]
    groups = split_models({model: [Curve("cuda", ())] for model in models})
    widths = [[(model.machine, model.axes[-1]) for model in group.models] for group in groups[:2]]
    assert widths == [
        [("one", "0"), ("two", "0"), ("one", "1"), ("two", "1")],
        [("one", "2"), ("two", "2"), ("one", "3"), ("two", "3")],
    ]
    kept, missing = select_groups(groups, 3)
    assert [(group.models[0].workload, group.part) for group in kept] == [
        ("cnn", "1 of 2"),
        ("cnn", "2 of 2"),
        ("mlp", "1 of 2"),
    ]
    assert missing == 2


def _key(model):
    return model.machine, model.workload, model.axes
