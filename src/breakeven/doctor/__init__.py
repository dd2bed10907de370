"""Is this machine fit for timing, and does the harness read truths that it knows?

Beside `breakeven.plugin.session` the only place where both wings meet: `facts` reads the machine, `checkup`
judges it, `selftest` holds the harness against known truths, `faces` shows both. Prints nothing and never
exits.

``breakeven doctor --format json`` writes (base units; null where unknown)::

    {"schema": 1, "fit": true, "summary": "...", "machine": {facts of its class},
     "load_average": [over 1, 5 and 15 minutes], "devices": [{"name", "device_name", "threads"}],
     "findings": [{"name", "level": "fine|noted|unfit|unreadable", "seen", "why", "remedy"}]}

and ``breakeven doctor --selftest --format json``::

    {"schema": 1, "passed": true, "summary": "...", "seconds": 12.3,
     "checks": [{"name", "reached", "at_least", "at_most", "unit": "|s|rounds|threads", "passed", "note"}]}

Shares are numbers between 0 and 1. JSON Schemas of both stand in ``reporting/schemas``.
"""
