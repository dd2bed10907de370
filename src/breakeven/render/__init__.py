"""Renders analyzed values as text and figures; nothing is computed here, and torch is not loaded.

``report_*`` render a report in each format; `compare`, `history*` and `calibrate` render the other commands;
``figures/`` draws. They share `table`, `terminal`, `markdown`, `html`, `inline_svg`, and `escaping`, which
has a function for each output that contains strings from files. ``schemas/`` has the JSON Schemas of the
commands' outputs, ``templates/`` the pages.
"""
