"""Where a candidate wins, as sentences: the first says the most, and the others less in fewer characters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace

from breakeven import format as fmt
from breakeven.report.break_even import BreakEven
from breakeven.report.candidates import (
    ITS_CPU,
    Candidate,
    Winners,
    best_row,
    is_at_the_latest,
    is_slower_throughout,
    winners,
    wins,
)
from breakeven.report.speedup import SAME_WITHIN, DeviceVerdict, Speedup
from breakeven.report.text import ModelNames, times_text
from breakeven.stats.crossing import CrossingStatus as Status
from breakeven.stats.crossing import CrossingWarning

FEW = 2
"""The models of a candidate are named one by one up to this many."""

_BEST = re.compile(r"; up to \S+ faster( \(batch [\d,]+\))?")


def summaries(found: Sequence[Candidate], models: ModelNames) -> list[str]:
    """Return sentences on all candidates, from the longest to the shortest."""
    first, *others = found
    if not others:
        texts = list(clauses(first))
        if len(first.lines) == FEW:
            texts.insert(0, _one_by_one(first, models))
        return [first.sentence(text) for text in texts]
    silent = [replace(one, is_obvious=True) if one.other == ITS_CPU else one for one in found]
    said, shorter = (
        [[one.sentence(text) for text in clauses(one)] for one in group] for group in (found, silent)
    )
    count = max(map(len, said))
    joint = [
        " ".join(of[min(form, len(of) - 1)] for of in group)
        for start in range(0, count, 2)
        for group in (said, shorter)
        for form in range(start, min(start + 2, count))
    ]
    short = [of[-1] for of in shorter]
    cut = [
        f"{' '.join(short[:count])} And {fmt.plural(len(short) - count, 'more device')}."
        for count in range(len(others), 0, -1)
    ]
    return [*joint, *cut]


def without_best(sentences: Sequence[str]) -> list[str]:
    """Return the sentences without the best speedup.

    >>> without_best(["It wins from batch 8; up to 2.10x faster (batch 64).", "It wins; up to 2.10x faster."])
    ['It wins from batch 8.', 'It wins.']
    """
    return list(dict.fromkeys(_BEST.sub("", sentence) for sentence in sentences))


def clauses(one: Candidate) -> Iterator[str]:
    """Yield clauses on one candidate, from the longest to the shortest."""
    best = best_row(filter(wins, one.lines))
    if not one.lines:
        yield f"{one.name} {one.does('share')} no timed cell with a CPU"
    elif len(one.lines) > 1:
        yield from _of_models(one)
    elif best is None or len(one.lines[0].batches) < 2:
        yield of_model(one, one.lines[0])
    else:
        text = of_model(one, one.lines[0])
        yield f"{text}; {_up_to_faster(*one.lines)} (batch {fmt.batch_size(best.batch_size)})"
        yield f"{text}; {_up_to_faster(*one.lines)}"
        yield text


def _one_by_one(one: Candidate, models: ModelNames) -> str:
    """Return a clause on each model, as sentences."""
    first, *others = (
        f"{text}; {_up_to_faster(line)}" if wins(line) and len(line.batches) > 1 else text
        for line in one.lines
        for text in [of_model(one, line, models[line.model])]
    )
    return " ".join([f"{first}.", *(again(one, text) for text in others)])[:-1]


def with_place(sentence: str, one: Candidate, models: ModelNames) -> str:
    """Return the sentence with the model and the batch size of the best speedup."""
    best = best_row(filter(wins, one.lines))
    most = _up_to_faster(*filter(wins, one.lines))
    if best is None or most not in sentence or len(one.lines) <= FEW:
        return ""
    where = f"{models[best.model]}, batch {fmt.batch_size(best.batch_size)}"
    return sentence.replace(most, f"{most} ({where})")


def extremes(one: Candidate, models: ModelNames) -> Iterator[str]:
    """Yield sentences that name one of many models: the one that does not win, and the last one that does."""
    found = winners(one.lines)
    won = found.won
    losses = [line for line in one.lines if not wins(line)]
    if not won or len(one.lines) <= FEW:
        return
    if len(losses) == 1 and losses[0].crossing.status is Status.UNDECIDED:
        yield f"It is undecided for {models[losses[0].model]}."
    elif len(losses) == 1:
        yield again(one, of_model(one, losses[0], models[losses[0].model]))
    is_last_said = won[-1].describe() in _where(found)
    if len(won) > 1 and won[-1].crossing.status is Status.CROSSES and not is_last_said:
        yield f"Last is {models[won[-1].model]}, {won[-1].describe()}."


def again(one: Candidate, clause: str) -> str:
    """Return a clause as a further sentence on the candidate."""
    return f"{fmt.capital(clause.replace(one.name, one.pronoun, 1))}."


def _up_to_faster(*lines: BreakEven) -> str:
    best = best_row(lines)
    return "" if best is None else f"up to {times_text(best.speedup)} faster"


def of_model(one: Candidate, line: BreakEven, model: str = "") -> str:
    """Return a clause on one model, which it names where there are several."""
    name, for_model = one.name, f" for {model}" if model else ""
    if line.needs_processes:
        row = next(row for row in line.rows if row.batch_size == line.without_interval[-1])
        shown = " and ".join(fmt.ratios(row.readings, row.speedup))
        return f"two processes say nothing yet{for_model}: {shown} at batch {fmt.batch_size(row.batch_size)}"
    if not line.batches:
        return f"{name} and {one.other} have no usable timing in common{for_model}"
    best = best_row([line])
    last = next(row for row in line.rows if row.batch_size == line.batches[-1])
    same = f"{name} and {one.other} are the same within 2%"
    largest, up_to = fmt.batch_size(line.batches[-1]), _up_to(line)
    if len(line.batches) == 1:
        return _of_one_batch(one, line, last, for_model)
    if wins(line) and line.crossing.status is Status.ALWAYS:
        return f"{name} {one.wins}{for_model} {wins_from(line)}"
    if wins(line):
        cut = f" ({up_to})" if is_cut(line) else ""
        return f"{name} {one.wins} {line.describe()}{for_model}{cut}"
    if line.crossing.status in (Status.CROSSES, Status.ALWAYS) or is_at_the_latest(line):
        limit = fmt.percent(SAME_WITHIN - 1)
        return f"{name} {one.does('are')} not shown to {one.win} by more than {limit}{for_model} ({up_to})"
    if line.crossing.status is Status.BEYOND_RANGE:
        return f"{name} {_never(one, line)}{for_model} ({up_to}); the trend points to a break-even above it"
    if best is not None and _loses_large(line):
        won = f"{times_text(best.speedup)} at batch {fmt.batch_size(best.batch_size)}"
        return f"{name} {one.wins} only below batch {largest}, the largest measured{for_model} ({won})"
    if line.crossing.status is Status.NEVER:
        return f"{name} {_never(one, line)}{for_model} ({up_to})"
    if all(row.verdict is DeviceVerdict.SAME for row in line.rows):
        return f"{same}{for_model} ({up_to})"
    if last.verdict is DeviceVerdict.SAME:
        return f"{same} at batch {largest}, the largest measured{for_model}"
    return f"whether {name} {one.wins}{for_model} is undecided ({up_to})"


def _of_one_batch(one: Candidate, line: BreakEven, row: Speedup, for_model: str) -> str:
    why = "timed on both" if is_cut(line) else "with an interval" if line.without_interval else "measured"
    where = f"{for_model} at batch {fmt.batch_size(row.batch_size)}, the only one {why}"
    ratio = row.speedup or 1.0
    if row.verdict is DeviceVerdict.FASTER:
        return f"{one.name} {one.does('are')} {times_text(ratio)} faster{one.than}{where}"
    if row.verdict is DeviceVerdict.SLOWER:
        return f"{one.name} {one.does('are')} {times_text(1 / ratio)} slower{one.than}{where}"
    if row.verdict is DeviceVerdict.SAME:
        return f"{one.name} and {one.other} are the same within 2%{where}"
    return f"whether {one.name} {one.wins} is undecided{where}"


def _of_models(one: Candidate) -> Iterator[str]:
    """Yield clauses on several models: how many win, from where, and where the median one crosses."""
    found = winners(one.lines)
    won, total = found.won, found.total
    models = fmt.plural(total, "model")
    if not won:
        yield _of_losers(one, models)
        return
    among = _all(models) if len(won) == total else f"{len(won)} of {models}"
    text, most = f"{one.name} {one.wins} for {among}", f"; {_up_to_faster(*won)}"
    if all(len(line.batches) == 1 for line in won):
        yield f"{text} ({_measured(won)}){most}"
        yield f"{text} ({_measured(won)})"
        return
    where = f", {_where(found)}".removesuffix(", ")
    yield f"{text}{where}{most}"
    yield f"{text}{where.replace('the median model', 'the median')}{most}"
    yield text + most
    yield text


def _of_losers(one: Candidate, models: str) -> str:
    """Return a clause on several models of which the candidate wins in none."""
    lose_large = sum(map(_loses_large, one.lines))
    if lose_large:
        return f"{one.name} {one.wins} only below the largest batch size for {lose_large} of {models}"
    name, where = f"{one.name} {one.does('are')}", f"({_measured(one.lines)})"
    if all(map(is_slower_throughout, one.lines)):
        return f"{name} slower{one.than} for {_all(models)} {where}"
    any_of = "either model" if models == "2 models" else f"any of {models}"
    return f"{name} not shown to {one.win} for {any_of} {where}"


def _where(found: Winners) -> str:
    """Return from where a candidate wins in the models in which it does; empty where that says nothing."""
    won, total = found.won, found.total
    always = [line for line in won if line.crossing.status is Status.ALWAYS and len(line.batches) > 1]
    if len(won) == 1:
        return wins_from(won[0])
    if len(always) == len(won) or 2 * len(always) > total:
        who = (
            "" if len(always) == total else "each " if len(always) == len(won) else f"{len(always)} of them "
        )
        measured = _measured(always).removeprefix("batch ")
        return f"{who}at every measured batch size ({measured})"
    if len(found.middle) > 1:
        both = " and ".join(dict.fromkeys(map(wins_from, found.middle)))
        return both.replace(" and from batch ", " and ") if both.startswith("from batch ") else both
    if found.middle:
        return f"the median model {wins_from(*found.middle)}"
    return "" if len(won[0].batches) == 1 else f"the first one {wins_from(won[0])}"


def _all(models: str) -> str:
    return "both models" if models == "2 models" else f"all {models}"


def _loses_large(line: BreakEven) -> bool:
    """Return whether a candidate wins at some batch size, but is slower at the largest."""
    return line.crossing.status is Status.NEVER and best_row([line]) is not None


def _never(one: Candidate, line: BreakEven) -> str:
    if is_slower_throughout(line):
        return f"never {one.wins}"
    return f"{one.does('are')} not shown to {one.win}"


def _up_to(line: BreakEven) -> str:
    return f"up to batch {fmt.batch_size(line.batches[-1])}{_above(line)}"


def wins_from(line: BreakEven) -> str:
    """Return from which batch size a candidate wins."""
    if line.crossing.status is not Status.ALWAYS:
        return line.describe()
    return f"at every measured batch size ({fmt.batch_range(line.batches)}{_above(line)})"


def _above(line: BreakEven) -> str:
    if CrossingWarning.NO_INTERVAL in line.crossing.warnings:
        return "; larger ones were timed in two processes, which are too few"
    return "; larger ones were not timed on both" if is_cut(line) else ""


def is_cut(line: BreakEven) -> bool:
    """Return whether larger batch sizes were not timed on both."""
    return CrossingWarning.CUT_SHORT in line.crossing.warnings


def _measured(lines: Sequence[BreakEven]) -> str:
    """Return the batch sizes that were measured for all of the lines, as a phrase."""
    ranges = {(line.batches[0], line.batches[-1]) for line in lines if line.batches}
    if not ranges:
        return "no usable timing in common"
    low, high = max(low for low, _ in ranges), min(high for _, high in ranges)
    if low > high:
        return "the measured batch sizes differ"
    more = ", the only one measured" if ranges == {(low, low)} else "" if len(ranges) == 1 else " or more"
    return f"batch {fmt.batch_range([low, high])}{more}"
