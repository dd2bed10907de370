"""Checks that this machine is fit for timing, and that breakeven measures known times correctly.

`facts` reads the machine (`contention` samples the CPU), `rules` turns facts into findings, `selftests`
checks breakeven against known results, and `output` has both as text and JSON. A new rule is a function in
`rules` and an entry in `RULES`.

``breakeven doctor --format json`` writes (base units; null where unknown)::

    {"schema": 1, "fit": true, "summary": "...", "machine": {facts of its class},
     "load_average": [over 1, 5 and 15 minutes], "devices": [{"name", "device_name", "threads"}],
     "findings": [{"name", "level": "fine|noted|unfit|unreadable", "seen", "why", "remedy"}]}

and ``breakeven doctor --selftest --format json``::

    {"schema": 1, "passed": true, "summary": "...", "seconds": 12.3,
     "checks": [{"name", "reached", "at_least", "at_most", "unit": "|s|rounds|threads", "passed", "note"}]}

Shares are numbers between 0 and 1. Their JSON Schemas are in ``render/schemas``.
"""
