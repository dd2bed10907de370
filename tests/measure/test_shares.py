"""A rank's slice of a batch."""

import dataclasses

import pytest
import torch
from torch import nn

from breakeven.measure.outcomes import UnsupportedError
from breakeven.measure.shares import share_of
from breakeven.measure.tensors import tensors_in
from support.small_workloads import tiny


def workload(inputs, targets=None, host_inputs=()):
    targets = torch.zeros(8) if targets is None else targets
    return dataclasses.replace(tiny(8), inputs=inputs, targets=targets, host_inputs=host_inputs)


def shares(inputs, targets=None, host_inputs=(), size=2):
    return [share_of(workload(inputs, targets, host_inputs), 8, rank, size) for rank in range(size)]


@pytest.mark.parametrize("size", [1, 2, 4])
def test_consecutive_slices_are_the_whole_batch(size):
    whole = torch.arange(16.0).reshape(8, 2)
    found = shares(whole, torch.arange(8), size=size)
    assert torch.equal(torch.cat([one.inputs for one in found]), whole)
    assert torch.equal(torch.cat([one.targets for one in found]), torch.arange(8))
    assert {len(one.inputs) for one in found} == {8 // size}


def test_nested_inputs_keep_their_structure():
    inputs = {"x": torch.arange(8), "deep": (torch.arange(8), [torch.arange(8)]), "scale": 3, "no": None}
    second = shares(inputs)[1].inputs
    assert [tensor.tolist() for tensor in tensors_in(second)] == 3 * [[4, 5, 6, 7]]
    assert (second["scale"], second["no"], type(second["deep"])) == (3, None, tuple)


def test_targets_with_several_for_each_sample():
    """Tokens, sample by sample."""
    assert shares(torch.zeros(8, 3), torch.arange(24))[1].targets.tolist() == list(range(12, 24))


def test_inputs_on_the_host_are_divided_too():
    lengths = torch.arange(8)
    assert shares((torch.zeros(8, 3), lengths), host_inputs=(1,))[1].inputs[1].tolist() == [4, 5, 6, 7]
    plain = shares({"x": torch.zeros(8, 3), "n": list(range(8))}, host_inputs=("n",))[1].inputs
    assert plain["n"] == [4, 5, 6, 7]


def test_plain_values_elsewhere_are_the_same_on_every_rank():
    """The size of an image, for example, even with as many numbers as samples."""
    assert shares({"x": torch.zeros(8, 3), "n": list(range(8))})[1].inputs["n"] == list(range(8))
    on_host = shares({"x": torch.zeros(8, 3), "n": (224, 224)}, host_inputs=("n",))[1].inputs["n"]
    assert on_host == (224, 224)


def test_a_slice_does_not_keep_the_other_samples():
    first = shares(torch.zeros(8, 4))[0].inputs
    assert first.untyped_storage().nbytes() == 4 * 4 * 4


def test_gradients_of_inputs_stay_wanted():
    assert shares(torch.zeros(8, 4, requires_grad=True))[0].inputs.requires_grad


NO_SAMPLES = "cannot be divided among 2 ranks: its dimension 0 does not hold the 8 samples"


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        (torch.zeros(5, 8), f"a tensor of shape (5, 8) {NO_SAMPLES}"),
        ((torch.zeros(8), torch.tensor(1.0)), f"a tensor of shape () {NO_SAMPLES}"),
        (torch.eye(8).to_sparse(), f"a sparse_coo tensor of shape (8, 8) {NO_SAMPLES}"),
        (
            nn.utils.rnn.pack_sequence(8 * [torch.zeros(3)]),
            "a PackedSequence cannot be divided among 2 ranks",
        ),
    ],
)
def test_what_cannot_be_divided(inputs, reason):
    with pytest.raises(UnsupportedError) as error:
        shares(inputs)
    assert str(error.value).split("; ")[0] == reason


def with_batches(*sizes):
    batches = [(torch.arange(n), torch.arange(n * tokens)) for n, tokens in sizes]
    return dataclasses.replace(tiny(8), inputs=None, targets=None, batches=batches)


def test_batches_of_different_sizes():
    """Each is divided by its own number of samples, of which targets may have several."""
    second = share_of(with_batches((8, 1), (6, 3), (4, 1)), 8, 1, 2).batches
    assert [inputs.tolist() for inputs, _ in second] == [[4, 5, 6, 7], [3, 4, 5], [2, 3]]
    assert second[1][1].tolist() == list(range(9, 18))


@pytest.mark.parametrize(
    ("batches", "reason"),
    [
        ([(8, 1), (5, 1)], "batch 5 cannot be divided among 2 ranks; use a multiple of 2"),
        ([(8, 1), (4, 1.5)], "a tensor of shape (6,) cannot be divided among 2 ranks: its dimension 0 does"),
    ],
)
def test_batches_that_the_ranks_do_not_divide(batches, reason):
    with pytest.raises(UnsupportedError) as error:
        share_of(with_batches(*batches), 8, 0, 2)
    assert str(error.value).startswith(reason)


def test_a_batch_that_the_ranks_do_not_divide():
    with pytest.raises(
        UnsupportedError, match=r"^batch 8 cannot be divided among 3 ranks; use a multiple of 3$"
    ):
        shares(torch.zeros(8), size=3)
