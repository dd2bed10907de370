"""A workload's optimizers: making and checking them, and whether they trained the copy."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from breakeven.errors import MeasurementError, RecipeError
from breakeven.measure.workload import Workload


def make_optimizer(workload: Workload, model: nn.Module, trained: list[nn.Parameter]) -> Any:
    """Return the optimizer of a copy, or a mapping with one for each named submodule.

    Args:
        workload: whose optimizer.
        model: the copy of its model.
        trained: the parameters of the copies of model and loss.

    Raises:
        RecipeError: a function returned something that cannot train them.
    """
    make: Any = workload.optimizer
    if not isinstance(make, Mapping):
        optimizer = make(list(trained))
        check_optimizer(optimizer, trained)
        return optimizer
    made = {}
    for name, make_one in make.items():
        own = list(model.get_submodule(name).parameters())
        made[name] = make_one(list(own))
        check_optimizer(made[name], own, name)
    return made


def check_optimizer(optimizer: Any, trained: list[nn.Parameter], submodule: str = "") -> None:
    """Check that an optimizer can train these parameters, those of a submodule where it is named.

    Raises:
        RecipeError: one line with the reason.
    """
    field = f"optimizer={{{submodule!r}: ...}}" if submodule else "optimizer=..."
    for method in ("step", "zero_grad"):
        if not callable(getattr(optimizer, method, None)) or isinstance(optimizer, type):
            returned = "None" if optimizer is None else type(optimizer).__name__
            raise RecipeError(
                f"Workload({field}) returned {returned}, expected an optimizer with step() and "
                "zero_grad(); let the function return it"
            )
    ours = {id(parameter) for parameter in trained}
    groups = getattr(optimizer, "param_groups", [])
    others = sum(id(parameter) not in ours for group in groups for parameter in group["params"])
    if others:
        whose = f"submodule {submodule} of the copy" if submodule else "copy"
        order = "" if submodule else " (the model's parameters in order, then the loss's)"
        raise RecipeError(
            f"Workload({field}): {others} of the optimizer's parameters do not belong to the {whose} that "
            f"is trained; make the optimizer of the list that the function is given{order}"
        )


def closure_of(workload: Workload, optimizer: Any) -> str | None:
    """Return the name of the optimizer if its step is called with a closure, None if it is not.

    Raises:
        RecipeError: `Workload.closure` does not fit the optimizer, or a field does not fit a closure.
    """
    if workload.training_step is not None:
        return None
    name = type(optimizer).__name__
    takes, needed = _takes_any(optimizer.step), needed_arguments(optimizer.step)
    for argument in needed:
        if argument is not needed[0] or argument.kind is argument.KEYWORD_ONLY:
            raise RecipeError(
                f"{name}.step needs {argument.name!r}, and is called with a closure at most; call it in a "
                "training_step"
            )
    if workload.closure is False and needed:
        raise RecipeError(
            f"Workload(closure=False): {name}.step needs its argument {needed[0].name!r}; leave "
            "closure=False out, or call it in a training_step"
        )
    if workload.closure and not takes:
        raise RecipeError(
            f"Workload(closure=True): {name}.step takes no closure; leave closure out, or use an "
            "optimizer whose step takes one"
        )
    if not (needed if workload.closure is None else workload.closure):
        return None
    if workload.accumulate > 1 or workload.grad_scaler:
        field = "grad_scaler" if workload.grad_scaler else "accumulate"
        raise RecipeError(
            f"Workload({field}=...): {name} does forward and backward inside its step, with a closure of one "
            f"pass; leave {field} out, or write the step as training_step"
        )
    return name


def _takes_any(step: Any) -> bool:
    parameters = _parameters(step)
    return parameters is None or bool(parameters)


def needed_arguments(step: Any) -> list[inspect.Parameter]:
    """Return the arguments that a function must be given; none where that is not known."""
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = _parameters(step) or ()
    return [one for one in parameters if one.default is one.empty and one.kind not in several]


def _parameters(step: Any) -> list[inspect.Parameter] | None:
    try:
        return list(inspect.signature(step).parameters.values())
    except (TypeError, ValueError):  # not a Python function
        return None


def versions_of(workload: Workload) -> list[int]:
    """Return how often each parameter of the recipe's own model and loss was changed."""
    return [parameter._version for parameter in workload.trained()]


def check_first_step(workload: Workload, trained: list[nn.Parameter], versions: list[int]) -> None:
    """Check, after the first step, that it trained the copy and left the recipe's own model alone.

    Args:
        workload: with the recipe's own model and loss.
        trained: the parameters of their copies.
        versions: `versions_of` the workload before the step.

    Raises:
        MeasurementError: it did not.
    """
    ours = set(map(id, trained))
    own = workload.trained()
    reached = any(one.grad is not None and id(one) not in ours for one in own)
    if workload.training_step is None:
        if reached:
            raise MeasurementError(
                "the backward pass reached the recipe's own model, not the copy that is trained; let the "
                "loss use its arguments alone, or be a module that holds the model"
            )
        return
    if reached or versions != versions_of(workload):
        raise MeasurementError(
            "training_step trained the recipe's own model, not the copy on the device; use training.model, "
            "training.loss and training.optimizer in it"
        )
    # Gradients alone: a scheduler of the user's own may begin with a learning rate of 0.
    if all(one.grad is None for one in trained) and all(map(_is_same, trained, own)):
        raise MeasurementError(
            "training_step changed no parameter of training.model and left no gradient; call backward() on a "
            "loss of training.model, and step() of training.optimizer"
        )


def _is_same(one: nn.Parameter, other: nn.Parameter) -> bool:
    return torch.equal(one.detach().to(other.device), other.detach())
