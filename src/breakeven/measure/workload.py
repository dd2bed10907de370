"""`Workload`, and calling a recipe. Everything is on the host; a `Trainer` moves it to a device."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from breakeven.errors import RecipeError, UsageError

SEED = 0
"""Set before every recipe, so that each device gets the same weights and batch."""


@dataclass(frozen=True, eq=False)
class Workload:
    """A model, its loss, its optimizer and one batch, on the host.

    Args:
        model: any `torch.nn.Module`.
        loss: any callable of ``(outputs, targets)`` giving a scalar; a module is moved to the device too.
        optimizer: called with the model's parameters after the move, for instance `torch.optim.Adam`.
        inputs: a tensor; a tuple or list, called as ``model(*inputs)``; a mapping, as ``model(**inputs)``.
        targets: what the loss takes besides the outputs; nested tensors like `inputs`.
        autocast: run forward and loss under `torch.autocast` with this dtype.
        compile: run the model through `torch.compile`.
        pin_memory: keep the host batch in pinned memory and copy it without blocking. Pinning itself
            is never timed, and has no effect on a CPU.
        tf32: round float32 products to TF32 on the device's tensor cores (True) or not (False) while this
        workload runs, overriding the process's setting; None changes nothing. On a device without TF32 a case
            with True is skipped.
        cuda_graph: capture forward, backward and step once as CUDA graphs, and replay them in each round.
            On a device without CUDA graphs the case is skipped.
        single_threaded_backward: run the backward pass in the calling thread instead of autograd's thread for
            the accelerator, which saves a hand-off between two threads in each step. Has no effect on a CPU.

    Raises:
        UsageError: a field has an invalid value; the message names it.
    """

    model: nn.Module
    loss: Callable[[Any, Any], torch.Tensor]
    optimizer: Callable[[Iterable[nn.Parameter]], torch.optim.Optimizer]
    inputs: Any
    targets: Any
    autocast: torch.dtype | None = None
    compile: bool = False
    pin_memory: bool = False
    tf32: bool | None = None
    cuda_graph: bool = False
    single_threaded_backward: bool = False

    def __post_init__(self) -> None:
        for field, is_right, expected in (
            ("model", isinstance(self.model, nn.Module), "a torch.nn.Module"),
            ("loss", callable(self.loss), "callable"),
            ("optimizer", callable(self.optimizer), "callable, such as torch.optim.Adam"),
            ("compile", isinstance(self.compile, bool), "True or False"),
            ("cuda_graph", isinstance(self.cuda_graph, bool), "True or False"),
            ("tf32", isinstance(self.tf32, bool | None), "True, False or None"),
            (
                "single_threaded_backward",
                isinstance(self.single_threaded_backward, bool),
                "True or False",
            ),
            ("autocast", isinstance(self.autocast, torch.dtype | None), "a torch.dtype or None"),
        ):
            if not is_right:
                raise UsageError(
                    f"Workload({field}=...) must be {expected}, got {_kind(getattr(self, field))}"
                )
        if not any(True for _ in tensors_in(self.inputs)):
            raise UsageError(f"Workload(inputs=...) must hold a tensor, got {_kind(self.inputs)}")
        if not any(parameter.requires_grad for parameter in self.model.parameters()):
            raise UsageError(f"Workload(model={type(self.model).__name__}) has no parameter to train")
        for tensor in (*self.model.parameters(), *tensors_in(self.inputs), *tensors_in(self.targets)):
            if tensor.device.type != "cpu":
                raise UsageError(
                    f"a recipe builds on the host, but a tensor is on {tensor.device}; "
                    "remove .to(device), because breakeven moves the workload"
                )

    @property
    def parameters(self) -> int:
        """The number of trained parameters."""
        return sum(parameter.numel() for parameter in self.model.parameters() if parameter.requires_grad)


Recipe = Callable[[], Workload]


def build(recipe: Recipe) -> Workload:
    """Call a recipe, seeded, and return its workload.

    Raises:
        RecipeError: it raised or returned something else; one line with the recipe's file and line.
    """
    if not callable(recipe):
        raise RecipeError(
            f"train_benchmark got {_kind(recipe)}, expected a recipe, a function that returns a Workload; "
            "write train_benchmark(lambda: ...)"
        )
    torch.manual_seed(SEED)
    try:
        workload = recipe()
    except (Exception, SystemExit) as error:
        raise RecipeError(f"{where_of(recipe, error)}: the recipe raised {error_line(error)}") from error
    if not isinstance(workload, Workload):
        raise RecipeError(
            f"{where_of(recipe)}: the recipe returned {_kind(workload)}, expected a breakeven.Workload; "
            "pass a function that returns one"
        )
    return workload


def where_of(recipe: Recipe, error: BaseException | None = None) -> str:
    """Return ``file:line`` of the recipe, or of the line in its file that raised `error`."""
    function: Any = recipe
    while isinstance(function, partial):
        function = function.func
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return _kind(function)  # its repr may be a model's, with many lines
    line = code.co_firstlineno
    for frame in traceback.extract_tb(error.__traceback__) if error is not None else ():
        if frame.filename == code.co_filename and frame.lineno is not None:
            line = frame.lineno
    return f"{code.co_filename}:{line}"


def error_line(error: BaseException) -> str:
    """Return the error's type and the first line of its message, cut at 300 characters."""
    text = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    text = text if len(text) <= 300 else text[:297] + "..."
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def tensors_in(value: Any) -> Iterator[torch.Tensor]:
    """Yield every tensor in nested tuples, lists and mappings."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)


def map_tensors(function: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """Return `value` with `function` applied to every tensor in nested tuples, lists and mappings."""
    if isinstance(value, torch.Tensor):
        return function(value)
    if isinstance(value, Mapping):
        return {key: map_tensors(function, item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [map_tensors(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def _kind(value: Any) -> str:
    return "None" if value is None else f"a {type(value).__name__}"


def mlp(batch_size: int, width: int) -> Workload:
    """Return a perceptron with two hidden layers of `width` and 10 classes: used by the self-test."""
    hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
    return Workload(
        model=nn.Sequential(*hidden, nn.Linear(width, 10)),
        loss=nn.CrossEntropyLoss(),
        optimizer=partial(torch.optim.SGD, lr=0.01),
        inputs=torch.randn(batch_size, width),
        targets=torch.randint(10, (batch_size,)),
    )
