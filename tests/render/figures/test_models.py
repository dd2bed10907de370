"""Which models a figure shows if there are too many."""

from breakeven.render.figures.models import PanelModel, select_models


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


def _key(model):
    return model.machine, model.workload, model.axes
