"""Every synchronization waits for known work, on the simulated device and on a GPU."""

from statistics import median

import pytest

from breakeven.case import Budget, CaseKey
from breakeven.measure.cuda_graphs import make_trainer, prepare_graphs
from breakeven.measure.parts import enqueue_seconds, part_seconds
from breakeven.measure.runner import Runner
from breakeven.measure.timing import Round, time_once, time_round
from breakeven.phases import Phase
from support.known_work import COSTS, DEVICES, PHASE_COSTS, known, trainer_on
from support.small_workloads import PHASES

BUSY = 64
"""Units of work that are queued before and must not be timed: more than a whole step."""

ALMOST_NOTHING = 0.3
"""The share of known work that may be read without synchronizing; a simulated launch is a quarter unit."""


@pytest.fixture(scope="module", params=DEVICES)
def where(request):
    return known(request.param)


def latencies(round_, where, rounds=3):
    return [time_round(round_, where.clock).latency_s for _ in range(rounds)]


@pytest.mark.parametrize("phase", PHASES)
def test_round_reads_its_phase(where, phase):
    trainer = trainer_on(where)
    seconds = median(latencies(Round(phase, trainer), where))
    assert where.reads(seconds, PHASE_COSTS[phase])


@pytest.mark.parametrize("phase", PHASES)
def test_round_without_synchronize(where, phase, monkeypatch):
    """It measures almost no time."""
    trainer = trainer_on(where)
    round_ = Round(phase, trainer)
    time_round(round_, where.clock)
    with monkeypatch.context() as patch:
        patch.setattr(round_, "synchronize", lambda: None)
        bare_s = min(latencies(round_, where))
    where.device.synchronize()
    assert bare_s <= ALMOST_NOTHING * PHASE_COSTS[phase] * where.unit_s


@pytest.mark.parametrize("phase", PHASES)
def test_queued_work_is_not_timed(where, phase):
    round_ = Round(phase, trainer_on(where))
    time_round(round_, where.clock)
    where.device.enqueue(BUSY)
    assert where.reads(time_round(round_, where.clock).latency_s, PHASE_COSTS[phase])


def test_preparation_without_synchronize(where, monkeypatch):
    """Without the first synchronization of a round, it includes the whole previous step."""
    round_ = Round(Phase.STEP, trainer_on(where))
    time_round(round_, where.clock)
    waits = [lambda: None, where.device.synchronize]
    monkeypatch.setattr(round_, "synchronize", lambda: waits.pop(0)())
    assert time_round(round_, where.clock).latency_s > 1.5 * COSTS.step * where.unit_s


def test_time_once(where):
    """From idle to idle."""
    trainer = trainer_on(where)
    where.device.enqueue(BUSY)
    assert where.reads(time_once(trainer.move_model, where.device, where.clock), COSTS.model_transfer)
    assert where.is_idle()


def test_initialize_leaves_the_device_idle(where):
    where.device.enqueue(BUSY)
    assert not where.is_idle()
    where.device.initialize()
    assert where.is_idle()


def test_part_seconds(where):
    trainer = trainer_on(where)
    where.device.enqueue(BUSY)
    shares = part_seconds(Phase.TRAIN, trainer, where.device.event_api(), rounds=3)
    assert where.shares(shares.pop("all"), COSTS.train)
    assert list(shares) == list(Phase.TRAIN.parts)
    assert all(where.shares(seconds, getattr(COSTS, name)) for name, seconds in shares.items())
    assert where.is_idle()


def test_enqueue_seconds(where):
    trainer = trainer_on(where)
    where.device.enqueue(BUSY)
    queued = enqueue_seconds(Phase.TRAIN, trainer, 3, where.clock)
    assert (
        0 < queued["enqueue_transfer_s"] < queued["enqueue_s"] <= ALMOST_NOTHING * COSTS.train * where.unit_s
    )
    assert where.is_idle()


def test_graphs_do_the_same_work(where):
    """With less queueing."""
    trainer = make_trainer(where.workload(cuda_graph=True), where.device)
    trainer.move_model()
    trainer.start()
    took = prepare_graphs(trainer, where.clock)
    inside = COSTS.forward + COSTS.backward + COSTS.step
    assert took.keys() == {"capture_s"}
    assert took["capture_s"] > 2.5 * inside * where.unit_s  # three steps before it
    seconds = {phase: median(latencies(Round(phase, trainer), where)) for phase in PHASES}
    for name in ("forward", "backward", "step"):
        assert where.reads(seconds[name], PHASE_COSTS[name])
    assert where.reads(seconds["train"], inside)
    graphed = enqueue_seconds(Phase.TRAIN, trainer, 5, where.clock)
    plain = enqueue_seconds(Phase.TRAIN, trainer_on(where), 5, where.clock)
    assert graphed["enqueue_s"] < plain["enqueue_s"]


@pytest.mark.parametrize("graphs", [False, True], ids=["eager", "graphs"])
def test_runner_reads_known_work(where, graphs):
    """The rounds, the parts of the device and the host, and one-time costs."""
    seen = []

    def time_rounds(round_, plan):
        seen.extend(time_round(round_, where.clock).latency_s for _ in range(6))

    budget = Budget(max_time_s=1e6 if where.unit_s == 1 else 2.0)
    runner = Runner(budget, where.clock)
    case = CaseKey.of("known", 1, "train", where.device.name)
    facts = runner.measure(case, where.device, lambda: where.workload(cuda_graph=graphs), time_rounds)
    runner.close()
    inside = COSTS.forward + COSTS.backward + COSTS.step if graphs else COSTS.train
    assert where.reads(median(seen), inside)
    assert where.shares(facts["device_time_s"], inside)
    assert 0 < facts["enqueue_transfer_s" if not graphs else "enqueue_s"] <= facts["enqueue_s"]
    assert facts["enqueue_s"] <= ALMOST_NOTHING * inside * where.unit_s
    assert where.reads(facts["model_transfer_s"], COSTS.model_transfer)
    assert facts["loss_compared"] is True
    assert ("capture_s" in facts) is graphs
