"""The rounds of a case as a drawing."""

import re

import numpy as np
import pytest

from breakeven.render.distributions import MAX_DRAWN, WIDTH, samples_of, strip
from support.reports import report
from support.run_files import affine_run, benchmark, run


def path(svg):
    """The path of a drawing."""
    (found,) = re.findall(r'd="([^"]*)"', svg)
    return found


def test_five_numbers():
    """Minimum, quartiles and maximum on a logarithmic scale, from the fastest round to the slowest."""
    svg = strip([np.array([8.0, 1.0, 4.0, 2.0, 16.0])])
    assert path(svg) == "M0 4H160M40 1H120v6H40zM80 1v6"
    assert 'aria-label="Rounds of the process"' in svg
    assert re.findall(r">([^<]+)</text>", svg) == ["1.00 s", "16.0 s"]


def test_quartiles_of_six_rounds():
    """Each is a round, as far from its end as the other."""
    assert path(strip([2.0 ** np.arange(6)])) == "M0 4H160M32 1H128v6H32zM64 1v6"


def test_common_scale():
    svg = strip([np.array([1.0]), np.array([10.0, 10.0]), np.array([100.0])])
    assert path(svg) == (
        "M0 4H0M0 1H0v6H0zM0 1v6"
        f"M{WIDTH // 2} 13H80M80 10H80v6H80zM80 10v6"
        f"M{WIDTH} 22H160M160 19H160v6H160zM160 19v6"
    )  # fmt: skip
    assert 'viewBox="0 0 160 39"' in svg
    assert "Rounds of 3 processes" in svg


@pytest.mark.parametrize("samples", [[], [np.zeros(3)]])
def test_nothing_to_draw(samples):
    assert strip(samples) == ""


def test_equal_rounds():
    assert path(strip([np.full(9, 0.5)])) == "M0 4H0M0 1H0v6H0zM0 1v6"


def test_rounds_below_the_clock():
    """A round of zero seconds is at the left end, three decades below the slowest."""
    svg = strip([np.array([0.0, 1.0])])
    assert path(svg).startswith("M0 4H160")
    assert re.findall(r">([^<]+)</text>", svg) == ["1.00 ms", "1.00 s"]


def test_many_processes():
    svg = strip([np.array([1.0, 2.0])] * (MAX_DRAWN + 1))
    assert path(svg).count("zM") == MAX_DRAWN
    assert f"Rounds of {MAX_DRAWN} of {MAX_DRAWN + 1} processes" in svg


def test_size():
    """Five processes fit into 350 bytes and their summary."""
    rng = np.random.default_rng(0)
    sizes = [len(strip(list(np.exp(0.1 * rng.standard_normal((5, 20)))))) for _ in range(100)]
    assert np.mean(sizes) < 350


def test_samples(tmp_path):
    """Those of each process of each run, without the processes that gave none."""
    one = run([benchmark([1.0, 2.0, 3.0], processes=[1, 0, 2])])
    (samples,) = samples_of(report(tmp_path, one, run([benchmark([4.0])]))).values()
    assert [sample.tolist() for sample in samples] == [[1.0], [2.0, 3.0], [4.0]]


def test_only_those_of_the_estimate(tmp_path):
    """A run that waited after each step is left out where another did not, as in the estimate."""
    waited, looped = (
        affine_run({"cpu": (1, 1), "cuda": (33, 0.2)}, waits=waits, seed=waits) for waits in (1, 0)
    )
    found = report(tmp_path, waited, looped)
    samples = samples_of(found)
    for row in found.rows:
        assert sum(map(len, samples[row.key])) == row.estimate.n
