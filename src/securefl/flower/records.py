"""What travels in Flower's messages: one record of bytes that Flower does not look into."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from flwr.app import ConfigRecord, Message, RecordDict

from securefl.errors import MalformedMessageError

RECORD: Final = "securefl"
"""The key of our record in a message's content, and in a node's state."""
WEIGHT: Final = "num-examples"
"""The metric of a training reply that a vector is weighed by, as Flower's strategies have it unless told otherwise."""
_MESSAGES: Final = "messages"
_PARTY: Final = "party"


def question(messages: Sequence[bytes]) -> ConfigRecord:
    """The server's messages to one node, in order."""
    return ConfigRecord({_MESSAGES: list(messages)})


def answer(party: str, messages: Sequence[bytes]) -> RecordDict:
    """A node's answers, with the name of its party."""
    return RecordDict({RECORD: ConfigRecord({_PARTY: party, _MESSAGES: list(messages)})})


def asked(message: Message) -> list[bytes] | None:
    """The server's messages in a message; None where it has none."""
    record = _records(message).get(RECORD)
    return None if record is None else _messages(record)


def answered(message: Message) -> tuple[str, list[bytes]]:
    """The party that answered, and its messages.

    Raises:
        MalformedMessageError: the reply is no answer of `secure_mod`'s.
    """
    record = _records(message).get(RECORD)
    party = None if record is None else record.get(_PARTY)
    if record is None or not isinstance(party, str):
        raise MalformedMessageError(
            f"node {message.metadata.src_node_id} replied without a securefl record",
            remedy="put secure_mod first into the list: ClientApp(mods=[secure_mod])",
        )
    return party, _messages(record)


def _records(message: Message) -> Mapping[str, ConfigRecord]:
    return message.content.config_records


def _messages(record: ConfigRecord) -> list[bytes]:
    found = record.get(_MESSAGES, [])
    if not isinstance(found, list) or not all(isinstance(item, bytes) for item in found):
        raise MalformedMessageError("a securefl record holds something else than messages", remedy="ignore it")
    return [item for item in found if isinstance(item, bytes)]
