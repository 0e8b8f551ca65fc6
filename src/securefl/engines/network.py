"""The network between sessions in one process: real bytes, and the faults of `faults` on them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable

from securefl.engines.faults import Corrupt, Delay, Drop, Equivocate, Fault, Replay
from securefl.errors import MalformedMessageError
from securefl.types import Step
from securefl.wire import bitmap, codec
from securefl.wire.envelope import SERVER_INDEX, parse, seal
from securefl.wire.messages import PAILLIER_KINDS, SECAGG_KINDS, Kind, Survivors, Unmask

Mail = list[tuple[str, bytes]]


@dataclasses.dataclass(slots=True)
class Network:
    """Carries one round's messages.

    Args:
        faults: what goes wrong.
        names: the parties in roster order.
        binding: gives the context that the server's messages are sealed under, for a server that lies.
    """

    faults: tuple[Fault, ...]
    names: tuple[str, ...]
    binding: Callable[[], bytes]
    _gone: set[str] = dataclasses.field(default_factory=set)
    _late: Mail = dataclasses.field(default_factory=list)
    _replayed: Mail = dataclasses.field(default_factory=list)

    def down(self, step: Step, mail: Mail) -> Mail:
        """What reaches the parties of what the server sends in this step."""
        # Keys that were sent ahead leave no Advertise to miss: their party is not heard of from the first step that there is.
        passed = list(Step)[: list(Step).index(step)]
        self._gone.update(fault.party for fault in self.faults if isinstance(fault, Drop) and fault.step in passed)
        delivered = []
        for name, sent in mail:
            if name in self._gone:
                continue
            data = sent
            # The server lies before the network damages: bytes that were damaged are no message to write a lie into.
            for fault in sorted(self.faults, key=lambda fault: not isinstance(fault, Equivocate)):
                if isinstance(fault, Equivocate) and name in fault.parties:
                    data = self._lie(data, fault.hide)
                elif isinstance(fault, Corrupt) and fault.downstream and (fault.party, fault.step) == (name, step):
                    data = _flip(data, fault.bit)
            delivered.append((name, data))
        return delivered

    def up(self, step: Step, mail: Mail) -> Mail:
        """What reaches the server, before the step closes, of what the parties send in it."""
        delivered = list(self._replayed)
        for name, sent in mail:
            data = sent
            fate = [f for f in self.faults if not isinstance(f, Equivocate) and (f.party, f.step) == (name, step)]
            for fault in fate:
                if isinstance(fault, Corrupt) and not fault.downstream:
                    data = _flip(data, fault.bit)
            if any(isinstance(fault, Drop) for fault in fate):
                self._gone.add(name)
                continue
            if any(isinstance(fault, Delay) for fault in fate):
                self._late.append((name, data))
            else:
                delivered.append((name, data))
            if any(isinstance(fault, Replay) for fault in fate):
                delivered.append((name, data))
                self._replayed.append((name, data))
        return delivered

    def late(self) -> Mail:
        """What arrives after the step was closed."""
        late, self._late = self._late, []
        return late

    def _lie(self, data: bytes, hide: Iterable[str]) -> bytes:
        try:
            envelope = parse(data, parties=len(self.names), kinds=SECAGG_KINDS | PAILLIER_KINDS)
        except MalformedMessageError:
            return data  # damaged already: a lie would not be understood
        if envelope.kind not in {Kind.SURVIVORS, Kind.UNMASK}:
            return data
        hidden = {self.names.index(name) for name in hide}
        lie: Survivors | Unmask
        if envelope.kind is Kind.SURVIVORS:
            told = codec.decode(Survivors, envelope.body, limit=len(envelope.body))
            lie = Survivors(self._without(told.survivors, hidden))
        else:
            asked = codec.decode(Unmask, envelope.body, limit=len(envelope.body))
            lie = Unmask(self._without(asked.survivors, hidden), asked.signatures)
        return seal(
            envelope.kind,
            lie,
            session=envelope.session,
            round_number=envelope.round,
            sender=SERVER_INDEX,
            binding=self.binding(),
        )

    def _without(self, survivors: bytes, hidden: set[int]) -> bytes:
        return bitmap.pack(bitmap.unpack(survivors, len(self.names)) - hidden, len(self.names))


def _flip(data: bytes, bit: int) -> bytes:
    flipped = bytearray(data)
    place = bit % (8 * len(data))
    flipped[-1 - place // 8] ^= 1 << place % 8
    return bytes(flipped)
