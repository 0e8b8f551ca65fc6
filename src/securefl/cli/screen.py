"""What a verb prints: for people through rich, for programs as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from securefl.errors import ConfigError
from securefl.report.files import json_text, write

_WIDEST = 100


class Screen:
    """The terminal of one verb. When JSON goes to stdout, people read stderr.

    Texts are shown as they are: names and messages cannot smuggle in markup.

    Args:
        json: the file that `--json` named, "-" for stdout, or None.

    Raises:
        ConfigError: that file has no directory to stand in.
    """

    def __init__(self, json: str | None = None) -> None:
        if json not in {None, "-"} and not Path(str(json)).absolute().parent.is_dir():
            raise ConfigError(f"--json {json}: there is no such directory", remedy="make it first")
        self._json = json
        self.console = Console(stderr=json == "-", highlight=False, markup=False, emoji=False)
        self.console.width = min(self.console.width, _WIDEST)

    @property
    def live(self) -> bool:
        """Whether lines can be redrawn."""
        return self.console.is_terminal

    def title(self, text: str) -> None:
        """A heading."""
        self.console.print()
        self._show(Text(text, style="bold"))

    def line(self, text: str = "", *, style: str = "", indent: int = 0) -> None:
        """A paragraph; wrapped at the width of the screen."""
        self._show(Padding(Text(text, style=style), (0, 0, 0, indent)) if indent else Text(text, style=style))

    def long(self, text: str) -> None:
        """A line that is not wrapped, because it is to be copied: a path, a key."""
        self.console.print(Text(text), soft_wrap=True)

    def item(self, text: str, *, style: str = "") -> None:
        """A point of a list."""
        grid = Table.grid(padding=(0, 1))
        grid.add_row("  -", Text(text, style=style))
        self._show(grid)

    def pairs(self, rows: Mapping[str, str]) -> None:
        """Names and values, aligned."""
        grid = Table.grid(padding=(0, 2))
        for name, value in rows.items():
            grid.add_row(Text(name, style="dim"), Text(value))
        self._show(Padding(grid, (0, 0, 0, 2)))

    def table(self, *columns: str, rows: Sequence[tuple[str, ...]], numbers: bool = False) -> None:
        """A table; `numbers` aligns every column but the first to the right."""
        table = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1))
        for place, column in enumerate(columns):
            table.add_column(column, justify="right" if numbers and place else "left", overflow="fold")
        for row in rows:
            table.add_row(*(Text(cell) for cell in row))
        self._show(Padding(table, (0, 0, 0, 2)))

    def check(self, status: str, style: str, name: str, finding: str, remedy: str) -> None:
        """One examined thing: how it stands, and what to do."""
        grid = Table.grid(padding=(0, 2))
        grid.add_column(width=4)
        grid.add_column(width=14)
        grid.add_column(overflow="fold")
        grid.add_row(Text(status, style=style), Text(name), Text(finding + (f" -> {remedy}" if remedy else "")))
        self._show(grid)

    def json(self, data: Mapping[str, Any]) -> None:
        """The result for programs, where `--json` asked for it."""
        if self._json == "-":
            sys.stdout.write(json_text(data))
        elif self._json is not None:
            write(self._json, json_text(data))

    def _show(self, what: RenderableType) -> None:
        """Print; into a file or pipe without the spaces that fill a terminal's lines."""
        if self.live:
            self.console.print(what)
            return
        with self.console.capture() as captured:
            self.console.print(what)
        for line in captured.get().splitlines():
            self.console.file.write(line.rstrip() + "\n")
