"""What happens to a party in one round, noted as it happens, for the receipt that it keeps at the end."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from securefl.errors import PolicyRefusedError, RemoteProtocolError, RoundAbortedError, SecureFLError
from securefl.records.receipt import ACCEPTED, Answered, Outcome
from securefl.records.receipt_book import ReceiptBook
from securefl.secagg.client import ClientRound
from securefl.secagg.states import ClientState
from securefl.types import Step

SENT_IN: Final = {
    ClientState.ADVERTISED: Step.ADVERTISE,
    ClientState.SHARED: Step.SHARE_KEYS,
    ClientState.MASKED: Step.MASKED_INPUT,
    ClientState.SIGNED: Step.CONSISTENCY,
    ClientState.DONE: Step.UNMASK,
}
"""The step whose message a party has just sent, by the state that it is in after."""


class Diary:
    """The notes of one party on one round; `close` turns them into a receipt, once.

    Args:
        book: where receipts are kept; None keeps none.
        party: the party's name.
        names: party names by index.
        policy: digest of its policy, 32 bytes.
        noted: what was noted before a restart.
    """

    def __init__(
        self,
        book: ReceiptBook | None,
        *,
        party: str,
        names: Sequence[str],
        policy: bytes,
        noted: Iterable[Answered] = (),
    ) -> None:
        self._book = book
        self._party = party
        self._names = names
        self._policy = policy
        self._open = True
        self.noted = list(noted)

    def note(self, current: ClientRound, messages: Iterable[bytes]) -> Iterator[bytes]:
        """Pass messages on, and note each as it leaves."""
        step = SENT_IN.get(current.state)  # before anything is sent: the round may be over by the last message
        for data in messages:
            if self._book is not None and step is not None:
                self.noted.append(Answered.of(step, data))
            yield data

    def written(self) -> None:
        """Write nothing more: the receipt of this round was written before a restart."""
        self._open = False

    def close(self, current: ClientRound, error: SecureFLError | None = None) -> None:
        """Write the receipt: of a round that was opened, or that ended with `error`, or that was left."""
        if self._book is None or not self._open:
            return
        self._open = False
        context, survivors, held = current.context, current.survivors, current.neighbours
        opened = current.state is ClientState.DONE
        self._book.enter(
            party=self._party,
            session=context.session,
            round_number=context.round,
            outcome=Outcome.OPENED if opened else _outcome(error),
            roster=context.roster_digest,
            plan=context.plan_digest,
            model=context.model_digest,
            policy=self._policy,
            decision=f"refused: {error.floor}" if isinstance(error, PolicyRefusedError) else ACCEPTED,
            reason=error.message if error is not None and not opened else "",
            survivors=self._named(survivors),
            answered=self.noted,
            opened_self_masks=self._named(held & survivors) if opened else (),
            opened_mask_keys=self._named(held - survivors) if opened else (),
        )

    def _named(self, parties: Iterable[int]) -> list[str]:
        return [self._names[party] for party in sorted(parties)]


def _outcome(error: SecureFLError | None) -> Outcome:
    if error is None:
        return Outcome.LEFT
    refused = isinstance(error, PolicyRefusedError | RemoteProtocolError) and not isinstance(error, RoundAbortedError)
    return Outcome.REFUSED if refused else Outcome.ABORTED
