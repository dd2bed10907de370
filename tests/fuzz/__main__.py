"""Gives breakeven's readers and commands many damaged inputs, and reports every unsound answer.

An answer is sound if it is a result, or an error of one line with its exit code. Tracebacks, hangs, memory
without bound, other exit codes, control characters and workflow commands in the output, and files outside of
the directory are not. The inputs of each are kept in OUTPUT/findings, with a line that repeats them.

It runs the breakeven of the Python that runs it, in a process of its own, which is started again after it
died. Exits with 1 if it found anything.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzz.attempts import Kind, Limits
from fuzz.campaign import COMMANDS, READERS, SETS, Campaign

LOG = "log.txt"
"""A line for each input: its number, target, answer and problem; the last one is cut if the process died."""


@dataclass
class Totals:
    """What came of a set of inputs."""

    inputs: int = 0
    seconds: float = 0.0
    answers: dict[str, Counter[str]] = field(default_factory=dict)
    problems: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)
    kinds: Counter[str] = field(default_factory=Counter)

    def add(self, number: int, target: str, word: str, slug: str) -> None:
        """Count an input."""
        self.inputs += 1
        self.answers.setdefault(target, Counter())[word] += 1
        if slug:
            self.kinds[word] += 1
            self.problems[slug] += 1
            self.first.setdefault(slug, number)


def main() -> int:
    """Try the inputs that were asked for, print what came of them, and write ``fuzz.json``."""
    given = _parser().parse_args()
    if given.child is not None:
        return _child(given)
    given.output = given.output.absolute()
    if given.number is not None:
        return _repeat(given)
    totals = {name: _tried(given, name, count) for name, count in _counts(given).items() if count}
    for name, total in totals.items():
        print(_text(name, total, given))
    (given.output / "fuzz.json").write_text(json.dumps(_json(given, totals), indent=1) + "\n")
    print(f"written to {given.output / 'fuzz.json'}")
    return int(any(total.problems for total in totals.values()))


def _counts(given: argparse.Namespace) -> dict[str, int]:
    return {READERS: given.readers, COMMANDS: given.commands}


def _tried(given: argparse.Namespace, name: str, count: int) -> Totals:
    """Try inputs in a process, and in another one from the next input on if it died."""
    folder = given.output / name
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / LOG
    log.unlink(missing_ok=True)
    start, began = 0, time.monotonic()
    while start < count:
        words = [*_words(given), "--child", name, "--start", str(start), f"--{name}", str(count)]
        with (folder / "child.txt").open("wb") as stream:
            done = subprocess.run(words, stdout=stream, stderr=subprocess.STDOUT, check=False)
        if done.returncode == 0:
            break
        start = 1 + _died(folder, log, done.returncode)
    total = Totals(seconds=time.monotonic() - began)
    for line in log.read_text().splitlines():
        number, target, word, slug = line.split("\t")
        total.add(int(number), target, word, slug)
    return total


def _words(given: argparse.Namespace) -> list[str]:
    limits = ["--cpu-limit", str(given.cpu_limit), "--seed", str(given.seed), "--only", given.only]
    return [
        sys.executable,
        "-X",
        "faulthandler",
        str(Path(__file__).parent),
        "-o",
        str(given.output),
        *limits,
    ]


def _died(folder: Path, log: Path, status: int) -> int:
    """Record that a process died at the input of the log's last line, which is cut, and return its number."""
    text = (folder / "child.txt").read_text(errors="replace")
    logged = log.read_text() if log.exists() else ""
    if not logged or logged.endswith("\n"):
        raise SystemExit(f"fuzz: the fuzzer itself failed, between two inputs:\n{text[-3000:]}")
    number, target = logged.splitlines()[-1].split("\t")[:2]
    is_late = "Timeout (" in text or -status in (signal.SIGALRM, signal.SIGPROF)
    kind = Kind.HANG if is_late else Kind.CRASH
    slug = f"{target} {kind} status {status}".replace(" ", "-")
    with log.open("a") as stream:
        stream.write(f"{kind}\t{slug}\n")
    kept = folder / "findings" / slug / number
    kept.mkdir(parents=True, exist_ok=True)
    (kept / "finding.txt").write_text(text[-20_000:])
    return int(number)


def _child(given: argparse.Namespace) -> int:
    """Try inputs in this process, and log each before and after."""
    folder = given.output / given.child
    os.environ["BREAKEVEN_PROCESSES"] = "0"
    campaign = Campaign(given.child, folder, given.seed, given.only)
    count = _counts(given)[given.child]
    with (folder / LOG).open("a", buffering=1) as log:

        def began(number: int, target: str) -> None:
            log.write(f"{number}\t{target}\t")
            log.flush()

        for one in campaign.run(range(given.start, count), _limits(given), began):
            log.write(f"{one.answer.word}\t{one.slug}\n")
    return 0


def _repeat(given: argparse.Namespace) -> int:
    """Try one input again, and leave its files in place."""
    name = READERS if given.commands == 0 else COMMANDS
    campaign = Campaign(name, given.output / name, given.seed, given.only)
    (one,) = campaign.run([given.number], _limits(given), lambda *_: None)
    print(f"{one.target}: {one.answer.word}")
    if one.answer.problem is not None:
        print(one.answer.problem.details.encode("utf-8", "backslashreplace").decode())
    return int(one.answer.problem is not None)


def _limits(given: argparse.Namespace) -> Limits:
    return Limits(cpu_s=given.cpu_limit, wall_s=6 * given.cpu_limit)


def _text(name: str, total: Totals, given: argparse.Namespace) -> str:
    lines = [f"{name}: {total.inputs:,} inputs in {total.seconds:.0f} s, {len(total.problems)} problems"]
    for target, answers in sorted(total.answers.items()):
        words = ", ".join(f"{word} {count:,}" for word, count in sorted(answers.items()))
        lines.append(f"  {target:28} {sum(answers.values()):7,}  {words}")
    for slug, count in total.problems.most_common():
        lines.append(f"  FOUND {count:,} times: {given.output / name / 'findings' / slug}")
        other = READERS if name == COMMANDS else COMMANDS
        only = f" --only {given.only!r}" if given.only else ""
        which = f"--seed {given.seed} --{other} 0 --number {total.first[slug]}{only}"
        lines.append(f"    repeat: python tests/fuzz {which}")
    return "\n".join(lines)


def _json(given: argparse.Namespace, totals: dict[str, Totals]) -> dict[str, object]:
    return {
        "breakeven": version("breakeven"),
        "seed": given.seed,
        "sets": {
            name: {
                "inputs": total.inputs,
                "seconds": round(total.seconds, 1),
                **{f"{kind}s": total.kinds[kind] for kind in Kind},
                "answers": {target: dict(answers) for target, answers in sorted(total.answers.items())},
                "problems": dict(total.problems.most_common()),
            }
            for name, total in totals.items()
        },
    }


def _parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python tests/fuzz",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="example:\n  python tests/fuzz --readers 100000 --commands 5000 --seed 1",
    )
    made.add_argument(
        "--readers", type=int, default=100_000, metavar="N", help="inputs for the readers (%(default)s)"
    )
    made.add_argument("--commands", type=int, default=5_000, metavar="N", help="command lines (%(default)s)")
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of the inputs (%(default)s)")
    made.add_argument("--only", default="", metavar="REGEX", help="targets whose name matches (all)")
    made.add_argument(
        "--cpu-limit", type=float, default=10.0, metavar="SECONDS", help="of an input (%(default)s)"
    )
    made.add_argument(
        "--number", type=int, metavar="N", help="try one input again; --readers 0 for a command line"
    )
    made.add_argument(
        "-o", "--output", type=Path, default=Path("fuzzed"), metavar="DIR", help="(%(default)s)"
    )
    made.add_argument("--child", choices=SETS, help=argparse.SUPPRESS)
    made.add_argument("--start", type=int, default=0, help=argparse.SUPPRESS)
    return made


if __name__ == "__main__":
    sys.exit(main())
