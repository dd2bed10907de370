"""Two sides of runs compared case by case: `breakeven compare`, `ab` and `calibrate`.

- `comparison`: the verdict on every case, and the overall one.
- `reliability`: what limits a comparison, such as single runs or drift between the sides.
- `machine_class`: whether the runs are of one machine class, and in which fields they differ.
- `noise_floor`: the run-to-run noise of a machine, stored by `calibrate`, and what can be detected in it.
- `common_shift`: what all cases share, and whether the machine explains it.
- `work_changes`: exact changes of what a step does: its operators and operations.
- `phase_attribution`: which phase of a training step changed.
- `text`: the comparison as sentences, the same in every output format.
"""
