"""A file of lines that are appended durably, by one holder at a time: what used-file and receipt book stand on."""

from __future__ import annotations

import contextlib
import io
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from securefl.errors import ConfigError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]


class Journal:
    """Lines in a file, which is opened anew for each use: a file put in its place is seen, and two objects may share it.

    An exclusive lock (flock(2)) keeps other processes and objects out while one reads on and appends; a thread lock does so
    inside one object. Where there is no `fcntl` (Windows) only threads that share the object are kept apart: let one process
    hold the file there.

    A last line without its newline was torn by a crash before its `append` returned, so nobody relied on it: it is cut off.

    Args:
        path: the file.
        what: what it is, for errors.
        opening: how its first line begins; a file that begins otherwise is never cut.
        take: gets each line once, without its newline, and its number from 1; raises when it refuses the line.
    """

    def __init__(self, path: str | Path, *, what: str, opening: bytes, take: Callable[[bytes, int], None]) -> None:
        self.path = Path(path)
        self._what = what
        self._opening = opening
        self._take = take
        self._alone = threading.Lock()
        self._lines = 0
        self._end = 0
        self._last = b""

    @contextlib.contextmanager
    def held(self, flags: int = 0) -> Iterator[Callable[[bytes], None]]:
        """Keep everybody else out, take what they appended, and yield the function that appends a line durably.

        Args:
            flags: os.O_CREAT makes a missing file (mode 0600); with os.O_EXCL one that exists is refused.

        Raises:
            ConfigError: the file cannot be read or written, or lacks what was read from it before; or as `take`.
        """
        with self._alone, self._explained(), self._opened(flags) as file:
            self._catch_up(file)
            yield lambda line: self._append(file, line + b"\n")

    @contextlib.contextmanager
    def _opened(self, flags: int) -> Iterator[io.FileIO]:
        with io.FileIO(self.path, "r+", opener=lambda path, given: os.open(path, given | flags, 0o600)) as file:
            if fcntl is not None:
                # Closing the file gives the lock back.
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
                if flags & os.O_CREAT:
                    _sync_directory(self.path.parent)
            yield file

    def _catch_up(self, file: io.FileIO) -> None:
        file.seek(self._end - len(self._last))
        data = file.readall()
        if not data.startswith(self._last):
            raise ConfigError(
                f"the {self._what} {self.path} was rolled back: its line {self._lines}, read before, is gone or another",
                remedy="bring back the newest version of the file; an older one does not know what was sent since",
            )
        *lines, torn = data[len(self._last) :].split(b"\n")
        for line in lines:
            self._accept(line + b"\n")
        if torn:
            if not self._lines and torn[: len(self._opening)] != self._opening[: len(torn)]:
                self._take(torn, 1)
            file.truncate(self._end)
        if lines or torn:
            # Whoever wrote these lines may have died between writing and fsync; from here on this holder relies on them.
            os.fsync(file.fileno())

    def _append(self, file: io.FileIO, line: bytes) -> None:
        file.seek(0, os.SEEK_END)
        rest = line
        while rest:
            rest = rest[file.write(rest) :]
        os.fsync(file.fileno())
        self._accept(line)

    def _accept(self, line: bytes) -> None:
        self._take(line[:-1], self._lines + 1)
        self._lines += 1
        self._end += len(line)
        self._last = line

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ConfigError(
                f"the {self._what} {self.path} cannot be used: {error.strerror or error}",
                remedy="mend its place, permissions or disk; nothing may be sent that it does not record",
            ) from error


def _sync_directory(path: Path) -> None:
    """Make a new file's name survive a crash, as fsync of the file makes its content."""
    directory = os.open(path, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
