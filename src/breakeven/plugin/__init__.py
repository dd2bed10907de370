"""The pytest plugin: ``pytest bench --benchmark-json=run.json`` times every case of every sweep.

`hooks` has pytest's hooks, the options and the `train_benchmark` fixture. `collection` turns ``bench_*.py``
files into cases, with the values that `sweeps` reads from the mark; `selection` restricts them to a list.
`options` are the user's, `plan` lists what will be measured, `session` measures it; `step_clock` lets
pytest-benchmark store the time of one step of a loop. `progress` is printed during the run, with the time
left by `estimate`, and `summary` at its end; `output` writes the run file.

pytest exits with 4 for an option or a run file that cannot be used, with 1 if a case failed or crashed, and
with 5 if no case is left to run. Cases that ran out of memory or time, or would take too long, are skips.

Every pytest session loads `hooks`. Until a sweep is collected it changes nothing and imports nothing heavy;
the first sweep imports `session`, and with it torch.
"""
