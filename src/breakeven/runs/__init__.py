"""Run files: their content, and the reader that all commands use.

- `schema`: reads one file into a checked `Run`; `json_files`: JSON, with the path of an invalid value;
  `large_files`: the same of a file of many MB, in less memory.
- `reader`: several files, for a report (`read`) or a side of a comparison (`read_side`).
- `machine`: machine classes; `look`: whether it was busy; `canary`: whether it changed during a run; `flags`:
flags from the rounds.
- `frame`: runs as a pandas frame.
- `journal`: what a run keeps while it measures; `journal_checks`: which of its lines are sound; `joining`:
  its processes joined; `recovery`: a run file of it.
- `merging`: several run files joined; `merged_parts`: whether they belong together; `merged_facts`: what
  the joined file has besides its cases.

A run file is a pytest-benchmark JSON file. Each benchmark of ours has in ``extra_info``

- required: ``schema`` (1), ``workload``, ``phase``, ``device`` (texts), ``batch_size`` (integer), ``axes``
(object);
- optional: ``processes`` (the number of rounds of each process, in the order of ``stats.data``, 0 where one
  gave none; absent: one process), the fields of `breakeven.runs.schema.CaseFacts`, in base units; ``flags``
  (list of texts, see `breakeven.flags`) with ``evidence``, for ``lost`` such as
  ``{"processes": {"3": "crashed: SIGSEGV"}}``;
  ``state`` (the machine around the rounds); ``target_precision``;
  ``settings`` (torch's process-wide settings that differed from the process's own, as texts).

``stats.data`` has every round in seconds, in the order they ran. A ``train`` with ``steps`` is a loop of that
many steps with one synchronization, and ``data`` the time of one step of it; without ``steps`` it is of
version 1, which synchronized after every step. On an accelerator the two are never compared or pooled.
``infer``, ``load`` and ``epoch`` have the time of one batch, and ``steps`` batches in a round.

Of a training step: ``accumulate`` (its passes, each over a batch of ``batch_size`` samples; the phases of a
pass time the last one), ``batches`` and ``batch_shapes`` (how many batches, and shapes of them, the step
takes in turn), each where above 1; ``batch_bytes`` (of the inputs and targets of a step); ``closure_calls``
(how often the optimizer called its closure per step, on average). Of ``load`` and ``epoch``:
``loader_workers``, ``loader_batches`` (of a whole pass over the data, where known) and ``loader_start_s`` (to
the first batch of a pass, with its workers unless they persist).

Of each phase that trains, for one step of it on an accelerator, counted whatever device was timed:
``operators`` (the kernel launches of one process), ``kernels`` (what the device runs one after another, where
that differs), ``flops_by_format`` (its operations as ``{"float32", "tf32", "bfloat16", "float16",
"float64"}``, those that it has) and ``moved_bytes`` (of a phase with passes: what its operators read and
write); or ``operators_unknown``, why there are no counts. `breakeven.predict` needs those of ``train``;
`compare` shows where ``operators`` and ``flops`` changed.

Beside the benchmarks, all optional:

- ``breakeven``: ``{"schema": 1, "command", "outcomes": [{"fullname", "outcome", "reason", "extra_info"}],
  "processes": [{"seed", "order", "canary", "retimed", "spent_s", "wall_s"}], "settings", "spent_s",
  "wall_s", "complete"}``. ``complete`` is false where the run was interrupted. An outcome is a case without a
  timing: ``skipped``, ``failed``, ``oom``, ``timeout`` or ``crashed``. ``order`` lists the cells as a process
  ran them. A group of processes that measured a device together has a record of its own, with the ``device``.
  Of one shard of a sweep: ``"shard": {"index", "count", "cells", "sweep_cells", "sweep_id"}``; ``index`` is
  from 1, ``cells`` the number of its cells, and ``sweep_id`` a hash of all cases of the sweep. In a merged
  file: ``"parts": [{"id", "processes", "run"}]``; ``run`` is the rest of the part's own file, ``processes``
  its number of processes. ``missing_shards`` are those that were not merged, such as ``["2/4"]``.
  ``extra_info.part`` names the part of a benchmark, whose ``processes`` begin with those of earlier parts.
- ``machine_info.breakeven``: ``{"class": {...}, "class_id", "instance_id", "state"}``; the state has
  ``look`` (a `breakeven.fitness.Look`, before the first case) and ``loads`` (a `Load` between two processes
  each), the canary, and ``retimed``, the cell that was timed again at the end. Runs of one class are
  replicates of each other. Two classes are the same if their ids are, or if they agree in every fact that
  both record: a fact that only one of two files records is a warning. A file without a class is of the class
  of its CPU, system and Python, as pytest-benchmark recorded them.

`report` reads files with our required keys and every round. `compare` and `history` read every
pytest-benchmark file: a case without our keys is identified by its ``fullname``, and ``stats.median`` does
without ``stats.data``. A missing, NaN, negative or mistyped value that would affect a result is rejected
with one line: file, field, remedy; so are empty and truncated files, and those of a newer schema.
"""
