"""Many runs over time: the store of runs, their series, change points, and which of them are meant.

`store` and `files` keep runs as immutable files, `scan` reads them all with one query, `series` makes series
of them, `noise`, `search`, `changes` and `newest` judge them (pure: arrays in, findings out), `accepted`
keeps what people decided, and `record` puts it all together. Nothing here prints or draws.
"""
