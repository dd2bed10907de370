"""How CUDA graphs are recorded: on which stream, what is refused, what is put back. Torch is played here."""

import warnings
from contextlib import contextmanager

import pytest
import torch

from breakeven.hardware import cuda_capture
from breakeven.hardware.cuda_capture import CudaGraphs
from breakeven.measure.outcomes import outcome_of


class PlayedStream:
    def __init__(self, name, log):
        self.name, self.log = name, log

    def wait_stream(self, other):
        self.log.append(f"{self.name} waits for {other.name}")


class PlayedCuda:
    """The part of `torch.cuda` that recording uses; writes down in which order it was asked."""

    def __init__(self):
        self.log, self.mode, self.device = [], 0, 0
        self.current = self.default = PlayedStream("default", self.log)

    def current_device(self):
        return self.device

    def Stream(self, device):
        return PlayedStream(f"side{device or ''}", self.log)

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
        self.current = before  # left out where the work raises, as the real capture does

    def get_sync_debug_mode(self):
        return self.mode

    def set_sync_debug_mode(self, mode):
        warnings.warn("Synchronization debug mode is a prototype feature", UserWarning, stacklevel=2)
        self.mode = mode

    def CUDAGraph(self):
        cuda = self

        class Graph:
            def replay(self):
                cuda.log.append("replayed")

        return Graph()

    @contextmanager
    def graph(self, graph, pool, stream):
        assert pool == "pool"
        with self.stream(stream):
            yield


@pytest.fixture
def cuda(monkeypatch):
    played = PlayedCuda()
    monkeypatch.setattr(torch, "cuda", played)
    cuda_capture._stream_of.cache_clear()
    yield played
    cuda_capture._stream_of.cache_clear()


def test_steps_aside_run_on_the_stream_of_the_recording_and_both_streams_wait(cuda):
    recorder = CudaGraphs()
    recorder.aside(lambda: cuda.log.append(f"work on {cuda.current.name}"))
    assert cuda.log == ["side waits for default", "work on side", "default waits for side"]
    recorder.record(lambda: cuda.log.append(f"recorded on {cuda.current.name}"))()
    assert cuda.log[3:] == ["recorded on side", "replayed"]
    assert cuda.current is cuda.default


def test_waiting_for_the_device_is_refused_from_the_second_step_on_and_only_in_it(cuda):
    """The first step may wait: libraries and optimizers make there what they need."""
    recorder, modes = CudaGraphs(), []
    for _ in range(3):
        recorder.aside(lambda: modes.append(cuda.mode))
        modes.append(cuda.mode)
    assert modes == [0, 0, "error", 0, "error", 0]


def test_a_step_that_waits_leaves_the_mode_as_it_was(cuda):
    recorder = CudaGraphs()
    recorder.aside(lambda: None)
    cuda.mode = 1

    def waits():
        raise RuntimeError("called a synchronizing CUDA operation")

    with pytest.raises(RuntimeError, match="synchronizing"):
        recorder.aside(waits)
    assert cuda.mode == 1


def test_a_capture_that_fails_does_not_leave_its_stream_current(cuda):
    def fails():
        raise RuntimeError("operation not permitted when stream is capturing")

    with pytest.raises(RuntimeError, match="capturing"):
        CudaGraphs().record(fails)
    assert cuda.current is cuda.default


def test_all_recordings_of_a_device_share_one_stream(cuda):
    """cuBLAS keeps a workspace for each, which would count in the peak memory of what is measured later."""
    seen = []
    for device in (0, 0, 1, 0):
        cuda.device = device
        CudaGraphs().aside(lambda: seen.append(cuda.current))
    assert [stream.name for stream in seen] == ["side", "side", "side1", "side"]
    assert len(set(seen)) == 2


@pytest.mark.parametrize(
    "words",
    [
        "operation failed due to a previous error during capture",
        "operation not permitted when stream is capturing",
        "operation would make the legacy stream depend on a capturing blocking stream",
        "capturing stream has unjoined work",
    ],
)
def test_a_capture_that_broke_takes_the_device_out_of_the_run(words):
    """Torch's allocator would fail at the next case's release of memory."""
    error = RuntimeError(f"CUDA error: {words}\nCUDA kernel errors might be asynchronously reported")
    assert outcome_of(error) == "crashed"
