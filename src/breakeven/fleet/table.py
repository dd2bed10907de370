"""The state of a fleet: a table that is redrawn on a terminal, else a line for each change."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from breakeven.fleet.schedule import Row, State
from breakeven.format import duration, shortened

if TYPE_CHECKING:
    from rich.table import Table

MAX_ROWS = 40
"""Of a larger fleet the running nodes are shown, then the others as far as there is room."""

_ORDER = (State.RUNNING, State.WAITING, State.LOST, State.FAILED, State.DONE)


class Display:
    """Shows the rows of a schedule.

    Args:
        rows: returns all of them.
        clock: seconds, as the rows have them.
        notify: shows a line; used where there is no terminal.
        console: rich's, None for plain lines.
    """

    def __init__(
        self,
        rows: Callable[[], Iterable[Row]],
        clock: Callable[[], float],
        notify: Callable[[str], None],
        console: Any,
    ) -> None:
        self._rows = rows
        self._clock = clock
        self._notify = notify
        self._shown: dict[str, State] = {}
        self._live: Any = None
        if console is not None:
            from rich.live import Live

            self._live = Live(
                console=console, get_renderable=self.table, refresh_per_second=2, transient=True
            )

    def __enter__(self) -> Display:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live is not None:
            self._live.stop()

    def changed(self, row: Row) -> None:
        """Show a row that has changed; plain lines leave out its progress and what was reported already."""
        place = row.place
        is_new = self._shown.get(place.run_name) is not row.state
        self._shown[place.run_name] = row.state
        if self._live is None and is_new and row.state in (State.RUNNING, State.DONE):
            took = f" in {duration(self._clock() - row.began_s)}" if row.state is State.DONE else ""
            self._notify(f"{shortened(place.machine.label, 60)}, {place.label}: {row.state}{took}")

    def table(self) -> Table:
        """Return the table."""
        from rich.table import Table
        from rich.text import Text

        rows = sorted(self._rows(), key=lambda row: _ORDER.index(row.state))
        table = Table("machine class", "machine", "state", "cases", "time", box=None)
        for row in rows[:MAX_ROWS]:
            since_s = row.began_s if row.state in (State.RUNNING, State.WAITING) else row.since_s
            table.add_row(
                Text(shortened(row.place.machine.label, 50)),
                Text(shortened(row.place.label, 24)),
                row.state,
                Text(row.progress),
                duration(self._clock() - since_s) if row.state in (State.RUNNING, State.WAITING) else "",
            )
        if rows[MAX_ROWS:]:
            table.caption = f"and {len(rows) - MAX_ROWS} more nodes"
        return table
