"""Checks that this machine is fit for timing, and that breakeven measures known times correctly.

Also that its accelerator is as fast as a card predicts for its class.

`facts` reads the machine (and looks at it as a run does), `rules` turns facts into findings, `selftests`
checks breakeven against known results, and `output` has both as text and JSON. A new rule is a function in
`rules` and an entry in `RULES`.

`probes` has training steps that each depend on one number of a card, `probe_process` times them in a process
of its own, `against` compares them with the card, and `against_output` shows that.
"""
