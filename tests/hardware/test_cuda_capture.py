"""The state after a capture of CUDA graphs, on a fake `torch.cuda`; `test_on_cuda` uses the real one."""

import warnings
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import torch

from breakeven.case import OutcomeKind
from breakeven.hardware import cuda_capture
from breakeven.hardware.cuda_capture import CudaGraphs
from breakeven.measure.outcomes import outcome_of


class FakeCuda:
    """The part of `torch.cuda` that a capture uses: the current stream and the mode of synchronization."""

    def __init__(self):
        self.mode, self.device = 0, 0
        self.current = self.default = self.Stream(0)

    def current_device(self):
        return self.device

    def Stream(self, device):
        return SimpleNamespace(device=device, wait_stream=lambda _: None)

    def graph_pool_handle(self):
        return "pool"

    def current_stream(self):
        return self.current

    def set_stream(self, stream):
        self.current = stream

    @contextmanager
    def stream(self, stream):
        before, self.current = self.current, stream
        yield
        self.current = before  # skipped if the work raises, as in a real capture

    def get_sync_debug_mode(self):
        return self.mode

    def set_sync_debug_mode(self, mode):
        warnings.warn("Synchronization debug mode is a prototype feature", UserWarning, stacklevel=2)
        self.mode = mode

    def CUDAGraph(self):
        return SimpleNamespace(replay=lambda: None)

    def graph(self, graph, pool, stream):
        return self.stream(stream)


@pytest.fixture
def cuda(monkeypatch):
    fake = FakeCuda()
    monkeypatch.setattr(torch, "cuda", fake)
    cuda_capture._stream_of.cache_clear()
    yield fake
    cuda_capture._stream_of.cache_clear()


def test_eager_work_and_capture_share_a_stream(cuda):
    """Autograd remembers the stream on which a weight was used."""
    recorder, streams = CudaGraphs(), []
    recorder.run_eagerly(lambda: streams.append(cuda.current))
    recorder.capture(lambda: streams.append(cuda.current))
    assert streams[0] is streams[1] is not cuda.default
    assert cuda.current is cuda.default


def test_second_call_must_not_wait(cuda):
    """The first call may wait: libraries and optimizers allocate there what they need."""
    recorder, modes = CudaGraphs(), []
    for _ in range(3):
        recorder.run_eagerly(lambda: modes.append(cuda.mode))
        modes.append(cuda.mode)
    assert modes == [0, 0, "error", 0, "error", 0]


def test_refused_work_restores_the_mode(cuda):
    recorder = CudaGraphs()
    recorder.run_eagerly(lambda: None)
    cuda.mode = 1

    def waits():
        raise RuntimeError("called a synchronizing CUDA operation")

    with pytest.raises(RuntimeError, match="synchronizing"):
        recorder.run_eagerly(waits)
    assert cuda.mode == 1


def test_a_failed_capture_restores_the_stream(cuda):
    def fails():
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="capturing"):
        CudaGraphs().capture(fails)
    assert cuda.current is cuda.default


def test_one_capture_stream_per_device(cuda):
    """cuBLAS keeps a workspace for each stream, which would count in the peak memory of later cases."""
    seen = []
    for device in (0, 0, 1, 0):
        cuda.device = device
        CudaGraphs().run_eagerly(lambda: seen.append(cuda.current))
    assert [stream.device for stream in seen] == [0, 0, 1, 0]
    assert seen[0] is seen[1] is seen[3]


@pytest.mark.parametrize(
    "words",
    [
        "operation failed due to a previous error during capture",
        "operation not permitted when stream is capturing",
        "operation would make the legacy stream depend on a capturing blocking stream",
        "capturing stream has unjoined work",
    ],
)
def test_a_broken_capture_counts_as_a_crash(words):
    """Torch's allocator would fail at the next case's release of memory."""
    error = RuntimeError(f"CUDA error: {words}\nCUDA kernel errors might be asynchronously reported")
    assert outcome_of(error) is OutcomeKind.CRASHED
