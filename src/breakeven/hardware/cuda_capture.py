"""Work that is recorded once and done again as a whole: CUDA graphs, and what a device needs to have them.

Owns the streams and the memory that a recording lives in. Refuses to know what is recorded.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, Protocol

import torch


class Recorder(Protocol):
    """How a device records work once, to do it again without the host's queueing it piece by piece."""

    def aside(self, work: Callable[[], None]) -> None:
        """Do the work as usual, but where it will be recorded: what is made lazily must exist by then.

        Raises:
            RuntimeError: not in the first call, the work waits for the device, which no recording can hold.
        """

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the work and return what does it again, on the same memory.

        Recordings of one recorder share memory: do them again in the order in which they were made.
        """


@cache
def _stream_of(index: int) -> Any:
    """Return the stream on which a device records, the same in the whole process.

    cuBLAS keeps a workspace for each stream and thread until the process ends, 32 MiB on some GPUs: a stream
    for each recording would add that to the peak memory of every case after it.
    """
    cuda: Any = torch.cuda
    return cuda.Stream(index)


class CudaGraphs:
    """Records CUDA graphs: all on the device's stream for that, and in one pool of memory of its own."""

    def __init__(self) -> None:
        cuda: Any = torch.cuda
        self._stream, self._pool = _stream_of(cuda.current_device()), cuda.graph_pool_handle()
        self._done = False

    def aside(self, work: Callable[[], None]) -> None:
        """Do the work on the stream of the recordings: autograd remembers on which stream a weight was.

        From the second call on torch raises where the work waits for the device: the same mistake within a
        capture leaves CUDA in a state that costs the following cases theirs.
        """
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream), _waiting_refused() if self._done else nullcontext():
            work()
        torch.cuda.current_stream().wait_stream(self._stream)
        self._done = True

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture the work, which does not do it; the graph returned is launched on the current stream."""
        graph: Any = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                work()
        finally:
            torch.cuda.set_stream(current)  # a capture that fails leaves its own one current
        replay: Callable[[], None] = graph.replay
        return replay


@contextmanager
def _waiting_refused() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls this mode a prototype, which may overlook some waiting
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode(before)
