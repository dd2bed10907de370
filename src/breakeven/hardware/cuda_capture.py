"""CUDA graphs: capturing work once and replaying it as a whole."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import cache
from typing import Any, Protocol

import torch


class GraphRecorder(Protocol):
    """How a device captures work, to replay it without the host queueing it piece by piece."""

    def run_eagerly(self, work: Callable[[], object]) -> None:
        """Do the work without a graph, on the capture stream, so that lazy allocations happen now.

        Raises:
            RuntimeError: from the second call on, if the work waits for the device: a graph cannot.
        """

    def capture(self, work: Callable[[], object]) -> Callable[[], None]:
        """Capture the work and return what replays it, on the same memory.

        The graphs of one recorder share memory: replay them in the order in which they were captured.
        """


@cache
def _stream_of(index: int) -> Any:
    """Return the stream on which a device captures, the same in the whole process.

    cuBLAS keeps a workspace for each stream and thread until the process ends, 32 MiB on some GPUs: a stream
    for each capture would add that to the peak memory of every later case.
    """
    cuda: Any = torch.cuda
    return cuda.Stream(index)


class CudaGraphs:
    """Captures CUDA graphs on the device's capture stream, in a separate memory pool."""

    def __init__(self) -> None:
        cuda: Any = torch.cuda
        self._stream, self._pool = _stream_of(cuda.current_device()), cuda.graph_pool_handle()
        self._ran_once = False

    def run_eagerly(self, work: Callable[[], object]) -> None:
        """Do the work on the capture stream: autograd remembers the stream on which a weight was used.

        From the second call on torch raises if the work waits for the device; the same mistake in a capture
        would break CUDA for the following cases.
        """
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream), _waiting_refused() if self._ran_once else nullcontext():
            work()
        torch.cuda.current_stream().wait_stream(self._stream)
        self._ran_once = True

    def capture(self, work: Callable[[], object]) -> Callable[[], None]:
        """Capture the work without running it; the replay is launched on the current stream."""
        graph: Any = torch.cuda.CUDAGraph()
        current = torch.cuda.current_stream()
        try:
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
                work()
        finally:
            torch.cuda.set_stream(current)  # a failed capture leaves its stream current
        replay: Callable[[], None] = graph.replay
        return replay


@contextmanager
def _waiting_refused() -> Iterator[None]:
    before = torch.cuda.get_sync_debug_mode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns that this mode is a prototype
        torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.cuda.set_sync_debug_mode(before)
