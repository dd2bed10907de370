"""Analyzes runs: the values of a report, and its sentences.

`report.analyze` puts it together: `estimates` (a median with its interval per case), `baseline` and `speedup`
(device against device), `break_even` (over batch sizes), `what_if` (other scenarios), `startup_cost`
(steps to pay back the start-up time), `bottleneck` (what bounds a step), `variants` (ways to be faster),
`phase_sums` (do the phases add up), `throughput` (work per second), `comparability` (green, amber, red),
`warnings`, `verdict` and `text` (sentences), `frame` (the cases for pandas).

Every row has an identity (`breakeven.case`): a `CaseKey` for one cell, a `Line` over batch sizes.
"""
