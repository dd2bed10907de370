"""Measuring: how a case is timed.

`runner` takes a case from its recipe to the facts that the run file records of it. It uses `workload` (what
trains), `cells` and `trainer` (its copy on a device, and what a workload asks for beyond its model),
`cuda_graphs`, `timing` and `parts` (rounds, warm-up, plan), `loss_check`, `flops`, `monitor`, `canary`,
and `skips` and `outcomes` (cases without a timing). `simulated` is a device on which timings are exact.

The method
----------
A recipe is called once for each cell, with torch seeded; it builds model and batch on the host. Each device
gets its own copy of the model. Every case starts from the initial weights, a new optimizer and the same seed.

A round first prepares, untimed: it finishes the last round's training step, drops the results, and runs the
parts before the phase. It then synchronizes, reads the clock, runs the parts of the phase, synchronizes, and
reads the clock. So a phase is timed within a whole training step, and ``train`` waits for the device after
each step.

The first call is timed separately, and so are the device's initialization, the model's transfer, compiling
and the capture of CUDA graphs: each is recorded once. The warm-up takes at least 6 rounds and 50 ms (150 ms
on an accelerator), at most ``max_time``, and ends when the last quarter of the times has the same median as
the quarter before, within 1% or two standard errors.

The number of timed rounds is planned from the noise and the correlation of the warm-up's last half (up to 100
rounds), so that the median's 95% interval reaches the target precision: 16 or more (40 where they are cheap),
up to 1,000, as ``max_time`` allows, and never fewer than ``min_rounds``. pytest-benchmark times them,
after up to 50 untimed ones, with the garbage collector off.

Warnings are shown, never errors, while a case is built and measured: a project's ``filterwarnings = error``
is for its tests.

Outside of the timed rounds: for ``train``, six more rounds with marks between the parts (device events; on a
CPU, the clock), and on an accelerator six that time how long the host is busy queueing. Afterwards floating
point operations are counted on the meta device (where that takes long, for two batch sizes of a model, and
scaled to others if these two are in proportion), and the minimum of moved bytes is computed.

The loss check: the first two losses of a case must agree with the CPU's from the same weights, within a
tolerance by dtype, else the case fails. With CUDA graphs the second and third losses are compared. A workload
whose losses depend on the seed is recorded as random and not compared; nor is one whose steps are predicted
to take too long on the CPU. A loss that is NaN or infinite always fails the case.

Skips: a case is not timed when its ``min_rounds`` would take more than five times its ``max_time``, as
measured or as predicted from the two largest smaller batches. After out of memory, larger batches of the same
model on the same device are skipped; after a case that takes too long, the same and later phases at the same
and larger batches. A lost device is not used again in the same process.

The machine's state (main thread's share, involuntary switches, load, GPU) is read right before and right
after the timed rounds; flags follow from it. The canary, a fixed piece of work, is timed at the start, the
middle and the end of a run on each device.
"""
