"""A receipt: what a party accepted, sent and opened in a round, signed, for its own files and its auditor.

A receipt holds no secret. It names what left the party by SHA-256, so that it can be compared with captured traffic.
"""

from __future__ import annotations

import enum
from typing import Annotated, Final, Literal, Self, TypeAlias

import msgspec

from securefl.crypto.digest import digest, sha256
from securefl.crypto.signing import SigningKey
from securefl.errors import CryptoError

Hex16: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Hex32: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"\A[0-9a-f]{64}\Z")]
ACCEPTED: Final = "accepted"
"""The decision of a policy that forbids nothing."""
ALTERED: Final = "the receipts were changed after they were written; ask the party for its own copy"
"""The remedy for a receipt that is not as it was written."""


class Outcome(enum.StrEnum):
    """How a round ended for a party."""

    OPENED = "opened"
    """It answered the request to open."""
    REFUSED = "refused"
    """Its policy or a rule of the protocol forbade to go on."""
    ABORTED = "aborted"
    """The round could not go on."""
    LEFT = "left"
    """It went on to another round, or ended, before this one was over."""


class Answered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A message that left the party.

    Args:
        step: the step it belongs to.
        sha256: of its bytes, in hex.
        size: of its bytes.
    """

    step: str
    sha256: Hex32
    size: Annotated[int, msgspec.Meta(ge=0)]

    @classmethod
    def of(cls, step: str, data: bytes) -> Self:
        """What is noted of a message."""
        return cls(str(step), sha256(data).hex(), len(data))


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One party's account of one round.

    Args:
        version: of this format.
        number: its place in the chain, from 1.
        previous: digest of the receipt before it, in hex; zeros for the first.
        time: when it was written, UTC, in seconds, by the party's own clock.
        party: the party's name.
        session: the session, in hex.
        round: the round's number.
        roster: digest of the roster, in hex; `plan`, `model` and `policy` likewise. Zeros for what was not known yet.
        decision: of the party's policy: "accepted", or "refused: " and the floor.
        outcome: how the round ended for this party.
        reason: the error that ended it; empty where it went through.
        survivors: U3 as this party was told, by name; empty if it was never told.
        answered: the messages that left it, in order.
        opened_self_masks: the parties of whose self mask it gave out its share.
        opened_mask_keys: the parties of whose mask key it gave out its share.
    """

    version: Literal[1] = 1
    number: Annotated[int, msgspec.Meta(ge=1)]
    previous: Hex32
    time: Annotated[str, msgspec.Meta(pattern=r"\A[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z\Z")]
    party: Annotated[str, msgspec.Meta(min_length=1)]
    session: Hex16
    round: Annotated[int, msgspec.Meta(ge=0)]
    roster: Hex32
    plan: Hex32
    model: Hex32
    policy: Hex32
    decision: Annotated[str, msgspec.Meta(pattern=r"\A(accepted|refused: [a-z][a-z0-9_]*)\Z")]
    outcome: Outcome
    reason: str
    survivors: tuple[str, ...]
    answered: tuple[Answered, ...]
    opened_self_masks: tuple[str, ...]
    opened_mask_keys: tuple[str, ...]

    def digest(self) -> bytes:
        """SHA-256 under the label "receipt" over its JSON as in the file, 32 bytes: what is chained and signed."""
        return digest("receipt", msgspec.json.encode(self))

    def sign(self, identity: SigningKey | None) -> SignedReceipt:
        """This receipt, vouched for by the party; without an identity the signature is empty."""
        return SignedReceipt(self, identity.sign(self.digest()).hex() if identity else "")


class SignedReceipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A receipt, and its Ed25519 signature in hex; empty where the party has no identity."""

    receipt: Receipt
    signature: Annotated[str, msgspec.Meta(pattern=r"\A([0-9a-f]{128})?\Z")] = ""

    def to_json(self) -> bytes:
        """Its one line, without the newline."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, line: bytes) -> SignedReceipt:
        """The receipt of a line.

        Raises:
            CryptoError: no receipt, or not in the one form that `to_json` gives it: nothing can hide beside what is signed.
        """
        try:
            signed = msgspec.json.decode(line, type=cls)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise CryptoError(f"this is no receipt: {error}", remedy=ALTERED) from error
        if signed.to_json() != line:
            raise CryptoError("this receipt is not in the form in which receipts are written", remedy=ALTERED)
        return signed
