"""What a step does on an accelerator, compared with numbers worked by hand; it is counted without one."""

from functools import partial

import pytest
import torch
from torch import nn

from breakeven.case import CaseKey
from breakeven.measure import counts
from breakeven.measure.counts import (
    CLOSURE,
    COMPILED,
    MAX_COUNT_S,
    TOO_LONG,
    CountedModels,
    count_step,
    counted_facts,
)
from breakeven.measure.fused_operators import RNN_LAUNCHES
from breakeven.measure.operators import CHUNK, MAX_CHUNKS, launches
from breakeven.measure.simulated import SimulatedClock
from breakeven.measure.workload import Workload
from breakeven.phases import Phase

SGD = partial(torch.optim.SGD, lr=0.1)
N, IN, OUT = 3, 5, 7
"""Samples, inputs and outputs of the layers below."""


def workload(model=None, inputs=None, loss=None, optimizer=SGD, targets=None, **fields):
    inputs = torch.ones(N, IN) if inputs is None and "batches" not in fields else inputs
    return Workload(
        model or nn.Linear(IN, OUT), loss or (lambda outputs, _: outputs.sum()), optimizer, inputs, targets,
        **fields,
    )  # fmt: skip


def layer(dtype=torch.float32, width=IN):
    return nn.Linear(width, OUT, dtype=dtype)


def operators(what):
    counted = count_step(what)
    assert not isinstance(counted, str), counted
    return {part: counts.operators for part, counts in counted.parts.items() if counts.operators}


def work(what, part):
    counted = count_step(what).parts[part]
    return counted.operators, dict(counted.flops), counted.moved_bytes


def test_one_layer():
    """Forward: the product with its bias, and the sum. Backward: the gradients of both. Step: one launch."""
    weights = IN * OUT + OUT
    product = 2 * N * IN * OUT
    floats = N * IN + weights + N * OUT  # read and written by the product
    assert work(workload(), "forward") == (2, {"float32": product}, 4 * (floats + N * OUT + 1))
    backward_operators, backward_flops, _ = work(workload(), "backward")
    # The gradients of the sum (a one), of the weights (a product), and of the bias (a sum).
    assert (backward_operators, backward_flops) == (3, {"float32": product})
    assert work(workload(), "step") == (1, {}, 4 * 3 * weights)  # reads both, writes the weights


def test_nothing_else_launches():
    counted = count_step(workload())
    assert [counted.parts[part].operators for part in ("transfer", "zero_grad")] == [0, 0]


def test_views_launch_nothing():
    class Reshapes(nn.Linear):
        def forward(self, inputs):
            return super().forward(inputs.view(1, N, IN).transpose(0, 1)[:, 0]).unsqueeze(0).squeeze()

    assert operators(workload(Reshapes(IN, OUT))) == operators(workload())


@pytest.mark.parametrize(
    ("optimizer", "launched"),
    [
        (partial(SGD, foreach=False), 2),  # an operator for each of two tensors
        (SGD, 1),  # one for the list of them, as on a GPU by default
        (partial(SGD, momentum=0.9), 3),
        (torch.optim.Adam, 7),
        (partial(torch.optim.AdamW, foreach=False), 2 * 8),
        (partial(torch.optim.Adam, fused=True), 2),  # the weights, and the numbers of steps
        (partial(torch.optim.SGD, lr=0.1, fused=True), 2),
    ],
    ids=["loop", "lists", "momentum", "adam", "adamw loop", "fused adam", "fused sgd"],
)
def test_optimizers(optimizer, launched):
    assert operators(workload(optimizer=optimizer))["step"] == launched


def test_fused_optimizer_reads_everything_once():
    weights = 4 * (IN * OUT + OUT)
    assert work(workload(optimizer=partial(torch.optim.Adam, fused=True)), "step")[2] == 7 * weights


def own_step(training):
    training.optimizer.zero_grad()
    loss = training.model(training.inputs).sum()
    loss.backward()
    training.optimizer.step()
    return loss


def test_fused_optimizer_in_a_step_of_ones_own():
    whole, own = (
        count_step(workload(optimizer=partial(torch.optim.Adam, fused=True), training_step=step))
        for step in (None, own_step)
    )
    assert own.of(Phase.TRAIN).operators == whole.of(Phase.TRAIN).operators == 5 + 2
    assert own.of(Phase.TRAIN).moved_bytes == whole.of(Phase.TRAIN).moved_bytes


def test_clipping_before_a_fused_optimizer():
    plain, clipped = (
        operators(workload(optimizer=partial(SGD, fused=fused), clip_grad_norm=1.0))["step"]
        for fused in (False, True)
    )
    assert clipped - plain == 2 - 1


@pytest.mark.parametrize(
    "options", [{"capturable": True}, {"lr": torch.tensor(0.1)}, {"amsgrad": True}], ids=str
)
def test_options_of_optimizers(options):
    """One that can be captured as the others; a tensor as the rate updates one weight after the other."""
    assert operators(workload(optimizer=partial(torch.optim.Adam, **options)))["step"] in (7, 8, 14)


DENSE = sorted(
    name for name, made in vars(torch.optim).items()
    if isinstance(made, type) and name not in ("Optimizer", "LBFGS", "SparseAdam")
)  # fmt: skip


@pytest.mark.parametrize("name", DENSE)
def test_every_optimizer(name):
    model = nn.Linear(IN, OUT, bias=name != "Muon")  # which takes matrices only
    assert operators(workload(model, optimizer=partial(getattr(torch.optim, name), lr=0.1)))["step"] >= 1


def test_launches_of_lists():
    """A launch takes so many tensors and so many pieces of them."""
    small = [torch.empty(1)] * 110
    assert [launches(small[:count] + small[: count - 110], 1) for count in (110, 111)] == [1, 2]
    assert [launches(small[:64], lists) for lists in (2, 3, 4, 5)] == [1, 2, 2, 3]
    large = torch.empty(CHUNK * MAX_CHUNKS, device="meta")
    assert [launches([large], 2), launches([large, small[0]], 2)] == [1, 2]


def test_autocast_casts():
    """Forward: input, weight and bias; backward: both gradients, back to float32."""
    plain, cast = (operators(workload(autocast=dtype)) for dtype in (None, torch.bfloat16))
    assert cast["forward"] - plain["forward"] == 3
    assert cast["backward"] - plain["backward"] == 2
    assert work(workload(autocast=torch.bfloat16), "forward")[1] == {"bfloat16": 2 * N * IN * OUT}


def test_weights_are_cast_once_in_a_step():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.one = nn.Linear(IN, IN)

        def forward(self, inputs):
            return self.one(self.one(inputs))

    plain, cast = (operators(workload(Twice(), autocast=dtype)) for dtype in (None, torch.float16))
    assert cast["forward"] - plain["forward"] == 3  # the second product's input is in float16 already


def test_autocast_computes_losses_in_float32():
    model = nn.Linear(IN, OUT)
    loss = nn.CrossEntropyLoss()
    targets = torch.zeros(N, dtype=torch.int64)
    plain, cast = (
        operators(workload(model, loss=loss, targets=targets, autocast=dtype))
        for dtype in (None, torch.bfloat16)
    )
    assert cast["forward"] - plain["forward"] == 3 + 1


@pytest.mark.parametrize(("kind", "gates"), [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
@pytest.mark.parametrize(("layers", "both"), [(1, False), (2, True)])
@pytest.mark.parametrize("packed", [False, True])
def test_recurrent_layers_are_fused(kind, gates, layers, both, packed):
    """cuDNN takes a whole sequence at once; a product for each gate, of inputs and of the state."""
    steps, hidden, directions = 11, 2, 1 + both

    class Recurrent(nn.Module):
        def __init__(self):
            super().__init__()
            made = getattr(nn, kind)
            self.rnn = made(IN, hidden, layers, bias=False, batch_first=True, bidirectional=both)

        def forward(self, inputs):
            outputs = self.rnn(inputs)[0]
            return outputs.data if packed else outputs

    inputs = torch.ones(N, steps, IN)
    if packed:
        inputs = nn.utils.rnn.pack_padded_sequence(inputs, torch.full((N,), steps), batch_first=True)
    counted = count_step(workload(Recurrent(), inputs))
    widths = sum(directions * (hidden * directions if index else IN) for index in range(layers))
    weights = gates * hidden * (widths + layers * directions * hidden)
    forward, backward = counted.parts["forward"], counted.parts["backward"]
    assert forward.flops == {"tf32": 2 * N * steps * weights}
    assert backward.flops == {"tf32": 2 * 2 * N * steps * weights}
    launched = RNN_LAUNCHES * layers * directions
    assert launched < forward.operators < launched + 9
    assert forward.kernels - forward.operators == 2 * layers * directions * steps
    assert backward.kernels - backward.operators == launched + 4 * layers * directions * steps
    assert forward.moved_bytes > 4 * steps * weights


class Attends(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(IN, OUT)

    def forward(self, inputs):
        one = self.layer(inputs)
        return nn.functional.scaled_dot_product_attention(one, one, one)


@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_dropout_is_fused(dtype):
    """One operator in each direction, instead of a random mask that is scaled and multiplied."""
    plain, dropped = (
        operators(workload(nn.Sequential(nn.Linear(IN, OUT), nn.Dropout(part)), autocast=dtype))
        for part in (0.0, 0.5)
    )
    assert dropped["forward"] - plain["forward"] == 1
    # Without it, the gradient of the sum is a view.
    assert dropped["backward"] - plain["backward"] == 1


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("kind", ["Conv", "ConvTranspose"])
def test_autocast_casts_before_a_convolution_checks_dtypes(kind, rank):
    """The second layer's input is in the dtype already, its weights are not."""
    made = getattr(nn, f"{kind}{rank}d")
    model = nn.Sequential(made(2, 2, 1), made(2, 2, 1))
    inputs = torch.ones(N, 2, *[4] * rank)
    plain, cast = (operators(workload(model, inputs, autocast=one)) for one in (None, torch.bfloat16))
    assert cast["forward"] - plain["forward"] == 3 + 2
    assert set(work(workload(model, inputs, autocast=torch.bfloat16), "backward")[1]) == {"bfloat16"}


class Region(nn.Module):
    """Computes under autocast by itself."""

    def __init__(self, device_type, dtype=torch.bfloat16, again=False):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(IN, IN), nn.ReLU(), nn.Linear(IN, OUT))
        self.device_type, self.dtype, self.again = device_type, dtype, again

    def forward(self, inputs):
        device_type = self.device_type or inputs.device.type
        with torch.autocast(device_type, dtype=self.dtype, enabled=self.dtype is not None):
            if self.again:
                return torch.utils.checkpoint.checkpoint(self.layers, inputs, use_reentrant=False)
            return self.layers(inputs)


@pytest.mark.parametrize("device_type", ["cuda", None])
def test_autocast_of_the_model(device_type):
    made = Region(device_type)
    assert operators(workload(made)) == operators(workload(made.layers, autocast=torch.bfloat16))
    assert torch.autocast("cpu").fast_dtype is torch.bfloat16  # torch's own again


def test_autocast_of_the_model_that_is_computed_again():
    plain, again = (count_step(workload(Region("cuda", again=again))) for again in (False, True))
    forward, backward = plain.parts["forward"].flops, again.parts["backward"].flops
    assert set(forward) == set(backward) == {"bfloat16"}
    of_last = 2 * N * IN * OUT  # its output is not needed again
    assert backward.total() == plain.parts["backward"].flops.total() + forward.total() - of_last


def test_what_comes_before_autocast():
    """In each step, not only in the first."""
    found = count_step(workload(nn.Sequential(nn.Linear(IN, IN), Region("cuda")))).parts["forward"].flops
    assert found == {"float32": 2 * N * IN * IN, "bfloat16": 2 * N * IN * (IN + OUT)}


def test_a_part_without_autocast():
    found = count_step(workload(Region("cuda", dtype=None), autocast=torch.bfloat16))
    assert set(found.parts["forward"].flops) == {"float32"}


class Biased(nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(N, N))

    def forward(self, inputs):
        return nn.functional.scaled_dot_product_attention(inputs, inputs, inputs, attn_mask=self.bias)


def test_attention_with_a_trained_bias():
    """Its gradient is there, so that its optimizer updates it."""
    assert operators(workload(Biased(), torch.ones(2, N, IN)))["step"] == 1


def test_attention_is_fused():
    """One operator forward, two backward, instead of products, a softmax and their gradients."""
    samples, length = 2, 11
    of_layer = 2 * samples * length * IN * OUT
    of_product = 2 * samples * length * length * OUT
    counted = count_step(workload(Attends(), torch.ones(samples, length, IN)))
    forward, backward = counted.parts["forward"], counted.parts["backward"]
    assert (forward.operators, forward.flops) == (1 + 1 + 1, {"float32": of_layer + 2 * of_product})
    assert backward.flops == {"float32": of_layer + 5 * of_product}


def test_convolutions_are_in_tf32_by_default():
    """As torch has it on a GPU: convolutions and recurrent layers are, other products are not."""
    images = torch.ones(2, 3, 8, 8)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(4 * 36, 2))
    assert set(work(workload(model, images), "forward")[1]) == {"tf32", "float32"}
    assert set(work(workload(model, images, tf32=True), "forward")[1]) == {"tf32"}
    assert set(work(workload(model, images, tf32=False), "forward")[1]) == {"float32"}


def test_a_table_is_read_where_it_is_looked_up():
    rows, width = 10_000, 4
    model = nn.Embedding(rows, width)
    forward = work(workload(model, torch.zeros(N, dtype=torch.int64)), "forward")
    assert forward == (2, {}, 2 * 4 * N * width + 8 * N + 4 * (N * width + 1))


def test_accumulated_passes():
    """A step of several passes does them all; the phases of a pass do one."""
    pair = (torch.ones(N, IN), None)
    one, four = (count_step(workload(batches=[pair] * count, accumulate=count)) for count in (1, 4))
    assert four.parts["forward"].flops["float32"] == 4 * one.parts["forward"].flops["float32"]
    assert four.of(Phase.FORWARD).flops == one.of(Phase.FORWARD).flops
    assert four.of(Phase.TRAIN).flops["float32"] == 4 * one.of(Phase.TRAIN).flops["float32"]
    assert four.of(Phase.STEP).operators == one.of(Phase.STEP).operators == 1


def test_batches_of_different_shapes():
    """The mean over them."""
    batches = [(torch.ones(size, IN), None) for size in (2, 4)]
    counted = count_step(workload(batches=batches))
    assert counted.parts["forward"].flops == {"float32": 2 * 3 * IN * OUT}


def test_scaler_and_clipping():
    plain = operators(workload(autocast=torch.float16))["step"]
    scaled = operators(workload(autocast=torch.float16, grad_scaler=True))["step"]
    assert scaled - plain == counts.SCALER_OPERATORS
    assert operators(workload(clip_grad_norm=1.0))["step"] > plain


def test_own_step():
    whole = count_step(workload(training_step=own_step))
    assert whole.of(Phase.TRAIN).operators == count_step(workload()).of(Phase.TRAIN).operators
    assert whole.of(Phase.FORWARD) is None


def test_captured_step_launches_once():
    plain, graph = (count_step(workload(cuda_graph=captured)).of(Phase.TRAIN) for captured in (False, True))
    assert (plain.operators, graph.operators) == (6, 1)
    assert plain.flops == graph.flops
    assert plain.moved_bytes == graph.moved_bytes
    assert plain.kernels == graph.kernels == 6


class Looks(nn.Linear):
    def forward(self, inputs):
        return super().forward(inputs) if inputs.sum().item() > 0 else inputs


def test_model_that_needs_data():
    """It is counted while it computes, its look at the data included."""
    found, plain = (count_step(workload(made)).parts["forward"] for made in (Looks(IN, OUT), layer()))
    assert found.flops == plain.flops
    assert found.operators == plain.operators + 1


def compiled():
    made = layer()
    made.compile(backend="eager")
    return made


class LooksAtTokens(nn.Module):
    """Looks at its inputs, at numbers that it makes, and masks; its weights have no data."""

    def __init__(self):
        super().__init__()
        self.table = nn.Embedding(9, OUT)

    def forward(self, tokens):
        assert self.table.weight.is_meta
        places = torch.arange(tokens.shape[1], device=self.table.weight.device)
        if (tokens == 0).any() or places[-1].item() != 4:
            raise ValueError
        return self.table(tokens) * (tokens > 1)[..., None]


def test_model_that_looks_at_its_tokens():
    """It is counted without arithmetic: compared are the operators that it has, and the looks."""
    found = count_step(workload(LooksAtTokens(), torch.ones(N, 5, dtype=torch.int64)))
    # The numbers, a comparison and `any`, another comparison, the table, the product, and the sum.
    assert found.parts["forward"].operators == 7
    assert found.parts["transfer"].operators == 0
    assert found.parts["forward"].moved_bytes > 2 * 4 * N * 5 * OUT


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        (workload(compile=True), COMPILED),
        (workload(nn.Sequential(compiled())), COMPILED),
        (workload(nn.Embedding(9, OUT, sparse=True), torch.zeros(N, dtype=torch.int64)), "layout"),
        (workload(optimizer=torch.optim.LBFGS), CLOSURE),
        (workload(nn.Linear(IN + 1, OUT)), "RuntimeError: mat1 and mat2 shapes cannot be"),
        (workload(loss=lambda *_: None), "the loss is None, expected one number"),
    ],
    ids=["compiled", "compiled part", "sparse", "closure", "fails", "no loss"],
)
def test_unknown(what, reason):
    """The reason is one line."""
    unknown = count_step(what)
    assert isinstance(unknown, str)
    assert reason in unknown
    assert "\n" not in unknown


def test_takes_too_long():
    clock = SimulatedClock()

    class Slow(nn.Linear):
        def forward(self, inputs):
            clock.advance(0.4 * MAX_COUNT_S)
            return super().forward(inputs)

    assert not isinstance(count_step(workload(Slow(IN, OUT)), clock), str)
    began_s = clock()
    assert count_step(workload(nn.Sequential(Slow(IN, IN), Slow(IN, IN), Slow(IN, IN))), clock) == TOO_LONG
    assert clock() - began_s < 2 * MAX_COUNT_S  # it is not tried with data as well


def test_counting_changes_nothing():
    model = nn.Sequential(nn.Linear(IN, OUT), nn.BatchNorm1d(OUT), nn.Dropout())
    what = workload(model)
    before = [one.clone() for one in (*model.state_dict().values(), what.inputs)]
    state = torch.get_rng_state()
    assert not isinstance(count_step(what), str)
    after = (*model.state_dict().values(), what.inputs)
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))
    assert all(one.grad is None and one.device.type == "cpu" for one in model.parameters())
    assert torch.equal(torch.get_rng_state(), state)
    assert nn.LSTM(2, 2)(torch.ones(1, 2))[0].shape == (1, 2)  # torch's own again


# ---------------------------------------------------------------------------------------------------
# In a run.


def cell(batch_size):
    return CaseKey.of("linear", batch_size, "train", "cpu").cell


@pytest.fixture
def counted(monkeypatch):
    """Collect the batch sizes that are counted."""
    sizes = []

    def note(what, *rest):
        sizes.append(len(what.inputs))
        return count_step(what, *rest)

    monkeypatch.setattr(counts, "count_step", note)
    return sizes


def facts(models, size, loss=None):
    return models.facts(cell(size), Phase.TRAIN, workload(inputs=torch.ones(size, IN), loss=loss))


def test_other_batch_sizes_are_on_a_line(counted):
    models = CountedModels()
    found = [facts(models, size) for size in (1, 4, 16, 64, 2, 64)]
    assert counted == [1, 4, 16]
    alone = [facts(CountedModels(), size) for size in (1, 4, 16, 64, 2, 64)]
    assert found == alone


def test_what_is_not_on_a_line_is_counted(counted):
    """A product of all pairs of samples grows with their square."""

    def pairs(outputs, _):
        return (outputs @ outputs.T).sum()

    models = CountedModels()
    found = [facts(models, size, pairs) for size in (1, 4, 16, 64, 8)]
    assert counted == [1, 4, 16, 64, 8]
    first, second, *_, last = (found[place]["flops_by_format"]["float32"] for place in (0, 1, 2, 4))
    assert last == 2 * 8 * IN * OUT * 2 + 3 * 2 * 8 * 8 * OUT
    assert second > 4 * first


def test_one_model_that_cannot_be_counted_is_tried_once(counted):
    models = CountedModels()
    found = [facts(models, size, lambda *_: None) for size in (1, 2)]
    assert [set(one) for one in found] == [{"operators_unknown"}] * 2
    assert counted == [1]


def test_facts():
    counts = count_step(workload())
    assert counted_facts(counts, Phase.TRAIN) == {
        "operators": 6,
        "flops_by_format": {"float32": 2 * 2 * N * IN * OUT},
        "moved_bytes": round(counts.of(Phase.TRAIN).moved_bytes),
    }
    assert counted_facts(counts, Phase.STEP) == {"operators": 1}
    assert counted_facts(counts, Phase.INFER) == counted_facts(counts, Phase.TRANSFER) == {}
    assert counted_facts(counts, Phase.EPOCH) == counted_facts(counts, Phase.TRAIN)


def test_no_facts_of_what_does_not_train():
    models = CountedModels()
    for phase in (Phase.TRANSFER, Phase.INFER, Phase.LOAD, Phase.TRAIN_NO_SYNC):
        assert models.facts(cell(N), phase, workload(compile=True)) == {}
