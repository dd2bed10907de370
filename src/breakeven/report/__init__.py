"""Analyzes runs: the values of a report, and its sentences.

`report.analyze` puts it together: `estimates` (a median with its interval a case), `ratios` (of two cases,
process by process), `baseline` and `speedup` (device against device), `break_even` (over batch sizes),
`what_if` (other circumstances), `variant_timings` and `best_against_best` (each device at its fastest
variant), `money` (dollars, other thresholds), `changes` (all of these as texts), `startup_cost` (steps to pay
back the start), `bottleneck` and `bound` (what bounds a step), `waiting` (what synchronizing in every step
costs), `variants` (ways to be faster), `launches` (machines whose launches vary), `processes` (what rests on
one), `processes_needed` (how many would decide what is open), `phase_sums` (do the phases add up),
`throughput` (work a second), `comparability` (green, amber, red), `warnings`, `text` (the verdict) and
`details` (sentences), `frame` (the cases for pandas).

Every row has an identity (`breakeven.case`): a `CaseKey` for one cell, a `Line` over batch sizes.
"""
