"""Statistics on plain arrays: no files, no data frames, no clock, and every random draw from a given seed.

- `intervals`: the 95% interval of a median, and of a ratio of two medians, from the rounds of one process.
- `processes`: the same over processes, with variances that similar cases improve, and draws that they share.
- `drift`: one step in the rounds of a case.
- `crossing`: the batch size from which one device is faster than another, with its interval and status.
- `regression`: ratio, test and verdict of each case between two sets of runs; `verdict` lists the verdicts.
- `empirical_bayes`: run-to-run variances of many cases, each improved by the noise of all cases.
- `change_points`: where the level of a series of runs changed; `segmentation` is the search it uses, and
  `ar1_noise` the noise of a series whose runs correlate.
- `prediction`: the interval for the newest run of a series, and its verdict.
- `significance`: p-values of Student's t distribution, and the false discovery rate.

Docstrings cite the papers of each method. The modules import ``scipy.special``, never ``scipy.stats``:
importing that takes 0.8 s, longer than a whole report. Ranks, Student's t distribution and the false
discovery rate are computed here for that reason.
"""
