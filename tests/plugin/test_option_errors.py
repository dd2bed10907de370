"""``--breakeven-devices``, ``-phases`` and ``-sweep``, and the ini keys of the same names."""

import pytest

SWEEPS = """
@pytest.mark.sweep("full", batch_size=[1, 8], width=[64])
@pytest.mark.sweep(batch_size=[2], width=[4, 8])
def bench_both(train_benchmark, batch_size, width): ...

@pytest.mark.sweep(batch_size=[3], dtype=[torch.float32, torch.bfloat16], bias=[True, False])
def bench_default(train_benchmark, batch_size, dtype, bias): ...

@pytest.mark.sweep("smoke", batch_size=[4], optimizer=["sgd", "adam"], lr=[0.1], depth=[None, 2])
def bench_named(train_benchmark, batch_size, optimizer, lr, depth): ...
"""
FAST = ("bench", "--breakeven-devices=cpu", "--breakeven-phases=train")


@pytest.fixture
def ids(bench):
    """Return a function: ``--breakeven-sweep`` -> ids, without what is the same in all."""
    bench.write(SWEEPS)

    def collect(choice, function):
        found = bench.ids(*FAST, f"--breakeven-sweep={choice}")
        return [name.split("[")[1].removesuffix("-cpu-train]") for name in found if name.startswith(function)]

    return collect


def test_the_default_sweep_runs_where_none_is_named(ids):
    assert ids("", "bench_both") == ["2-4", "2-8"]


def test_a_function_without_a_default_sweep_has_no_cases_until_one_is_named(ids):
    assert ids("", "bench_named") == []
    assert ids("smoke", "bench_named") == ["4-sgd-0.1-None", "4-sgd-0.1-2", "4-adam-0.1-None", "4-adam-0.1-2"]


def test_a_named_sweep_runs_and_functions_without_it_run_their_default_one(ids):
    assert ids("full", "bench_both") == ["1-64", "8-64"]
    assert len(ids("full", "bench_default")) == 4


def test_values_replace_those_of_the_functions_that_have_the_key(ids):
    assert ids("batch_size=1,64 width=128", "bench_both") == ["1-128", "64-128"]
    assert len(ids("batch_size=1,64 width=128", "bench_default")) == 8


def test_a_name_and_values_go_together(ids):
    assert ids("full batch_size=5", "bench_both") == ["5-64"]
    assert ids("batch_size=5 smoke optimizer=sgd lr=1 depth=None,7", "bench_named") == [
        "5-sgd-1-None",
        "5-sgd-1-7",
    ]


def test_values_that_cannot_be_typed_are_asked_for_by_name(ids):
    assert ids("dtype=bfloat16 bias=False", "bench_default") == ["3-dtype0-False"]


def test_a_dtype_asked_for_by_name_reaches_the_function_as_itself(bench):
    bench.write("""
@pytest.mark.sweep(batch_size=[1], dtype=[torch.float32, torch.bfloat16])
def bench_mine(train_benchmark, batch_size, dtype):
    note(repr(dtype))
    train_benchmark(lambda: workload(batch_size, autocast=dtype))
""")

    assert bench.run("--breakeven-sweep=dtype=bfloat16").ret == 0
    assert bench.notes() == ["torch.bfloat16"]
    assert bench.file()["benchmarks"][0]["extra_info"]["axes"] == {"dtype": "bfloat16"}


UNUSABLE = {
    "--breakeven-devices=tpu": "unknown device 'tpu'; available: cpu, cpu@N",
    "--breakeven-devices=cuda:99": "device 'cuda:99' is not available: torch",
    "--breakeven-devices=cpu@0": "device 'cpu@0': '0' is not a number of threads; write cpu@1 or cpu",
    "--breakeven-devices=cpu,cpu": "device 'cpu' is named twice; name each device once",
    "--breakeven-phases=backwards": "unknown phase 'backwards'; choose from transfer, forward, backward,",
    "--breakeven-phases=train,train": "phase 'train' is named twice; name each phase once",
    "--breakeven-sweep=huge": "--breakeven-sweep: no function has a sweep 'huge'; sweeps here: full, smoke",
    "--breakeven-sweep=height=1": "no function sweeps 'height'; keys here: batch_size, bias, depth, dtype,",
    "--breakeven-sweep=batch_size=0": "--breakeven-sweep: batch_size=0 is not an integer of at least 1",
    "--breakeven-sweep=batch_size=many": "--breakeven-sweep: batch_size='many' is not an integer",
    "--breakeven-sweep=batch_size=1,1": "--breakeven-sweep: batch_size has the value 1 twice",
    "--breakeven-sweep=batch_size=1,": "cannot read 'batch_size=1,'; write each key once, as in batch",
    "--breakeven-sweep=width=wide": "--breakeven-sweep: width='wide' is no whole number, as 4 is",
    "--breakeven-sweep=dtype=float8": "--breakeven-sweep: dtype='float8' is none of float32, bfloat16",
    "--breakeven-sweep=bias=maybe": "--breakeven-sweep: bias='maybe' is none of True, False",
    "--breakeven-sweep=smoke full": "names two sweeps, 'smoke' and 'full'; name one",
    "--breakeven-sweep=width='4": "No closing quotation; write for instance 'batch_size=1,64 width=128'",
    "--benchmark-timer=time.process_time": "does not count waiting for a device; leave the option out",
    "--benchmark-max-time=0": "max_time_s=0.0 is not a positive number of seconds; use 1 or more",
    "--benchmark-max-time=inf": "max_time_s=inf is not a positive number of seconds",
}


@pytest.mark.parametrize("option", UNUSABLE)
def test_an_option_that_cannot_be_used_ends_the_run_with_one_line_and_exit_code_4(bench, usage_error, option):
    line = usage_error(bench.write(SWEEPS).raw("bench", option))

    assert UNUSABLE[option] in line


def test_an_absent_cuda_fails_instead_of_being_skipped(bench, usage_error, monkeypatch):
    monkeypatch.setattr("breakeven.hardware.devices.accelerator_kind", lambda: None)

    line = usage_error(bench.write().raw("bench", "--breakeven-devices=cpu,cuda"))

    assert "device 'cuda' is not available" in line


def test_ini_keys_stand_in_for_the_options_and_options_win(bench):
    bench.write(SWEEPS).pytester.makeini(
        "[pytest]\nbreakeven_devices = cpu@1, cpu\nbreakeven_phases = step\nbreakeven_sweep = full\n"
    )

    assert [name for name in bench.ids("bench") if "both" in name] == [
        "bench_both[1-64-cpu@1-step]",
        "bench_both[1-64-cpu-step]",
        "bench_both[8-64-cpu@1-step]",
        "bench_both[8-64-cpu-step]",
    ]
    assert [name for name in bench.ids(*FAST, "--breakeven-sweep=batch_size=7") if "both" in name] == [
        "bench_both[7-4-cpu-train]",
        "bench_both[7-8-cpu-train]",
    ]


def test_a_bad_ini_key_is_a_usage_error_too(bench, usage_error):
    bench.write(SWEEPS).pytester.makeini("[pytest]\nbreakeven_phases = nap\n")

    assert "unknown phase 'nap'" in usage_error(bench.raw("bench"))


def test_a_list_as_an_ini_key_is_a_usage_error(bench, usage_error):
    bench.write(SWEEPS).pytester.path.joinpath("tox.ini").unlink()
    bench.pytester.makepyprojecttoml('[tool.pytest.ini_options]\nbreakeven_devices = ["cpu@1", "cpu"]\n')

    line = usage_error(bench.raw("bench", "-W", "ignore::DeprecationWarning"))

    assert (
        "breakeven_devices=['cpu@1', 'cpu'] is no text; write for instance breakeven_devices = \"cpu" in line
    )


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest reads the types of TOML from version 9 on")
def test_an_ini_key_of_another_type_is_a_usage_error_and_no_error_of_collection(bench, usage_error):
    bench.write(SWEEPS).pytester.path.joinpath("tox.ini").unlink()
    bench.pytester.makepyprojecttoml("[tool.pytest]\nbreakeven_devices = 3\n")

    line = usage_error(bench.raw("bench"))

    assert line.startswith("breakeven_devices: ")
    assert "expects a string, got int: 3" in line


def test_phases_run_in_the_order_of_a_training_step_however_they_are_named(bench):
    bench.write()

    names = bench.ids("bench", "--breakeven-devices=cpu", "--breakeven-phases=train, transfer", "-k", "16")

    assert names == ["bench_plain[16-cpu-transfer]", "bench_plain[16-cpu-train]"]


def test_a_wrong_mark_is_told_even_where_the_choice_fits_nothing(bench):
    bench.write("@pytest.mark.sweep(batch_size=8)\ndef bench_wrong(train_benchmark, batch_size): ...")

    result = bench.run("--breakeven-sweep=full")

    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["bench_wrong: sweep(batch_size=8) is no list of values; *"])


def test_the_options_stand_in_the_help(bench):
    result = bench.raw("--help")

    result.stdout.fnmatch_lines(
        ["breakeven: CPU against accelerator*", "*--breakeven-sweep=NAME|KEY=VALUES*"]
    )


def test_the_mark_stands_among_the_markers(bench):
    bench.raw("--markers").stdout.fnmatch_lines(
        ["@pytest.mark.sweep(name=None, /, batch_size, [*][*]axes): *"]
    )
