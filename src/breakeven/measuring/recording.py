"""Work that is recorded once and done again as a whole: CUDA graphs, and what a device needs to have them.

Owns the streams and the memory that a recording lives in. Refuses to know what is recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import torch


class Recorder(Protocol):
    """How a device records work once, to do it again without the host's queueing it piece by piece."""

    def aside(self, work: Callable[[], None]) -> None:
        """Do the work as usual, but where it will be recorded: what is made lazily must exist by then."""

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Record the work and return what does it again, on the same memory.

        Recordings of one recorder share memory: do them again in the order in which they were made.
        """


class CudaGraphs:
    """Records CUDA graphs: all on one stream of its own, and in one pool of memory."""

    def __init__(self) -> None:
        cuda: Any = torch.cuda
        self._stream, self._pool = cuda.Stream(), cuda.graph_pool_handle()

    def aside(self, work: Callable[[], None]) -> None:
        """Do the work on the stream of the recordings: autograd remembers on which stream a weight was."""
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            work()
        torch.cuda.current_stream().wait_stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """Capture the work, which does not do it; the graph returned is launched on the current stream."""
        graph: Any = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, pool=self._pool, stream=self._stream):
            work()
        replay: Callable[[], None] = graph.replay
        return replay
