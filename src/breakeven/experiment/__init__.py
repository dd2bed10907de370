"""Running commands that write run files, on this machine: two by turns, or one again and again.

Owns the order, the working folder and the processes. Knows what a run file is by `breakeven.report` only,
measures nothing itself and prints nothing: what there is to say goes to whoever calls.
"""
