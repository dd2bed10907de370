"""The pytest plugin: ``pytest bench --benchmark-json=run.json`` times every case of every sweep.

`hooks` has pytest's hooks, the options and the `train_benchmark` fixture. `collection` turns ``bench_*.py``
files into cases, with the values that `sweeps` reads from the mark; `selection` restricts them to a list.
`options` are the user's, `plan` lists what will be measured, `session` measures it. `progress` is printed
during the run and `summary` at its end; `output` writes the run file.

pytest exits with 4 for an option or a run file that cannot be used, with 1 if a case failed or crashed, and
with 5 if no case is left to run. Cases that ran out of memory or would take too long are skips.

Every pytest session loads `hooks`. Until a sweep is collected it changes nothing and imports nothing heavy;
the first sweep imports `session`, and with it torch.
"""
