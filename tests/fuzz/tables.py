"""Changes to the Parquet files of a store: to their columns and rows, or to their bytes."""

import contextlib
from pathlib import Path
from random import Random

from fuzz.mutations import changed_bytes

_EXPRESSIONS = (
    "NULL", "'x'", "0", "-1", "1e308", "'nan'::DOUBLE", "'inf'::DOUBLE", "[]", "[NULL]::DOUBLE[]",
    "['a', NULL]", "[1e-300]",
    "'2026-01-01'::DATE", "'infinity'::TIMESTAMP", "'0001-01-01'::TIMESTAMP", "'290000-01-01'::TIMESTAMP",
    "true", "{{'a': 1}}",
    "'\\xff'::BLOB", "repeat('x', 100000)", "'::error::x'", "chr(27)", "'{{}}'", "'[1, 2]'",
    "'{{\"a\": [1e999]}}'",
    "repeat('[', 2000)", "9223372036854775807", "hash(\"{0}\")", "\"{0}\"::VARCHAR", "[\"{0}\"]",
    "CASE WHEN random() < 0.5 THEN \"{0}\" END",
)  # fmt: skip


def changed(path: Path, rng: Random) -> bytes:
    """Return the bytes of a file that was changed, now and then one of another table."""
    import duckdb

    if rng.random() < 0.3:
        return changed_bytes(path.read_bytes(), rng)
    made = path.with_name("changed.tmp")
    with duckdb.connect(config={"threads": 1}) as database:
        columns = [row[0] for row in database.execute(f"DESCRIBE SELECT * FROM '{path}'").fetchall()]
        database.execute(f"SELECT setseed({rng.random()})")
        with contextlib.suppress(duckdb.Error):  # an expression that a column cannot have
            database.execute(f"COPY ({_query(path, columns, rng)}) TO '{made}' (FORMAT parquet)")
    raw = made.read_bytes() if made.exists() else path.read_bytes()[:-1]
    made.unlink(missing_ok=True)
    return raw


def _query(path: Path, columns: list[str], rng: Random) -> str:
    column, source = rng.choice(columns), f"FROM read_parquet('{path}', hive_partitioning = false)"
    expression = rng.choice(_EXPRESSIONS).format(column)
    return rng.choice(
        (
            *[f'SELECT * REPLACE ({expression} AS "{column}") {source}'] * 6,
            f'SELECT * EXCLUDE ("{column}") {source}',
            f'SELECT *, 1 AS "{rng.choice(("other", "class", "filename"))}" {source}',
            f"SELECT * {source} WHERE random() < 0.5",
            f"SELECT * {source} LIMIT 0",
            f"SELECT * {source} UNION ALL SELECT * {source}",
            "SELECT 1 AS a, 'x' AS b",
        )
    )
