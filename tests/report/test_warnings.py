"""What stands beside the numbers: that something else had a part in them."""

import pytest

from breakeven.render.report_tables import tables
from support.reports import report
from support.run_files import benchmark, run


def record_of(tmp_path, *flags):
    """A report on one cell for each of `flags`, which are those of the faster device."""
    rows = []
    for number, of in enumerate(flags):
        rows.append(benchmark([3.0] * 9, batch_size=2**number))
        rows.append(benchmark([1.0] * 9, device="cuda", batch_size=2**number, flags=list(of)))
    return report(tmp_path, run(rows))


@pytest.mark.parametrize("flag", ["contended", "throttled", "clock", "drift", "shared_gpu", "unsteady"])
def test_a_speedup_of_a_disturbed_time_is_marked_where_it_stands(tmp_path, flag):
    table = tables(record_of(tmp_path, (), (flag,)))[0]
    assert table.title == "train: cuda against cpu (* disturbed while measured)"
    assert [row[-1] for row in table.rows] == ["faster", "faster *"]


@pytest.mark.parametrize("flag", ["noisy", "budget"])
def test_what_the_interval_tells_already_is_not_marked(tmp_path, flag):
    table = tables(record_of(tmp_path, (flag,)))[0]
    assert table.title == "train: cuda against cpu"
    assert [row[-1] for row in table.rows] == ["faster"]


def test_the_verdict_itself_says_that_more_than_a_quarter_was_disturbed(tmp_path):
    few = record_of(tmp_path / "few", ("contended",), (), (), ())
    assert "disturbed" not in few.verdict
    many = record_of(tmp_path / "many", ("contended",), ("drift", "noisy"), (), ())
    assert many.verdict.endswith(
        "2 of 4 speedups rest on times that something else disturbed, see the warnings."
    )


def test_one_of_many_cases_is_flagged(tmp_path):
    (warning,) = [text for text in record_of(tmp_path, ("drift",), ()).warnings if "flagged" in text]
    assert warning.startswith("1 of 4 cases is flagged drift")
