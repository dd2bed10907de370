"""The options of the plugin and their texts."""

from __future__ import annotations

import pytest


def add_options(parser: pytest.Parser) -> None:
    """Add the options, and ini keys of the same names."""
    group = parser.getgroup("breakeven", "breakeven: CPU against accelerator, for training")
    for name, metavar, text in (
        ("devices", "NAMES", "comma-separated: cpu (torch's default number of threads), cpu@4 (4 threads), "
         "cpu@best (the fastest number for each cell), cuda, cuda:1, mps, xpu; 2xcuda: that many processes, "
         "started by torchrun, train together under DistributedDataParallel, each on a GPU of its own and "
         "on its part of the batch, which their number must divide; 2xcpu likewise. "
         "Default: cpu and the accelerator; cpu@1,cpu where there is none."),
        ("phases", "NAMES", "comma-separated: transfer, forward, backward, step, train; train_sync: a step "
         "that waits for the device, as loss.item() does; train_no_sync, only on devices of several "
         "processes: training without their communication; infer: the model in eval mode, with the copy of "
         "its inputs; load: the next batch of the loader; epoch: load and train. Default: transfer, forward, "
         "backward, step, train; on devices of several processes also train_no_sync."),
        ("sweep", "NAME|KEY=VALUES", "the sweep of this name (functions without it run their default), or "
         "other values for its arguments, as in 'batch_size=1,64 width=128'. Every function has 'short': the "
         "smallest and the largest values of its sweep 'full', else of its default; and 'weak': its sweep of "
         "that name, else its default, with batch sizes per process (64 is a batch of 128 on 2xcuda)."),
        ("shard", "K/N", "measure only the K-th of N shards of the sweep, K from 1: a hash assigns each cell "
         "to one, with all its devices and phases. `breakeven merge` joins their run files; its --help has "
         "recipes for clusters. An empty shard exits with 5. Default: every cell."),
        ("timeout", "SECONDS", "end a case that takes longer in a process, all included; it keeps the rounds "
         "that it has, if enough. In pytest's own process (--breakeven-processes=0) nothing ends a hanging "
         "round. Default: 600."),
        ("seed", "N", "the seed of the order in which cells are timed. Default: 0."),
        ("processes", "N", "measure in N fresh processes, one after another, each with 1/N of the time: how "
         "much a time differs from process to process decides how well it is known. 0: in pytest's own "
         "process, as with --pdb. Default: BREAKEVEN_PROCESSES, or 5."),
        ("wait_idle", "DURATION", "before the first case, wait up to this long, as in 5m, until other "
         "programs leave the CPUs alone. Default: measure at once, with a warning on a busy machine."),
    ):  # fmt: skip
        group.addoption(f"--breakeven-{name.replace('_', '-')}", metavar=metavar, help=text)
        parser.addini(f"breakeven_{name}", help=text, default="")
    group.addoption(
        "--breakeven-resume", action="store_true",
        help="go on with a run that died or was stopped: its finished cases are in RUN.json.journal.",
    )  # fmt: skip
