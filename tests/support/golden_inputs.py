"""The input files of `test_goldens.py`, from the committed runs or from fixed seeds."""

import json
import shutil
from pathlib import Path

import numpy as np

from breakeven.predict.cards import write_card
from support.predictions import L4, card
from support.run_files import REQUIRED, benchmark, outcome, run, write

ROOT = Path(__file__).parents[2]
ROUNDS = (0.97, 0.98, 0.99, 1.0, 1.0, 1.01, 1.02, 1.03)
UNCOUNTED = {"operators_unknown": "its operator mine::scale cannot run without a device"}
PHASES = {"transfer": 0.001, "forward": 0.003, "backward": 0.005, "step": 0.001}


def make_inputs(place):
    """Write every input into a folder."""
    (place / "committed").symlink_to(ROOT / "results")
    for source, target, models in (
        ("cpu-2core/run.json", "small/cpu.json", ("seed_net", "lstm", "mlp width=256")),
        ("cpu-2core/run.json", "tiny/laptop.json", ("seed_net",)),
        ("h100-16core/run.json", "small/h100-run.json", ("seed_net", "mlp width=4096")),
        ("h100-16core/large.json", "small/h100-large.json", ("seed_net", "mlp width=4096")),
        ("h100-16core/run.json", "tiny/server.json", ("seed_net",)),
        ("h100-16core/variants/run.json", "small/variants.json", ("launches", "tf32", "mlp width=512")),
    ):
        shorten(place / target, source, models)
    make_sides(place)
    make_calibration(place)
    make_modes(place)
    make_processes(place)
    make_histories(place)
    make_predicted(place)
    (place / "nothing").mkdir()
    make_broken(place / "bad")


def make_predicted(place):
    """Write the run of a CPU with the counts of most cells, one without any, and two cards."""
    rng = np.random.default_rng(5)
    counts = {"flops_by_format": {"float32": 1e8}, "batch_bytes": 4096}
    cases = [
        benchmark(
            (2e-5 * width / 64 * batch * np.exp(0.01 * rng.standard_normal(30))).tolist(),
            batch_size=batch,
            axes={"width": width},
            steps=10,
            processes=[6] * 5,
            **counts,
            **{"operators": 40, "moved_bytes": 1e4 * width * batch} if width < 4096 else UNCOUNTED,
        )
        for width in (16, 64, 1024, 4096)
        for batch in (1, 16, 256, 65536)
    ]
    command = {"command": "python -m pytest bench --breakeven-sweep=full"}
    for name, some in (("laptop", cases), ("uncounted", cases[-4:])):
        content = run(some, [], machine("Ryzen"))
        content["breakeven"] |= command
        write(place / "predicted" / f"{name}.json", content)
    write_card(card(), place / "predicted" / "h100.json")
    write_card(card("l4-8core", L4, launch_s=2e-5, bytes_per_s=3e11), place / "predicted" / "l4.json")


def shorten(target, source, models):
    """Write a committed run with only these models, given by name and some axes."""
    content = json.loads((ROOT / "results" / source).read_text())
    content["benchmarks"] = [item for item in content["benchmarks"] if is_of(item, models)]
    outcomes = content["breakeven"]["outcomes"]
    content["breakeven"]["outcomes"] = [item for item in outcomes if is_of(item, models)]
    write(target, content)


def is_of(item, models):
    """Whether a case is of one of these models."""
    info = item["extra_info"]
    words = {info["workload"], *(f"{key}={value}" for key, value in info["axes"].items())}
    return any(set(model.split()) <= words for model in models)


def machine(name="EPYC", class_id=None, **facts):
    """The `machine_info` of a machine with these class facts."""
    facts = {"cpu": name, "cores": 2, "torch": "2.13.0", "tf32": False, "deterministic": False, **facts}
    return {"node": name, "breakeven": {"class": facts, "class_id": class_id or f"id-{name}", "state": {}}}


def steps(slower=1.0, faster=1.0):
    """Seconds of each phase at two batch sizes; backward and transfer are changed by factors."""
    changed = PHASES | {"backward": PHASES["backward"] * slower, "transfer": PHASES["transfer"] * faster}
    times = {(phase, batch): level * batch for batch in (1, 64) for phase, level in changed.items()}
    return times | {("train", batch): sum(changed.values()) * batch for batch in (1, 64)}


def measured(times, number, machine_info=None, outcomes=None, noise=0.005, **facts):
    """A run with these seconds by phase and batch size, moved by run-to-run noise, and facts of each case."""
    rng = np.random.default_rng(number)
    benchmarks = [
        benchmark(
            (round(level * np.exp(noise * rng.standard_normal()), 7) * np.array(ROUNDS)).tolist(),
            phase=phase,
            batch_size=batch,
            **facts,
        )
        for (phase, batch), level in times.items()
    ]
    return run(benchmarks, outcomes, machine_info or machine(), f"2026-01-02T{number:02}:00:00+00:00")


def make_sides(place):
    """Runs to compare: base, the same code again, a slower candidate, and a machine of another class."""
    slower = steps(slower=1.3, faster=0.7) | {("train", 512): 5.0}
    del slower["step", 64], slower["forward", 1]
    broken = [outcome("failed", "it broke", phase="forward", batch_size=1)]
    other = machine("EPYC", "id-other", torch="2.14.0", driver="580")
    for i in range(5):
        write(place / f"base{i}.json", measured(steps(), i, operators=214))
        write(place / f"same{i}.json", measured(steps(), 5 + i, operators=214))
        write(place / f"slow{i}.json", measured(slower, 10 + i, outcomes=broken, operators=231))
        write(place / f"other{i}.json", measured(steps(slower=1.3), 15 + i, machine_info=other))
    write(place / "empty.json", run(machine=machine()))
    plain = [{"fullname": f"test_{i}", "stats": {"data": [0.1 * i] * 6, "median": 0.1 * i}} for i in (1, 2)]
    write(place / "plain.json", run(plain))


def make_calibration(place):
    """Runs that stand in for what a measuring command writes."""
    for i in range(1, 6):
        write(place / "measured" / f"run-{i:02}.json", measured(steps(), i, noise=0.02))
    for i in range(1, 11):
        for side, factor in (("base", 1.0), ("candidate", 1.3)):
            name = f"stage1-{i:02}-{side}.json"
            write(place / "measured" / name, measured(steps(slower=factor), i))


def make_modes(place):
    """Two machines in different numeric modes."""
    for seed, name in enumerate(("one", "two")):
        cells = [
            benchmark((level * b ** (0.5 + 0.5 * (device == "cpu")) * np.array(ROUNDS)).tolist(),
                      device=device, batch_size=b)
            for device, level in (("cpu", 0.001 + 0.0001 * seed), ("cuda", 0.004))
            for b in (1, 16, 256)
        ]  # fmt: skip
        info = machine(name, tf32=bool(seed))
        write(
            place / f"mode-{name}.json", run(cells, machine=info, when=f"2026-01-0{seed + 1}T00:00:00+00:00")
        )


def make_processes(place):
    """A run of five processes on a host whose launches vary, and the part of it before it was interrupted."""
    info = machine("EPYC", "id-varying", cores=16, gpu=["H100"])
    benchmarks = process_benchmarks()
    write(place / "processes.json", run(benchmarks, [], info))
    content = run(benchmarks[:-4], [outcome("oom", device="cuda", batch_size=4096)], info)
    content["breakeven"]["complete"] = False
    lost = content["benchmarks"][0]["extra_info"]
    lost |= {"flags": ["lost"], "evidence": {"lost": {"processes": {"4": "crashed: SIGSEGV"}}}}
    write(place / "interrupted.json", content)


def process_benchmarks():
    """Steps and forward passes of five processes: launches take another time in each of them."""
    rng = np.random.default_rng(15)
    shared = 0.15 * rng.standard_normal(5)
    found = []
    for width, graph in ((64, False), (64, True), (512, False), (4096, False)):
        for batch in (1, 16, 256, 4096):
            device_s = 2e-6 + 1.2e-12 * width**2 * batch
            queue_s = 1e-4 if graph else 7e-4
            times = {"cpu": 1e-4 + 4e-11 * width**2 * batch**0.8, "cuda": max(queue_s, device_s)}
            for device, level in times.items():
                bound = queue_s > device_s and device == "cuda" and not graph
                own = (0.2 if bound else 0.01) * rng.standard_normal(5)
                levels = level * np.exp(own + (shared if bound else 0.0))
                facts = {"steps": 10} if device == "cpu" else {"steps": 10, "enqueue_s": min(level, queue_s)}
                facts |= {"capture_s": 0.2, "enqueue_s": 1e-5} if graph and device == "cuda" else {}
                axes = {"width": width, "cuda_graph": graph}
                for phase, count in (("train", 5), ("forward", 3)):
                    data = [round(one * x, 9) for one in levels[:count] for x in ROUNDS]
                    found.append(
                        benchmark(
                            data, phase=phase, device=device, batch_size=batch, axes=axes,
                            processes=[len(ROUNDS)] * count + [0] * (5 - count),
                            **(facts if phase == "train" else {}),
                        )
                    )  # fmt: skip
    return found


def make_histories(place):
    """Run files of a history with many changes, and of one without any."""
    for i in range(30):
        write(place / "history" / f"changing{i:02}.json", day(i, changing(i), too_large(i)))
        write(place / "history" / f"steady{i:02}.json", day(i, [timed(i, 0.01)]))


def day(number, benchmarks, outcomes=None):
    """A run with one commit per day."""
    content = run(benchmarks, outcomes, machine(), f"2026-01-{number + 1:02}T00:00:00+00:00")
    content["commit_info"] = {"id": f"{number:07x}".ljust(40, "0"), "dirty": False, "branch": "main"}
    return content


def timed(number, level, seed=0, **identity):
    """A benchmark whose level moves by 2% from run to run."""
    noise = np.random.default_rng([seed, number]).standard_normal()
    return benchmark((round(level * (1 + 0.02 * noise), 7) * np.array(ROUNDS)).tolist(), **identity)


def changing(number):
    """Benchmarks that become slower, faster, or worse in the newest run; and a break-even."""
    later = number >= 20
    yield timed(number, 0.011 if later else 0.01, 1)
    yield timed(number, 0.007 if number >= 12 else 0.01, 2, workload="lstm")
    yield timed(number, 0.014 if number == 29 else 0.01, 3, workload="seed_net")
    for device, floor, slope in (("cpu", 0.001, 0.001), ("cuda", 0.049 if later else 0.033, 0.0002)):
        for batch in (1, 64) if later and device == "cuda" else (1, 64, 512):
            more = {"peak_memory_bytes": 120_000 if later else 100_000} if batch == 64 else {}
            identity = {"workload": "cnn", "device": device, "batch_size": batch, **more}
            yield timed(number, floor + slope * batch, batch, **identity)


def too_large(number):
    """Batch sizes of the cnn that did not fit."""
    sizes = (512, 1024) if number >= 20 else (1024,)
    return [outcome(workload="cnn", device="cuda", batch_size=size) for size in sizes]


def with_info(**changes):
    """A run whose benchmark records other values."""
    return run([benchmark([1.0] * 6, **changes)])


def with_changed(part, key, value):
    """A run whose benchmark holds another value in a part of it."""
    made = benchmark([1.0] * 6)
    made[part][key] = value
    return run([made])


def without(part, key=None):
    """A run whose benchmark lacks a part, or a key of it."""
    made = benchmark([1.0] * 6)
    if key is None:
        del made[part]
    else:
        del made[part][key]
    return run([made])


TWICE = run([benchmark([1.0] * 6, axes={"a": 1, "b": 2}), benchmark([1.0] * 6, axes={"b": 2, "a": 1})])
FOREIGN = run([{"fullname": "test_a", "extra_info": {"phase": "x"}, "stats": {"data": [1.0]}}])
FIRST_LINES = json.dumps(run([benchmark([1.0])]))[:200]

BROKEN = {
    "blank": " \n",
    "cut": FIRST_LINES,
    "text": "hello",
    "list": "[1, 2]",
    "deep": "[" * 100_000,
    "no-list": '{"benchmarks": {}}',
    "no-benchmarks": '{"benchmarks": []}',
    "number": '{"benchmarks": [1]}',
    "foreign": FOREIGN,
    "twice": TWICE,
    **{f"no-{key}": without("extra_info", key) for key in REQUIRED},
    "newer": with_info(schema=2),
    "schema-text": with_info(schema="1"),
    "workload-blank": with_changed("extra_info", "workload", " "),
    "phase-number": with_changed("extra_info", "phase", 1),
    "device-null": with_changed("extra_info", "device", None),
    "batch-zero": with_info(batch_size=0),
    "batch-fraction": with_info(batch_size=1.5),
    "batch-true": with_info(batch_size=True),
    "batch-huge": with_info(batch_size=2**60),
    "axes-list": with_changed("extra_info", "axes", []),
    "axes-nan": with_changed("extra_info", "axes", {"w": float("nan")}),
    "no-stats": without("stats"),
    "no-data": without("stats", "data"),
    "data-empty": with_changed("stats", "data", []),
    "data-text": with_changed("stats", "data", "1.0"),
    "data-nan": with_changed("stats", "data", [1.0, float("nan")]),
    "data-infinite": with_changed("stats", "data", [float("inf")]),
    "data-negative": with_changed("stats", "data", [1.0, -0.001]),
    "data-word": with_changed("stats", "data", [1.0, "0.5"]),
    "data-null": with_changed("stats", "data", [None]),
    "data-nested": with_changed("stats", "data", [[1.0]]),
    "data-long": with_changed("stats", "data", [1.0, 1e10]),
    "data-huge": with_changed("stats", "data", [10**400]),
    "ours-number": run([benchmark([1.0] * 6)]) | {"breakeven": 3},
    "ours-no-schema": run([benchmark([1.0] * 6)]) | {"breakeven": {"outcomes": []}},
    "ours-newer": run([benchmark([1.0] * 6)]) | {"breakeven": {"schema": 2}},
    "outcomes-object": run([benchmark([1.0] * 6)]) | {"breakeven": {"schema": 1, "outcomes": {}}},
    "outcome-number": run([benchmark([1.0] * 6)], [3]),
    "outcome-no-word": run([benchmark([1.0] * 6)], [{}]),
    "no-date": run([benchmark([1.0] * 6)]) | {"datetime": "yesterday"},
}
"""Run files of which something is wrong, by name."""


def make_broken(folder):
    """Write every broken run file, and other files that commands refuse."""
    for name, content in BROKEN.items():
        write(folder / f"{name}.json", content)
    (folder / "bytes.json").write_bytes(b"\xff\xfe\x00{")
    (folder / "directory.json").mkdir()
    good = {"schema": 1, "class_id": "id-EPYC", "runs": 2, "medians_s": {"x": [1.0, 1.0]}}
    for name, content in {
        "no-medians": {"schema": 1},
        "newer": good | {"schema": 2},
        "one-run": good | {"runs": 1},
        "short": good | {"medians_s": {"x": [1.0]}},
        "renamed": good | {"class_id": "id-other"},
        "text": "hello",
    }.items():
        write(folder / "noise" / name / "id-EPYC.json", content)
    for name, content in {
        "text": "hello",
        "newer": {"schema": 2, "accepted": []},
        "list": [],
        "number": {"schema": 1, "accepted": [3]},
        "no-reason": {"schema": 1, "accepted": [{"commit": "0123abc", "direction": "worse", "cases": ["x"]}]},
    }.items():
        write(
            folder / "accepted" / f"{name}.json", content if isinstance(content, str) else json.dumps(content)
        )
    (folder / "other-folder").mkdir()
    shutil.copy(folder / "text.json", folder / "other-folder" / "notes.txt")
    (folder / "damaged-plan").mkdir()
    shutil.copy(folder / "text.json", folder / "damaged-plan" / "plan.json")
