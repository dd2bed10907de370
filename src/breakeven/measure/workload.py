"""`Workload`, and calling a recipe. Everything is on the host; a `Trainer` moves it to a device."""

from __future__ import annotations

import copy
import inspect
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from breakeven.errors import RecipeError, UsageError
from breakeven.measure.settings import seed_all

AUTOCAST = (torch.bfloat16, torch.float16)
"""The dtypes of `torch.autocast`; with another one torch computes as if autocast were off."""


@dataclass(frozen=True, eq=False)
class Workload:
    """A model, its loss, its optimizer and one batch, on the host.

    Args:
        model: any `torch.nn.Module`.
        loss: any callable of ``(outputs, targets)`` giving a scalar; a module is moved to the device too, and
            its parameters are trained.
        optimizer: called with the list of parameters, the model's and then the loss's, after the move to the
            device; for instance `torch.optim.Adam`.
        inputs: a tensor, or an object with a method ``to``; a tuple or list of these, called as
            ``model(*inputs)``; a mapping, called as ``model(**inputs)``.
        targets: what the loss takes besides the outputs; nested tensors like `inputs`.
        autocast: run forward and loss under `torch.autocast` with this dtype.
        compile: run the model through `torch.compile`.
        pin_memory: keep the host batch in pinned memory and copy it without blocking. Pinning itself
            is never timed, and has no effect on a CPU.
        tf32: round float32 products to TF32 on the device's tensor cores (True) or not (False) while this
            workload runs, overriding the process's setting; None changes nothing. On a device without TF32 a
            case with True is skipped.
        cuda_graph: capture forward, backward and step once as CUDA graphs, and replay them in each round.
            On a device without CUDA graphs, or of several processes, the case is skipped.
        host_inputs: positions or names of the inputs that stay on the host, such as the lengths of sequences.
        single_threaded_backward: run the backward pass in the calling thread instead of autograd's thread for
            the accelerator, which saves a hand-off between two threads in each step. Has no effect on a CPU.
        fsdp: on a device of several processes, such as ``2xcuda``, shard parameters, gradients and the
            optimizer's state among them (FSDP2, `torch.distributed.fsdp.fully_shard`) in place of
            `DistributedDataParallel`. The items of the model's outermost `ModuleList` and `Sequential`
            modules are sharded each on its own. Has no effect on other devices, with which it is compared.

    Raises:
        UsageError: a field has an invalid value; the message names it.
    """

    model: nn.Module
    loss: Callable[[Any, Any], torch.Tensor]
    optimizer: Callable[[list[nn.Parameter]], torch.optim.Optimizer]
    inputs: Any
    targets: Any
    autocast: torch.dtype | None = None
    compile: bool = False
    pin_memory: bool = False
    tf32: bool | None = None
    cuda_graph: bool = False
    host_inputs: Collection[int | str] = ()
    single_threaded_backward: bool = False
    fsdp: bool = False

    def __post_init__(self) -> None:
        for field, is_right, expected in (
            ("model", isinstance(self.model, nn.Module), "a torch.nn.Module"),
            ("loss", callable(self.loss) and not isinstance(self.loss, type), "a function or a loss module"),
            ("optimizer", callable(self.optimizer), "callable, such as torch.optim.Adam"),
            ("compile", isinstance(self.compile, bool), "True or False"),
            ("cuda_graph", isinstance(self.cuda_graph, bool), "True or False"),
            ("fsdp", isinstance(self.fsdp, bool), "True or False"),
            ("tf32", isinstance(self.tf32, bool | None), "True, False or None"),
            (
                "single_threaded_backward",
                isinstance(self.single_threaded_backward, bool),
                "True or False",
            ),
            ("autocast", self.autocast in (None, *AUTOCAST), "torch.bfloat16, torch.float16 or None"),
        ):
            if not is_right:
                raise UsageError(
                    f"Workload({field}=...) must be {expected}, got {_kind(getattr(self, field))}"
                )
        if not any(map(is_movable, _flat(self.inputs))):
            raise UsageError(
                "Workload(inputs=...) must hold a tensor or an object with a method to(), got "
                f"{_kind(self.inputs)}"
            )
        self._check_host_inputs()
        if not any(parameter.requires_grad for parameter in self.trained()):
            raise UsageError(f"Workload(model={type(self.model).__name__}) has no parameter to train")
        for tensor in (*self.trained(), *tensors_in(self.inputs), *tensors_in(self.targets)):
            if tensor.device.type != "cpu":
                raise UsageError(
                    f"a recipe builds on the host, but a tensor is on {tensor.device}; "
                    "remove .to(device), because breakeven moves the workload"
                )

    def _check_host_inputs(self) -> None:
        if isinstance(self.host_inputs, str) or not isinstance(self.host_inputs, Collection):
            raise UsageError(
                f"Workload(host_inputs={self.host_inputs!r}) must be a tuple of positions or names, "
                f"such as ({self.host_inputs!r},)"
            )
        names = _argument_names(self.inputs)
        for name in self.host_inputs:
            if name not in names:
                raise UsageError(
                    f"Workload(host_inputs=...): {name!r} is not one of the inputs, which are "
                    f"{', '.join(map(repr, names)) or 'a single one'}; name positions of a tuple or keys of "
                    "a dict"
                )

    @property
    def parameters(self) -> int:
        """The number of trained parameters, those of the loss included."""
        return sum(parameter.numel() for parameter in self.trained() if parameter.requires_grad)

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters of the model and then of the loss, each once, frozen ones included."""
        return parameters_of(self.model, self.loss)


def parameters_of(model: nn.Module, loss: Any) -> list[nn.Parameter]:
    """Return the parameters of a model and then those of its loss where it has any, each once."""
    own = loss.parameters() if isinstance(loss, nn.Module) else ()
    return list({id(parameter): parameter for parameter in (*model.parameters(), *own)}.values())


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
    seed_all()
    try:
        workload = recipe()
        if isinstance(workload, Workload):
            _prepare(workload)
    except (Exception, SystemExit) as error:
        raise RecipeError(f"{where_of(recipe, error)}: the recipe raised {error_line(error)}") from error
    if not isinstance(workload, Workload):
        raise RecipeError(
            f"{where_of(recipe)}: the recipe returned {_kind(workload)}, expected a breakeven.Workload; "
            "pass a function that returns one"
        )
    return workload


def _prepare(workload: Workload) -> None:
    """Let lazy layers see the batch once, as an optimizer needs their parameters, and drop gradients."""
    if any(isinstance(parameter, nn.UninitializedParameter) for parameter in workload.trained()):
        with torch.no_grad():
            outputs_of(workload.model, workload.inputs)
    for parameter in workload.trained():
        parameter.grad = None


def copy_of(workload: Workload) -> tuple[nn.Module, Any]:
    """Return copies of the model and the loss, made together so that what they share stays shared.

    Raises:
        RecipeError: one of them cannot be copied; the message names it.
    """
    try:
        with torch.no_grad():  # else the parameters of a scripted model become computed tensors
            model, loss = copy.deepcopy((workload.model, workload.loss))
    except (TypeError, RuntimeError) as error:
        if isinstance(error, RuntimeError) and "deepcopy" not in str(error):
            raise  # such as out of memory
        name = "model" if _cannot_be_copied(workload.model) else "loss"
        raise RecipeError(
            f"the {name} cannot be copied ({error_line(error)}), and each device gets its own copy; keep "
            "out of it what copy.deepcopy rejects, such as locks, files and computed tensors"
        ) from error
    copies = parameters_of(model, loss)
    for parameter, original in zip(copies, workload.trained(), strict=True):
        parameter.requires_grad_(original.requires_grad)
    return model, loss


def _cannot_be_copied(value: Any) -> bool:
    try:
        copy.deepcopy(value)
    except (TypeError, RuntimeError):
        return True
    return False


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
    """Yield every tensor in nested tuples, lists and mappings, and in the attributes of movable objects."""
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from tensors_in(item)
    elif isinstance(value, tuple | list):
        for item in value:
            yield from tensors_in(item)
    elif is_movable(value) and hasattr(value, "__dict__"):
        yield from tensors_in(vars(value))


def is_movable(value: Any) -> bool:
    """Return whether a value is a tensor, or has its own ``to``: a PackedSequence, a batch of graphs."""
    return callable(getattr(value, "to", None)) and not isinstance(value, nn.Module | type)


def map_tensors(function: Callable[[Any], Any], value: Any) -> Any:
    """Return `value` with `function` applied to every movable in nested tuples, lists and mappings.

    A tensor that requires a gradient becomes a new leaf, so that its gradient stays with the copy. Of other
    movables a shallow copy is passed, because some move in place.
    """
    if isinstance(value, torch.Tensor):
        return function(value.detach()).requires_grad_() if value.requires_grad else function(value)
    if is_movable(value):
        return function(copy.copy(value))
    if isinstance(value, Mapping):
        return {key: map_tensors(function, item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        items = [map_tensors(function, item) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
    return value


def map_inputs(function: Callable[[Any], Any], inputs: Any, on_host: Collection[int | str]) -> Any:
    """Return the inputs of a model like `map_tensors`, without those that stay on the host."""
    if not on_host:
        return map_tensors(function, inputs)
    if isinstance(inputs, Mapping):
        return {key: item if key in on_host else map_tensors(function, item) for key, item in inputs.items()}
    return [item if index in on_host else map_tensors(function, item) for index, item in enumerate(inputs)]


def moved_to(device: torch.device, movable: Any, *, non_blocking: bool) -> Any:
    """Return a movable on a device; `non_blocking` applies where its `to` has such an argument."""
    if non_blocking and (isinstance(movable, torch.Tensor) or _takes_non_blocking(movable.to)):
        return movable.to(device, non_blocking=True)
    return movable.to(device)


def _takes_non_blocking(to: Callable[..., Any]) -> bool:
    parameters = inspect.signature(to).parameters
    return "non_blocking" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())


def pinned(value: Any) -> Any:
    """Return a movable in pinned memory; unchanged if it cannot be pinned."""
    return value.pin_memory() if hasattr(value, "pin_memory") else value


def duplicate(value: Any) -> Any:
    """Return a copy of a movable on the same device."""
    return value.clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)


def outputs_of(model: Any, inputs: Any) -> Any:
    """Call a model on its inputs: a mapping by keywords, a tuple or list by position, else as they are."""
    if isinstance(inputs, Mapping):
        return model(**inputs)
    if isinstance(inputs, tuple | list) and not is_movable(inputs):
        return model(*inputs)
    return model(inputs)


def _argument_names(inputs: Any) -> list[Any]:
    """Return the keys or the positions of a model's arguments; none for a single one."""
    if isinstance(inputs, Mapping):
        return list(inputs)
    return list(range(len(inputs))) if isinstance(inputs, tuple | list) and not is_movable(inputs) else []


def _flat(value: Any) -> Iterator[Any]:
    """Yield what is in nested tuples, lists and mappings, movable objects as a whole."""
    if is_movable(value) or not isinstance(value, Mapping | tuple | list):
        yield value
        return
    for item in value.values() if isinstance(value, Mapping) else value:
        yield from _flat(item)


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}; write {value.__name__}(...)"
    if isinstance(value, torch.dtype):
        return str(value)
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
