"""Experiments: commands that write run files are run several times on this machine.

A run of an experiment is one measuring process, and each is a replicate. `schedule` has the order of the runs
and the limits of ``ab``, `ab` follows it, and `looks` decides cases after each pair. `run_command` starts a
command, once or several times for ``calibrate``, in a `shell` and keeps its run file in a `workspace`, where
an interrupted experiment resumes. `count_request` is for a pytest that counts instead of timing. Nothing here
prints: messages go to a function that the caller passes.
"""
