"""Runs over time: a store of runs, their series, and what changed in which commit.

`store` writes runs and `query` reads them, in a `folder` or a `bucket`, which `storage` opens; `series` turns
their cases into series of four quantities; `check` judges every series with `breakeven.stats`. `accepted`
reads and writes the file of intended changes, `accept` decides what is added to it. `warnings` and `text`
make the sentences. Nothing here prints or draws.
"""
