"""pytest's hooks of the collection: files, functions, the cases that are left, and their plan."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from breakeven.errors import UsageError
from breakeven.format import printable
from breakeven.plugin.case_clock import add_case_clock
from breakeven.plugin.collection import (
    BenchModule,
    InvalidSweep,
    case_of,
    is_bench_file,
    is_benchmark,
    is_case,
    is_collected_for_us,
    keep_selected,
    other_fixture,
)
from breakeven.plugin.sharding import empty_text, keep_shard
from breakeven.plugin.stash import (
    BENCHMARKS,
    COUNTER,
    SELECTION,
    WORKER,
    benchmarks_of,
    usage_errors,
)
from breakeven.plugin.surroundings import is_xdist_worker, refusal, report_refusal, reported_refusal
from breakeven.plugin.sweeps import sweeps_of
from breakeven.plugin.terminal import PrintableReports, outlive_readers

MISSING = pytest.StashKey[str]()
"""The warning about listed cases that were not collected."""
COLLECTED = pytest.StashKey[list[pytest.Item]]()
"""The selected items in the order in which they were collected."""


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Collect a ``bench_*.py`` file that pytest itself would not collect."""
    found = yield
    if not is_bench_file(file_path, parent.session) or any(isinstance(item, BenchModule) for item in found):
        return found
    return [*found, BenchModule.from_parent(parent, path=file_path)]


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    """Collect the swept functions also in ``bench_*.py`` files that pytest collects itself."""
    if not is_bench_file(module_path, parent.session):
        return None
    module = BenchModule.from_parent(parent, path=module_path)
    module.uses_project_patterns = True
    return module


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Item | list[pytest.Item] | None:
    """Replace a function with an invalid sweep by a failing item; leave the others to pytest.

    A process that counts leaves all of them to pytest.
    """
    if not is_benchmark(collector, name, obj) or collector.config.pluginmanager.has_plugin(COUNTER):
        return None
    item: InvalidSweep
    if (other := other_fixture(collector)) is not None:
        if not is_collected_for_us(collector, name, obj):
            return None
        problem = (
            f"{name}: the fixture train_benchmark of {other} replaces breakeven's; rename it, or let it "
            "request train_benchmark"
        )
        item = InvalidSweep.from_parent(collector, name=name, problem=problem)
        return item
    benchmarks = benchmarks_of(collector.config)
    assert callable(obj)
    try:
        sweeps = sweeps_of(obj)
    except UsageError as error:
        item = InvalidSweep.from_parent(collector, name=name, problem=f"{name}: {error}")
        return item
    return [] if benchmarks.options.sweep_for(sweeps) is None else None


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around -k and -m, which deselect, and plugins that reorder
def pytest_collection_modifyitems(
    session: pytest.Session, config: pytest.Config, items: list[pytest.Item]
) -> Generator[None, object, object]:
    """Check the options, keep the selected benchmarks, and order them for the run.

    pytest turns an error here into one line and exit code 4.
    """
    places = {item: place for place, item in enumerate(items)}
    result = yield
    benchmarks, selection = config.stash.get(BENCHMARKS, None), config.stash.get(SELECTION, None)
    is_rank = bool(getattr(config.pluginmanager.get_plugin(WORKER), "is_rank", False))
    reason = None if benchmarks is None else refusal(config, os.environ, is_rank=is_rank)
    if reason is not None and is_xdist_worker(config):
        items.clear()
        report_refusal(config, reason)
        return result
    with usage_errors():
        if reason is not None:
            raise UsageError(reason)
        if benchmarks is not None:
            benchmarks.options.check()
        if selection is not None and (warning := keep_selected(session, items, selection)) is not None:
            config.stash[MISSING] = warning
        if benchmarks is not None and benchmarks.options.shard is not None:
            benchmarks.shard = keep_shard(config, items, benchmarks.options.shard)
        collected = config.stash[COLLECTED] = sorted(items, key=lambda item: places.get(item, len(places)))
        if benchmarks is not None and not config.option.collectonly:  # which lists it as it was written
            benchmarks.arrange(items, collected)
    return result


@pytest.hookimpl(tryfirst=True)
def pytest_collection_finish(session: pytest.Session) -> None:
    """Plan the cases that are left after every plugin has deselected: --lf does so after all others."""
    config, items = session.config, session.items
    benchmarks, collected = config.stash.get(BENCHMARKS, None), config.stash.get(COLLECTED, None)
    if benchmarks is None or collected is None:  # there are none, or an error was raised
        return
    outlive_readers(config)
    config.pluginmanager.register(PrintableReports(config))
    worker = config.pluginmanager.get_plugin(WORKER)
    with usage_errors():
        if worker is not None:
            worker.select(items)
        kept = set(items)
        for item in collected:
            if item in kept and (is_case(item) or isinstance(item, InvalidSweep)):
                case = case_of(item) if is_case(item) else None
                benchmarks.plan.add(item.nodeid, case)
                if case is not None:
                    add_case_clock(item)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """End a run of pytest-xdist whose workers collected a sweep: one line and exit code 4, as without it."""
    reason = reported_refusal(node)
    if reason is not None:
        raise pytest.UsageError(printable(reason))


def pytest_report_collectionfinish(config: pytest.Config) -> list[str]:
    """Warn about listed cases that were not collected, an empty shard, and functions without this sweep."""
    benchmarks = config.stash.get(BENCHMARKS, None)
    shard = None if benchmarks is None else benchmarks.shard
    lines = [
        config.stash.get(MISSING, None),
        None if shard is None else empty_text(shard),
        None if benchmarks is None else benchmarks.options.without_sweep(),
    ]
    return [f"breakeven: {line}" for line in lines if line is not None]
