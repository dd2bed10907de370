"""Measures a benchmark folder on every machine class of a Ray cluster.

A node reports its machine class, `plan` groups the nodes by it, `schedule` lets some nodes of each class run
the user's pytest command and collects what they write, and `ray_executor` is the only module that loads Ray.
`node` is the code that runs on the nodes.
"""
