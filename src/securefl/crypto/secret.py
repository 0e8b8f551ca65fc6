"""Values that refuse to be printed, pickled or copied."""

from __future__ import annotations

from typing import Never, SupportsIndex

from securefl.crypto import digest
from securefl.errors import SecretMisuseError


class Redacted:
    """Base of every class that holds a secret: its repr shows only the type, and it is neither pickled nor copied.

    A dataclass that derives from this needs `repr=False`, or the generated repr replaces the redacted one.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: redacted>"

    def __str__(self) -> str:
        return Redacted.__repr__(self)

    def __reduce_ex__(self, protocol: SupportsIndex) -> Never:
        raise SecretMisuseError(
            f"a {type(self).__name__} cannot be pickled", remedy="keep it in this process, or save it encrypted"
        )

    def __copy__(self) -> Never:
        raise SecretMisuseError(
            f"a {type(self).__name__} cannot be copied", remedy="pass the object itself: wiping must reach every holder"
        )

    def __deepcopy__(self, memo: dict[int, object]) -> Never:
        Redacted.__copy__(self)


class Secret(Redacted):
    """Secret bytes that can be revealed until they are wiped.

    Wiping is best effort: Python may have copied the bytes before they came here, and `reveal` hands out copies.

    Args:
        value: the secret bytes.
    """

    __slots__ = ("_buffer", "_wiped")

    def __init__(self, value: bytes) -> None:
        self._buffer = bytearray(value)
        self._wiped = False

    def reveal(self) -> bytes:
        """Return the secret bytes.

        Raises:
            SecretMisuseError: the secret was wiped.
        """
        if self._wiped:
            raise SecretMisuseError("this secret was wiped", remedy="a secret is used once; start a new round")
        return bytes(self._buffer)

    def wipe(self) -> None:
        """Overwrite the bytes with zeros and refuse to reveal them from now on."""
        self._buffer[:] = bytes(len(self._buffer))
        self._wiped = True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return digest.equal(self.reveal(), other.reveal())

    # A hash would put a function of the secret into dictionaries and sets.
    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self._buffer)
