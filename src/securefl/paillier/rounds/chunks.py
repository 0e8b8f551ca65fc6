"""A vector's ciphertexts while their messages arrive, in order, whole or not at all."""

from __future__ import annotations

from securefl.errors import CryptoError, RemoteProtocolError
from securefl.paillier.ciphertexts import Ciphertexts
from securefl.paillier.rounds.context import PaillierContext
from securefl.types import Step


class Arriving:
    """One party's ciphertexts, message by message.

    Args:
        context: the round.
        name: the sender, for errors.
    """

    def __init__(self, context: PaillierContext, name: str) -> None:
        self._context = context
        self._name = name
        self._values: list[int] = []
        self._seen = 0

    @property
    def complete(self) -> bool:
        """Whether the last message is there."""
        return self._seen == self._context.messages

    @property
    def whole(self) -> Ciphertexts:
        """All of them, each checked when it came."""
        return Ciphertexts.trusted(self._context.key, self._values)

    def add(self, chunk: int, data: bytes) -> None:
        """Take the next message's ciphertexts.

        Raises:
            RemoteProtocolError: out of order, of another number, under another key, or no ciphertexts; names the sender.
        """
        check_order(self._context, chunk, self._seen, self._name, step=Step.MASKED_INPUT)
        part = read_chunk(self._context, chunk, data, self._name, step=Step.MASKED_INPUT)
        self._values += part.values
        self._seen += 1


def check_order(context: PaillierContext, chunk: int, due: int, name: str, *, step: Step) -> None:
    """Check that a message is the next one.

    Raises:
        RemoteProtocolError: it is not.
    """
    if chunk != due or chunk >= context.messages:
        raise RemoteProtocolError(
            f"chunk {chunk} of {name} came where {due} of {context.messages} was due",
            phase=step,
            suspects=(name,),
            remedy="a message was lost, or the sender is at fault: have it send all chunks again, or go on without it",
        )


def read_chunk(context: PaillierContext, chunk: int, data: bytes, name: str, *, step: Step) -> Ciphertexts:
    """The ciphertexts of one message.

    Raises:
        RemoteProtocolError: another number than the plan says, under another key, or integers that are no ciphertexts.
    """
    try:
        return Ciphertexts.from_bytes(data, key=context.key, count=context.ciphertexts_in(chunk))
    except CryptoError as error:
        raise RemoteProtocolError(
            f"{name} sent what cannot be added: {error.message}", phase=step, suspects=(name,), remedy="drop it"
        ) from error
