"""Analyzed values -> text and pictures; nothing is computed here, and no torch is loaded.

``report_*`` render a report for each format, `compare`, `history*` and `calibrate` the other commands,
``figures/`` draws. Shared by them: `table`, `terminal`, `markdown`, `html`, `inline_svg` and `escaping`,
one function for each place that a string from a file may end up in. ``schemas/`` has the JSON Schemas of
what the commands write, ``templates/`` the pages.
"""
