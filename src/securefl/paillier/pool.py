"""Masks made ahead, in the background: with them an encryption is one multiplication."""

from __future__ import annotations

import os
import threading
from collections import deque
from typing import Final, Self

from securefl.crypto.secret import Redacted
from securefl.errors import SecretMisuseError
from securefl.paillier.arithmetic import releasing_the_interpreter
from securefl.paillier.masks import Masks

_BATCH: Final = 16


class MaskPool(Redacted):
    """A store of unused masks that threads of its own refill; used as a context manager or closed at the end.

    A mask that served twice gives the difference of two plaintexts away. So each leaves the pool once, and a process that was
    forked finds the pool empty, because its parent has the same masks.

    Args:
        masks: the source.
        capacity: how many masks to hold; each takes the bytes of a ciphertext.
        threads: how many fill it.

    Raises:
        ValueError: a capacity or a number of threads below 1.
    """

    __slots__ = ("_capacity", "_changed", "_closed", "_error", "_masks", "_process", "_stored", "_threads")

    def __init__(self, masks: Masks, capacity: int, *, threads: int = 1) -> None:
        if capacity < 1 or threads < 1:
            raise ValueError(f"a pool of {capacity} masks and {threads} threads, needs 1 or more of both")
        self._masks = masks
        self._capacity = capacity
        self._stored: deque[int] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._error: Exception | None = None
        self._process = os.getpid()
        self._threads = [
            threading.Thread(target=self._fill, name="securefl-mask-pool", daemon=True) for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def take(self, count: int, *, threads: int | None = None) -> list[int]:
        """Return masks: stored ones, and where these do not suffice, new ones made by `threads`.

        Raises:
            SecretMisuseError: the pool is closed.
        """
        if os.getpid() != self._process:  # the lock may have been held at the fork: nothing of the pool is touched
            return self._masks.draw(count, threads=threads)
        with self._changed:
            if self._closed:
                raise SecretMisuseError("this pool of masks is closed", remedy="make a new one")
            taken = [self._stored.popleft() for _ in range(min(count, len(self._stored)))]
            self._changed.notify_all()
        return taken + self._masks.draw(count - len(taken), threads=threads)

    def wait_until(self, count: int, timeout: float | None = None) -> bool:
        """Wait until so many masks are stored, at most the capacity; return whether they are."""
        with self._changed:
            wanted = min(count, self._capacity)
            self._changed.wait_for(lambda: len(self._stored) >= wanted or self._closed or self._error, timeout)
            return len(self._stored) >= wanted

    def close(self) -> None:
        """Stop the threads and forget the masks."""
        if os.getpid() != self._process:
            return
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        self._stored.clear()

    def __len__(self) -> int:
        return len(self._stored) if os.getpid() == self._process else 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _fill(self) -> None:
        try:
            with releasing_the_interpreter():
                while self._has_room():
                    made = self._masks.draw(_BATCH)
                    with self._changed:
                        self._stored.extend(made[: self._capacity - len(self._stored)])
                        self._changed.notify_all()
        except Exception as error:  # noqa: BLE001  # `take` meets the same error where somebody hears it
            with self._changed:
                self._error = error
                self._changed.notify_all()

    def _has_room(self) -> bool:
        with self._changed:
            self._changed.wait_for(lambda: self._closed or len(self._stored) < self._capacity)
            return not self._closed
