"""The batches of a workload's loader, pass after pass.

A loader is copied before its batches are taken, so that its workers belong to one case: they end with the
case, or with this process, however that ends. The recipe's own loader stays as it is.
"""

from __future__ import annotations

import copy
import gc
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from torch.utils.data import DataLoader

from breakeven.errors import BreakevenError, RecipeError, UsageError
from breakeven.hardware.orphans import end_with_parent
from breakeven.measure.loader_errors import death_of_a_worker, reason_of
from breakeven.measure.outcomes import CaseTimeout
from breakeven.measure.tensors import duplicate, flat, is_movable, kind, map_tensors

if TYPE_CHECKING:
    from breakeven.measure.workload import Workload

Pair = tuple[Any, Any]
"""The inputs and the targets of a batch."""

_END = object()


def _never() -> float:
    return math.inf


class Batches:
    """Takes the batches of a loader, one pass after another, without end.

    `workers` is the number of its processes, `prefetched` how many batches they may hold ready. `per_pass` is
    the number of batches in a pass, None until it is known. `start_s` are the seconds to the first batch of
    a case's first pass; of its second pass where the workers persist. `current` is the batch taken last.

    Args:
        loader: a `Workload`'s.
        unpack: a `Workload`'s.

    Raises:
        RecipeError: the function that returns the loader raised an error, or returned something else.
    """

    def __init__(self, loader: Any, unpack: Callable[[Any], Pair] | None = None) -> None:
        made = _made(loader)
        generator = getattr(made, "generator", None)
        self._generator = (generator, generator.get_state()) if generator is not None else None
        self._loader = _own(made)
        self._unpack = unpack
        self._left_s: Callable[[], float] = _never
        self._clock: Callable[[], float] = time.perf_counter
        self._iterator: Iterator[Any] | None = None
        self._first: Any = _END
        self._taken = 0
        self.workers: int = getattr(made, "num_workers", 0)
        self._takes_timeout = isinstance(made, DataLoader) and self.workers > 0 and not made.timeout
        self.prefetched: int = self.workers * (getattr(made, "prefetch_factor", None) or 2)
        self.per_pass = _length(made)
        self.start_s: float | None = None
        self.current: Pair = (None, None)

    def begin(
        self, left_s: Callable[[], float] = _never, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        """Begin a case, whose first pass has the batches of every other case's.

        Args:
            left_s: returns the seconds that the case may still take. A worker that gives no batch for so long
                is taken to hang. A loader with a timeout of its own keeps that.
            clock: seconds.
        """
        self.close()
        self._left_s, self._clock, self.start_s = left_s, clock, None
        if self._generator is not None:
            generator, state = self._generator
            generator.set_state(state)

    def facts(self) -> dict[str, Any]:
        """Return ``loader_workers``, ``loader_batches`` and ``loader_start_s``, as far as they are known."""
        facts = {"workers": self.workers, "batches": self.per_pass, "start_s": self.start_s}
        return {f"loader_{name}": value for name, value in facts.items() if value is not None}

    def make_room(self, batches: int) -> None:
        """Start another pass if this one has fewer batches left, unless a whole pass has fewer, too.

        Without workers the first batch of such a pass is left out: it is loaded already.

        Raises:
            RecipeError: as `take`.
            CaseTimeout: as `take`.
        """
        self._limit()
        per_pass = math.inf if self.per_pass is None else self.per_pass
        left_out = self.workers == 0
        if self._iterator is None or per_pass - self._taken < batches <= per_pass - left_out:
            try:
                self._start_pass()
                if left_out:
                    self._first, self._taken = _END, 1
            except Exception as error:
                raise self._ended_by(error) from error

    def take(self) -> Pair:
        """Take the next batch, the first one of another pass where one has ended.

        Raises:
            RecipeError: the loader or a worker raised an error, or a worker died; one line states why.
            CaseTimeout: the workers gave no batch in time.
        """
        try:
            batch = self._next()
            self._taken += 1
            self.current = _pair(batch) if self._unpack is None else _unpacked(self._unpack, batch)
        except Exception as error:
            raise self._ended_by(error) from error
        return self.current

    def close(self) -> None:
        """End the workers, and wait for that."""
        iterator, self._iterator, self._first, self._taken = self._iterator, None, _END, 0
        # An error's traceback has references to it, and the loader has one if its workers persist.
        if _shut_down(iterator):
            self._loader = _without_workers(self._loader)

    def _ended_by(self, error: Exception) -> BreakevenError:
        """End the workers, and return why the case ends."""
        death = None
        if isinstance(error, OSError | EOFError):
            death = death_of_a_worker(getattr(self._iterator, "_workers", ()))
        reason = reason_of(death or error)
        if isinstance(reason, CaseTimeout):
            _kill_workers(self._iterator)
        self.close()
        return reason

    def _limit(self) -> None:
        """Let torch wait for a worker until the case ends, and no longer."""
        left_s = self._left_s()
        if self._takes_timeout and math.isfinite(left_s):
            self._loader.timeout = max(1, math.ceil(left_s))
            if self._iterator is not None:  # it has a copy
                self._iterator._timeout = self._loader.timeout  # type: ignore[attr-defined]

    def _next(self) -> Any:
        if self._iterator is None:
            self._start_pass()
        if self._first is not _END:
            batch, self._first = self._first, _END
            return batch
        assert self._iterator is not None
        batch = next(self._iterator, _END)
        if batch is not _END:
            return batch
        self.per_pass = self._taken
        self._start_pass()
        return self._next()

    def _start_pass(self) -> None:
        """Start a pass, and have its first batch ready."""
        keeps_workers = getattr(self._loader, "persistent_workers", False)
        starts_each_time = not keeps_workers or self._iterator is not None
        if not keeps_workers:
            self.close()
        self._limit()
        start_s = self._clock()
        self._iterator, self._taken = iter(self._loader), 0
        self._first = next(self._iterator, _END)
        if self.start_s is None and starts_each_time:
            self.start_s = self._clock() - start_s
        if self._first is _END:
            raise RecipeError(
                "the loader is empty: a pass over it has no batch; check its dataset, sampler and drop_last"
            )


def with_first_batch(workload: Workload, timeout_s: float) -> Workload:
    """Return a workload that has only a loader with the loader's first batch; others as they are.

    It is taken as any other one is, by a worker where the loader has workers, because a dataset may need what
    `worker_init_fn` does.

    Args:
        workload: with or without a batch.
        timeout_s: the seconds after which a worker is taken to hang.

    Raises:
        RecipeError: the loader gives none, or gives something that no model takes.
        CaseTimeout: the workers gave none in time.
    """
    if workload.loader is None or workload.batches or workload.inputs is not None:
        return workload
    batches = Batches(workload.loader, workload.unpack)
    batches.begin(lambda: timeout_s)
    try:
        inputs, targets = map_tensors(duplicate, batches.take())  # out of the memory shared with the worker
    finally:
        batches.close()
    if not any(map(is_movable, flat(inputs))):
        raise RecipeError(
            f"the loader's first batch has {kind(inputs)} for inputs, expected a tensor or an object with a "
            "method to(); let Workload(unpack=...) return (inputs, targets)"
        )
    try:
        return replace(workload, inputs=inputs, targets=targets)
    except UsageError as error:
        raise RecipeError(f"the loader's first batch: {error}") from error


def _made(loader: Any) -> Any:
    """Return the loader, or the one that a function returns."""
    if isinstance(loader, DataLoader):
        return loader
    try:
        made = loader()
    except Exception as error:
        raise reason_of(error) from error
    if not hasattr(made, "__iter__") or hasattr(made, "__next__"):
        raise RecipeError(
            f"Workload(loader=...) returned {kind(made)}, expected a torch.utils.data.DataLoader; let the "
            "function return it, not an iterator over it"
        )
    return made


def _own(loader: Any) -> Any:
    """Return a copy of a `DataLoader`, whose workers end with this process; another loader as it is."""
    if not isinstance(loader, DataLoader):
        return loader
    own = _without_workers(loader)
    own.worker_init_fn = partial(_begin_worker, loader.worker_init_fn)
    return own


def _without_workers(loader: Any) -> Any:
    """Return a copy of a `DataLoader` that does not refer to workers which persist."""
    own = copy.copy(loader)
    own._iterator = None
    return own


def _kill_workers(iterator: Any) -> None:
    """Kill workers that hang: torch would wait 5 seconds for each of them."""
    handler = signal.getsignal(signal.SIGCHLD)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # torch's raises an error where a worker is killed
    for worker in getattr(iterator, "_workers", ()):
        worker.kill()
        worker.join()
    _shut_down(iterator)
    signal.signal(signal.SIGCHLD, handler)


def _shut_down(iterator: Any) -> bool:
    """End the workers of torch's own iterator, and return whether it has some."""
    shut_down = getattr(iterator, "_shutdown_workers", None)
    if shut_down is not None:
        shut_down()
    return shut_down is not None


def _begin_worker(init: Callable[[int], object] | None, worker: int) -> None:
    """Begin a worker as it begins in a training script, where garbage is collected."""
    end_with_parent()
    gc.enable()
    if init is not None:
        init(worker)


def _length(loader: Any) -> int | None:
    try:
        return len(loader)
    except TypeError:  # it is iterable, and knows no length
        return None


def _pair(batch: Any) -> Pair:
    """Return a tuple or list of two as it is, and anything else as inputs without targets."""
    if isinstance(batch, tuple | list) and len(batch) == 2 and not is_movable(batch):
        return batch[0], batch[1]
    return batch, None


def _unpacked(unpack: Callable[[Any], Pair], batch: Any) -> Pair:
    pair = unpack(batch)
    if not isinstance(pair, tuple | list) or len(pair) != 2:
        raise RecipeError(
            f"Workload(unpack=...) returned {kind(pair)}, expected a pair; return (inputs, targets)"
        )
    return pair[0], pair[1]
