"""Two sides of runs compared case by case: `breakeven compare`, `ab` and `calibrate`.

- `comparison`: the verdict on every case and on the whole.
- `reliability`: what limits a comparison, such as single runs or a drift between the sides.
- `machine_class`: whether the runs are of one machine class, and in which fields they differ.
- `noise_floor`: the run-to-run noise of a machine, stored by `calibrate`, and what can be detected in it.
- `common_shift`: what all cases share, and whether the machine explains it.
- `phase_attribution`: which phase of a training step changed.
- `text`: all of it in sentences, made once for every output format.
"""
