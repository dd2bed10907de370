"""Checks that this machine is fit for timing, and that breakeven measures known times correctly.

`facts` reads the machine (`contention` samples the CPU), `rules` turns facts into findings, `selftests`
checks breakeven against known results, and `output` has both as text and JSON. A new rule is a function in
`rules` and an entry in `RULES`.
"""
