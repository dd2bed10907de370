"""`Workload`, and calling a recipe. Everything is on the host; a `Trainer` moves it to a device."""

from __future__ import annotations

import copy
import inspect
import math
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import nn

from breakeven.errors import RecipeError
from breakeven.format import one_line
from breakeven.measure.settings import seed_all
from breakeven.measure.tensors import kind, outputs_of, shapes_of, tensors_in
from breakeven.measure.workload_checks import check

MakeOptimizer = Callable[[list[nn.Parameter]], Any]


@dataclass(frozen=True, eq=False)
class Workload:
    """A model, its loss, its optimizer and its batches, on the host.

    Args:
        model: any `torch.nn.Module`.
        loss: any callable of ``(outputs, targets)`` giving a scalar; a module is moved to the device too, and
            its parameters are trained. None: the model returns the loss, as ``outputs.loss``, as
            ``outputs["loss"]``, or as its only output; what it needs of the targets is among the inputs.
        optimizer: called with the list of parameters, the model's and then the loss's, after the move to the
            device; for instance `torch.optim.Adam`. With `training_step`: also a mapping of names of
            submodules to such functions, each called with the parameters of its submodule.
        inputs: a tensor, or an object with a method ``to``; a tuple or list of these, called as
            ``model(*inputs)``; a mapping, called as ``model(**inputs)``.
        targets: what the loss takes besides the outputs; nested tensors like `inputs`.
        batches: in place of `inputs` and `targets`, several pairs of them, taken in turn: each pass takes the
            next one, also across steps where `accumulate` is above 1. Their shapes may differ; each time is
            the mean over all of them.
        loader: a `torch.utils.data.DataLoader`, or a function that returns one, for the phases ``load`` and
            ``epoch``. Without `inputs` and `batches`, its first batch is the one that other phases train on.
        unpack: turns a batch of the loader into ``(inputs, targets)``. None: a tuple or list of two is that
            already, and anything else is the inputs.
        accumulate: the passes, each over a batch of its own, whose gradients are added up before each
            step of the optimizer; each loss is divided by it.
        clip_grad_norm: the norm to which `torch.nn.utils.clip_grad_norm_` clips the gradients before the
            step of the optimizer; None for no clipping.
        scheduler: called with the optimizer; for instance
            ``partial(torch.optim.lr_scheduler.StepLR, step_size=30)``. Its ``step()`` follows each step of
            the optimizer, so one that needs a metric (``ReduceLROnPlateau``) is refused. A case returns to
            its first step after some hundred steps, or some thousand fast ones, and so does the schedule:
            give one with an end, such as ``OneCycleLR``, at least 10,000 steps.
        grad_scaler: scale the loss by a `torch.amp.GradScaler`; needs ``autocast=torch.float16``. A function
            is called with the type of the device and returns the scaler. First steps that it skips, because
            its scale is too large, are repeated and not timed.
        checkpoint: the submodules whose activations are computed again in the backward pass
            (`torch.utils.checkpoint.checkpoint` with ``use_reentrant=False``): names, patterns such as
            ``"layers.*"``, whose ``*`` stands for one part of a name, or a function of a submodule that
            returns whether it is one. Inference is not affected.
        channels_last: keep the model's 4-dimensional parameters and its 4-dimensional inputs in
            `torch.channels_last`; ``transfer`` converts the inputs, which is a copy on a CPU too.
        closure: whether ``optimizer.step`` is called with a closure, which drops the gradients, does one pass
            forward and backward, clips, and returns the loss. None: if its signature requires one, as that of
            `torch.optim.LBFGS` does. Then ``step`` and ``train`` time all evaluations, and ``forward`` and
            ``backward`` are skipped. An optimizer that expects gradients before its step needs
            `training_step`.
        training_step: the whole step after the transfer, called with a
            `breakeven.measure.training.Training`; returns the loss, or several. Then
            ``transfer`` and whole steps (``train``, ``epoch``) are timed, and other phases are skipped.
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
    loss: Callable[[Any, Any], torch.Tensor] | None = None
    optimizer: MakeOptimizer | Mapping[str, MakeOptimizer] | None = None
    inputs: Any = None
    targets: Any = None
    batches: Sequence[tuple[Any, Any]] = ()
    loader: Any = None
    unpack: Callable[[Any], tuple[Any, Any]] | None = None
    accumulate: int = 1
    clip_grad_norm: float | None = None
    scheduler: Callable[[torch.optim.Optimizer], Any] | None = None
    grad_scaler: bool | Callable[[str], Any] = False
    checkpoint: Collection[str] | Callable[[nn.Module], bool] = ()
    channels_last: bool = False
    closure: bool | None = None
    training_step: Callable[[Any], Any] | None = None
    autocast: torch.dtype | None = None
    compile: bool = False
    pin_memory: bool = False
    tf32: bool | None = None
    cuda_graph: bool = False
    host_inputs: Collection[int | str] = ()
    single_threaded_backward: bool = False
    fsdp: bool = False

    def __post_init__(self) -> None:
        check(self)

    @property
    def host_batches(self) -> tuple[tuple[Any, Any], ...]:
        """The batches as pairs of inputs and targets, at least one."""
        return tuple(self.batches) or ((self.inputs, self.targets),)

    @property
    def parameters(self) -> int:
        """The number of trained parameters, those of the loss included."""
        return sum(parameter.numel() for parameter in self.trained() if parameter.requires_grad)

    def trained(self) -> list[nn.Parameter]:
        """Return the parameters of the model and then of the loss, each once, frozen ones included."""
        return parameters_of(self.model, self.loss)


def batch_facts(workload: Workload) -> dict[str, int]:
    """Return what a case's ``extra_info`` has of its batches.

    ``accumulate``, ``batches`` and ``batch_shapes`` if above 1, and ``batch_bytes``, the bytes that a step
    takes of inputs and targets, unless they hold no tensor.
    """
    batches = workload.host_batches
    dense = (tensor for tensor in tensors_in(batches) if not tensor.is_nested)
    size = sum(tensor.numel() * tensor.element_size() for tensor in dense)
    counts = {
        "accumulate": workload.accumulate,
        "batches": len(batches),
        "batch_shapes": len(set(map(shapes_of, batches))),
        "batch_bytes": workload.accumulate * size // len(batches),
    }
    return {name: count for name, count in counts.items() if count > 1}


def parameters_of(model: nn.Module, loss: Any) -> list[nn.Parameter]:
    """Return the parameters of a model and then those of its loss where it has any, each once."""
    own = loss.parameters() if isinstance(loss, nn.Module) else ()
    return list({id(parameter): parameter for parameter in (*model.parameters(), *own)}.values())


Recipe = Callable[[], Workload]


def build(recipe: Recipe, timeout_s: float = math.inf) -> Workload:
    """Call a recipe, seeded, and return its workload, with a batch of its loader if it has no other.

    Args:
        recipe: returns a workload.
        timeout_s: the seconds after which a worker of the loader that gives no batch is taken to hang.

    Raises:
        RecipeError: it raised or returned something else; one line with the recipe's file and line.
        CaseTimeout: its loader gave no batch in time.
    """
    from breakeven.measure.loading import with_first_batch  # which needs this module

    if not callable(recipe):
        raise RecipeError(
            f"train_benchmark got {kind(recipe)}, expected a recipe, a function that returns a Workload; "
            "write train_benchmark(lambda: ...)"
        )
    seed_all()
    workload = _called(recipe, recipe)
    if not isinstance(workload, Workload):
        raise RecipeError(
            f"{where_of(recipe)}: the recipe returned {kind(workload)}, expected a breakeven.Workload; "
            "pass a function that returns one"
        )
    workload = with_first_batch(workload, timeout_s)
    _called(recipe, partial(_prepare, workload))
    return workload


def _called(recipe: Recipe, work: Callable[[], Any]) -> Any:
    try:
        return work()
    except (Exception, SystemExit) as error:
        raise RecipeError(f"{where_of(recipe, error)}: the recipe raised {error_line(error)}") from error


def _prepare(workload: Workload) -> None:
    """Let lazy layers see the batch once, as an optimizer needs their parameters, and drop gradients."""
    if any(isinstance(parameter, nn.UninitializedParameter) for parameter in workload.trained()):
        from breakeven.measure.unpaired import unpaired  # which needs this module

        try:
            with torch.no_grad():
                outputs_of(workload.model, workload.host_batches[0][0])
        except Exception as error:
            raise unpaired(error, workload, workload.host_batches[0]) from None
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
        return kind(function)  # its repr may be a model's, with many lines
    line = code.co_firstlineno
    for frame in traceback.extract_tb(error.__traceback__) if error is not None else ():
        if frame.filename == code.co_filename and frame.lineno is not None:
            line = frame.lineno
    return f"{code.co_filename}:{line}"


def error_line(error: BaseException) -> str:
    """Return the error's type and the first line of its message, printable, cut at 300 characters."""
    text = one_line(next((line.strip() for line in str(error).splitlines() if line.strip()), ""), 300)
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


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
