"""Measuring: how a case is timed.

`runner` takes a case from its recipe to the facts that the run file records of it. It uses `workload` (what
trains), `cells` and `trainer` (its copy on a device, and what a workload asks for beyond its model),
`optimizers`, `losses`, `closures`, `training` (a step of the user's own), `checkpointing`, `loading` and
`loading_trainer` (the batches of a loader), `state` and `settings` (what is restored), `cuda_graphs`,
`thread_search` (for ``cpu@best``), `timing`, `parts` and `sustained` (rounds, warm-up, plan), `together`
(several processes), `earlier` (what a later process takes over), `loss_check`, `flops`, `monitor`,
`canary`, `look`, and `skips` and `outcomes` (cases without a timing). `simulated` is a device on which
timings are exact.

The method
----------
A recipe is called once for each cell, with torch's, Python's and numpy's generators seeded; it builds model
and batch on the host. Each device gets its own copy of model and loss, made together, and the optimizer gets
the copy's parameters. Process-wide settings of torch that a recipe or a model changes (`settings`) are in
effect for the recipe's own cases, recorded there, and restored afterwards.

Every case starts from the initial state of model and loss, a new optimizer and the same seed. After its first
step its state is kept: weights, buffers, the optimizer's state, and whatever hangs on the modules as plain
attributes (`state`). Every 300 steps, or before each round of a longer loop, it returns to that state,
untimed, and does one untimed step: a batch that is learned by heart would fill the optimizer's averages with
subnormal numbers, which slow down a CPU and not a GPU.

``cpu`` uses the number of threads that torch uses by default, reduced to the process's affinity and quota.
For ``cpu@best`` a few training steps of each cell are timed on 1, 2, 4, ... threads, torch's default, and all
logical CPUs, from the default down and up until a number is clearly slower; all phases of the cell are timed
with the fastest.

A round first prepares, untimed: it finishes the last round's training step, drops the results, and runs the
parts before the phase. It then synchronizes, reads the clock, runs the parts of the phase, synchronizes, and
reads the clock. So a phase is timed within a whole training step.

A round of ``train``, the headline, is a training loop: K whole steps back to back, one synchronization after
the last, divided by K, which is recorded as ``steps``. It is so on every device. K makes a round last up to
50 ms, or ``max_time / min_rounds`` where that is shorter; it is at least 1 (for slow steps) and at most
1,000. ``train_sync``, on request, is one step with a synchronization at its end, as in a loop that reads
``loss.item()`` in every step: no launch of the next step hides behind the device's work.

A step of several passes (``accumulate``) is one step: ``train`` times all of its passes, ``transfer``,
``forward`` and ``backward`` the last one, ``step`` what follows it: clipping, the optimizer, the gradient
scaler and the scheduler. Times of parts are totals of the step. With several batches every round has each of
them equally often, so a time is the mean over the batches: K is a multiple of what makes whole cycles, and a
round of another phase is the mean of one timing, with its own preparation, for each batch. The state that a
case returns to includes the scheduler, the scaler and the order of the batches. If the scaler skips the first
step, that step is repeated, untimed, until it does not.

``infer`` is a loop too, without optimizer and graph: the inputs of the next batch are copied, and the model
runs on them in eval mode, under one `torch.inference_mode` for all of the loop.

``load`` and ``epoch`` are loops over the batches of a ``DataLoader``: K times the next batch, on the host
alone, or K batches trained on; ``data`` is per batch. K is at least twice the number of workers and a
multiple of it, because batches arrive in bursts. Before each round as many batches as the workers may hold
ready are used, untimed, in the same way, so that a round begins as in the middle of a loop. It stays within a
pass over the loader where one is long enough, and else has starts of passes in it, as a training script has.
The loader is copied for each case, and its workers end with the case; each is killed by the kernel (Linux)
when the process that started it dies. Their CPU time counts as the case's own. A worker that gives no batch
for as long as the case may still take ends it as ``timeout``, and an error of one as its own. ``loader_*``
are the number of workers, the batches of a pass, and the seconds that the first pass takes to give a batch. A
workload with a loader alone is trained on the loader's first batch in other phases. On devices of
several processes and with CUDA graphs, loaded batches are skipped.

The first call is timed separately, and so are the device's initialization, the model's transfer, compiling
and the capture of CUDA graphs: each is recorded once. The first call, of whatever length, decides neither the
rounds nor a skip: at least two calls after it do. The warm-up takes at least 6 rounds and 50 ms (150 ms on an
accelerator; a third of it if the case before was of the same cell and device), at most ``max_time`` (a few
rounds that stall do not count in full), and ends when the last quarter of the times has the same median as
the quarter before, within 1% or two standard errors. That of a loop repeats shorter loops, of a sixteenth of
its steps.

A run may consist of several processes, each of which has its part of a case's time and rounds. A later one
does not repeat what the first one found: the CPU's losses (a device's are still compared with them, and where
they differ, with those that the CPU computes in this process), operations and bytes, the times of the parts,
the number of threads of ``cpu@best``, and ``steps``. It warms each device up once. After that a case is warm
as soon as three times in a row agree (within 1%, or 3.3 times the noise) and are near the level of the
earlier processes: within a factor of 1.5, or of two standard deviations between them. Where they are not
near, the warm-up is the usual one. What an earlier process timed is not skipped for its time. Phases other
than ``train`` have ``min_rounds`` in it, and ``train`` no more rounds than matter beside the spread between
the processes; what would take more than twice the time has fewer rounds, at least 2. Of a step that takes
longer than the time of a case, the first call is the warm-up, and only the first loss is compared.

A device of several processes (``2xcuda``, ``2xcpu``, or ``1xcuda``, which shows what the wrapper itself
costs) trains one model in as many ranks (`together`), each on its consecutive slice of the batch along
dimension 0: a tensor whose dimension 0 is not a multiple of the batch size is a recorded skip.
The model runs in `DistributedDataParallel`, or under FSDP2 with ``Workload(fsdp=True)`` (`parallel`), which
has no effect on other devices; a loss with parameters likewise. Rank 0 decides everything and announces what
it does (`leading`) over gloo, beside what the training exchanges; the others do the same (`following`). Every
rank begins a round after a barrier and reads its own clock; a round takes as long as the slowest rank, round
by round. The parts of a step, memory, clocks and temperature are rank 0's. ``flops`` and ``moved_bytes`` are
those of all ranks, so of the global step; CPU time is that of all ranks too. ``init_s`` are the seconds of
joining, the first exchange and the device's context included, before any case. Rank 0's first loss is
compared with the CPU's of its slice; after the first step all replicas must hold the same parameters, bit by
bit. CUDA graphs are skipped there.

``train_no_sync`` is ``train`` without communication. With `DistributedDataParallel` that is `no_sync`: the
gradients stay with each rank, and buffers are sent once, before the first step of the case. With FSDP2 every
rank gathers the parameters once and keeps them; from then on nothing is sent, and the optimizer steps its
part of the parameters with gradients of 0. So its memory is that of whole parameters and gradients.

An error of one rank ends the case with its reason, at the end of what rank 0 has announced. Where the others
wait for that rank in the training, it gives them 5 s, leaves its reason, and ends.

The number of timed rounds is planned from the noise and the correlation of the warm-up's last half (up to 100
rounds), so that the median's 95% interval reaches the target precision: 16 or more (40 where they are cheap;
8 of a loop of several steps, over which the noise is averaged), up to 1,000, as ``max_time`` allows, and
never fewer than ``min_rounds``, except of a slow headline. pytest-benchmark times them, after up to 50
untimed ones, with the garbage collector off.

Warnings are shown, never errors, while a case is built and measured: a project's ``filterwarnings = error``
is for its tests.

With a ``max_time`` of 30 s or more, the ``train`` of an accelerator is timed for all of it if queueing a step
takes at most half of the step; the warm-up then takes at most 1 s. Its burst is the median of the rounds that
end in the first 2 s of load, with those of the warm-up if they are fewer than 6, and its sustained time that
of the last half of the load, which begins with the warm-up.

Outside of the timed rounds: for whole steps, six more rounds with marks between the parts (device events; on
a CPU, the clock), and on an accelerator six that time how long the host is busy queueing one step; of a slow
step, as many as fit into ``max_time``. Afterwards floating point operations are counted on the meta device
(where that takes long, for two batch sizes of a model, and scaled to others if these two are in proportion),
and the minimum of moved bytes is computed.

The loss check: the first two losses of a case must agree with the CPU's from the same weights, within a
tolerance by dtype, else the case fails. With CUDA graphs the second and third losses are compared. A workload
whose losses depend on the seed is recorded as random and not compared; nor is one whose steps take too long
on the CPU, as measured there or as predicted. A loss that is NaN or infinite always fails the case.

Skips: a case is not timed when its ``min_rounds`` would take more than five times its ``max_time``, as
measured or as predicted from the two largest smaller batches. After out of memory, larger batches of the same
model on the same device are skipped; after a case that takes too long, the same and later phases at the same
and larger batches, unless other programs slowed it down; ``infer`` and ``load`` only after cases of their
own. ``train``, ``infer``, ``load`` and ``epoch`` are never skipped to save time: they have as many rounds as
fit into five times ``max_time``, and at least 2. A case that takes longer than
``--breakeven-timeout``, everything included, starts no further round; without two timed rounds its outcome is
``timeout``. A lost device is not used again in the same process.

An optimizer with a closure does the passes within its step: ``step`` and ``train`` time all of them, the mean
number of evaluations is ``closure_calls``, and operations are multiplied by it. One with more than two
evaluations (`closures`) learns a batch by heart within a few steps, after which it evaluates once: every
round is the same step, the last of the first six that evaluates as often as the first one does. Of it only
the first step's loss is compared, by its second evaluation, because rounding grows to percents within a step.

Of a training step of the user's own, the operations of the whole step are counted, the losses that it returns
are added up and compared, and the first step must change the copy and leave the recipe's own model alone.
What checkpointing computes again is timed and not counted as operations.

The machine's state (GPU, load, CPU time of the main thread, of this process and of others) is read before the
warm-up and right before and after the timed rounds, and clocks, power and temperature of an NVIDIA GPU also
between them, at most every 0.25 s; flags follow from all of these. A case is `contended` if it lost more than
a tenth of a core: its main thread waited for one, other programs ran where none was free for its threads, or
a hypervisor took the time. It is `subnormal` if a thousandth of the numbers in its parameters, gradients,
buffers and optimizer are subnormal after the rounds.

Before the first case a look at the machine counts the CPU time that other programs and the hypervisor take
while as many threads spin as are measured, and times the canary on one thread and on all. The machine is busy
if others take more than a quarter of a CPU from these threads (the median of three windows of 0.3 s; one, if
that is idle), or if the canary takes over ten times as long on all threads as on one while they spin for each
other. The run goes on; the look is recorded, and makes its results ones that cannot be trusted.

The canary, a fixed piece of work, is timed at the start, the middle and the end of a run on each device. A
run takes its cells in an order shuffled by a seed, first the last cell of each workload, and times the first
one again after the last: its headline phase, or else its last compared one, on each device.
"""
