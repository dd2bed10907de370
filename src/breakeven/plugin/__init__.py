"""The pytest plugin: ``pytest bench --benchmark-json=run.json`` times every case of every sweep.

`hooks` has pytest's hooks, the options and the `train_benchmark` fixture. `collection` turns ``bench_*.py``
files into cases, with the values that `sweeps` reads from the mark; `selection` restricts them to a list, and
`sharding` to a shard.
`options` are the user's, `plan` lists what will be measured. The pytest that a user starts is the
`coordinator`: it starts measuring processes (`launching`, `assignment`), each of which is the same pytest
with the plugin `worker`, reads their journal, and replays the rounds into pytest-benchmark. `session` is what
both have in common, `measuring` that of a process that times cases, `replaying` the coordinator's;
`case_clock` is what pytest-benchmark reads in either. `counting` replaces all of them where ``breakeven
predict`` starts pytest to count steps, with the cells that `wanted` finds. `busy` looks at other programs.
`progress` is printed during the run, with the time left by `estimate`, and `summary` at its end; `output`
writes the run file.

pytest exits with 4 for an option or a run file that cannot be used, with 1 if a case failed or crashed in any
process or the results cannot be written, and with 5 if no case is left to run. Cases that ran out of memory
or time, or would take too long, are skips.

Every pytest session loads `hooks`. Until a sweep is collected it changes nothing and imports nothing heavy;
the first sweep imports `session`, and with it torch.
"""
