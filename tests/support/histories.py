"""Synthetic histories: runs of one case after another, kept in a store as `history add` keeps them."""

import datetime
import hashlib
from pathlib import Path

import numpy as np

from breakeven import cli
from breakeven.history.storage import open_storage
from support.reports import box
from support.run_files import benchmark, outcome, run, write

START = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)


def commit(number):
    """Return the id of the commit of that number."""
    return hashlib.sha1(b"%d" % number).hexdigest()


def when(number):
    """Return the date of the run of that number, one a day."""
    return (START + datetime.timedelta(days=number)).isoformat()


def content(number, benchmarks, machine=None, outcomes=None, **commit_info):
    """Return the content of the run file of that number, of the commit of that number."""
    made = run(benchmarks, outcomes, machine or box("EPYC"), when(number))
    made["commit_info"] = {"id": commit(number), "dirty": False, "branch": "main", **commit_info}
    return made


def add(tmp_path, contents, store="store"):
    """Write run files and add them to a store; return its path."""
    paths = [write(tmp_path / "runs" / f"{store}{i:04}.json", made) for i, made in enumerate(contents)]
    assert cli.main(["history", "add", *paths, "--store", str(tmp_path / store)]) == 0
    return str(tmp_path / store)


def files_of(store):
    """Return the files of the runs in a store, sorted."""
    found = open_storage(store)
    return [Path(found.where(name)) for name in found.names()]


def medians(n, step=None, at=None, noise=0.02, seed=0, base=0.01):
    """Return the medians of n runs, multiplied by `step` from run `at` on."""
    values = base * np.exp(noise * np.random.default_rng(seed).standard_normal(n))
    if at is not None:
        values[at:] *= step
    return values


def timed(values, **identity):
    """Return the contents of runs with these medians, six rounds each."""
    return [
        content(i, [benchmark(value * np.array([0.98, 0.99, 1, 1, 1.01, 1.02]), **identity)])
        for i, value in enumerate(values)
    ]


def ran_out(batch_size, device="cuda", **identity):
    """Return the outcome of a case that ran out of memory."""
    return outcome("oom", "out of memory", batch_size=batch_size, device=device, **identity)
