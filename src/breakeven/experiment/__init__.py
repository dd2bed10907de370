"""Experiments: commands that write run files are run several times on this machine.

`schedule` has the order of the runs and the limits of ``ab``, `ab` follows it, and `retest` chooses the cases
to time again. `run_command` starts a command, once or several times for ``calibrate``, in a `shell`
and keeps its run file in a `workspace`, where an interrupted experiment resumes. Nothing here prints:
messages go to a function that the caller passes.
"""
