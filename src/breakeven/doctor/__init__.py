"""Checks that this machine is fit for timing, and that breakeven measures known times correctly.

`facts` reads the machine (and looks at it as a run does), `rules` turns facts into findings, `selftests`
checks breakeven against known results, and `output` has both as text and JSON. A new rule is a function in
`rules` and an entry in `RULES`.
"""
