"""What a long benchmark is doing, on stderr: a bar where it is a terminal and rich is there, else a line a case."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar


class Progress:
    """Told what is being measured. It draws only when told something, never while a clock runs."""

    def __init__(self, bar: Bar | None = None) -> None:
        self._bar = bar
        self._task = bar.add_task("", total=None) if bar else None
        self._case = ""
        self._started = time.monotonic()

    def case(self, text: str) -> None:
        """Another case begins."""
        self._case = text
        if self._bar is None:
            print(f"[{time.monotonic() - self._started:6.1f} s] {text}", file=sys.stderr, flush=True)
        else:
            self._draw(text, 0, None)

    def step(self, name: str, done: int, total: int) -> None:
        """So many of the clients of a case have taken a step."""
        if self._bar is not None and (done == total or done % max(1, total // 50) == 0):
            self._draw(f"{self._case}: {name}", done, total)

    def _draw(self, text: str, done: int, total: int | None) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, description=text, completed=done, total=total)
            self._bar.refresh()


@contextlib.contextmanager
def shown() -> Iterator[Progress]:
    """The progress of one benchmark; when interrupted it says so, without a traceback."""
    with _bar() as progress:
        try:
            yield progress
        except KeyboardInterrupt:
            raise SystemExit("interrupted; nothing was written") from None


@contextlib.contextmanager
def _bar() -> Iterator[Progress]:
    if not sys.stderr.isatty() or importlib.util.find_spec("rich") is None:
        yield Progress()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as RichProgress

    columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn())
    console = Console(stderr=True, highlight=False, markup=False)
    with RichProgress(*columns, console=console, auto_refresh=False, transient=True) as bar:
        yield Progress(bar)
