"""What every attack needs: a round whose messages move one at a time, and the pens of a malicious server and of malicious parties.

Nothing here is secret to an adversary: a server knows the binding that its messages are sealed under, and a malicious party knows
its own keys and everything that it holds.
"""

from __future__ import annotations

import dataclasses
import os
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

import securefl
from securefl import (
    ClientPolicy,
    FixedPoint,
    Plan,
    RemoteProtocolError,
    RoundAbortedError,
    SecAgg,
    SecAggClient,
    SecAggServer,
    SecureFLError,
)
from securefl.crypto.kex import KeyPair
from securefl.crypto.prg import apply_masks
from securefl.crypto.shamir import LagrangeBasis
from securefl.crypto.signing import SigningKey
from securefl.encoding.ring import Ring
from securefl.encoding.words import unpack
from securefl.plan import Roster
from securefl.secagg.client import ClientRound
from securefl.secagg.context import pre_context
from securefl.secagg.dealing import LABELS, Label, point
from securefl.secagg.derive import pair_key, pair_sign, self_key, share_key
from securefl.secagg.server import RingSum, ServerRound
from securefl.secagg.states import ClientState, ServerState
from securefl.types import RoundContext, ServerModel, Step
from securefl.wire import bitmap, codec
from securefl.wire import messages as wire
from securefl.wire.envelope import SERVER_INDEX, parse, seal
from securefl.wire.messages import SECAGG_KINDS, Kind

if copy := os.environ.get(
    "SECUREFL_COPY"
):  # test_checks_bite.py runs these tests against a copy with one check removed
    assert Path(securefl.__file__).is_relative_to(copy), f"{securefl.__file__} is not the copy under test, {copy}"

ACTIVE, SEMI_HONEST = ServerModel.ACTIVE, ServerModel.SEMI_HONEST
MODELS = (SEMI_HONEST, ACTIVE)

STRUCTS: dict[Kind, type[wire.Message]] = {
    Kind.INVITE: wire.Invite,
    Kind.ADVERTISE: wire.Advertise,
    Kind.ROSTER: wire.Roster,
    Kind.SHARES: wire.Shares,
    Kind.CIPHERTEXTS: wire.Ciphertexts,
    Kind.MASKED_INPUT: wire.MaskedInput,
    Kind.SURVIVORS: wire.Survivors,
    Kind.CONSISTENCY: wire.Consistency,
    Kind.UNMASK: wire.Unmask,
    Kind.UNMASK_SHARES: wire.UnmaskShares,
}
KINDS = {struct: kind for kind, struct in STRUCTS.items()}
DOWN = (Kind.ROSTER, Kind.CIPHERTEXTS, Kind.SURVIVORS, Kind.UNMASK)
UP = (Kind.ADVERTISE, Kind.SHARES, Kind.MASKED_INPUT, Kind.CONSISTENCY, Kind.UNMASK_SHARES)

Mail = dict[int, list[bytes]]
"""Messages by the party that sends or receives them."""


def order(server: ServerModel) -> tuple[Kind, ...]:
    """The kinds of a round in the order in which they travel."""
    steps = {SEMI_HONEST: {Kind.INVITE, Kind.SURVIVORS, Kind.CONSISTENCY}, ACTIVE: {Kind.INVITE}}
    return tuple(kind for kind in sorted(SECAGG_KINDS) if kind not in steps[server])


def body_of(data: bytes, parties: int = 64) -> Any:
    """The body of a message, decoded; its seal is not looked at."""
    envelope = parse(data, parties=parties)
    return codec.decode(STRUCTS[envelope.kind], envelope.body, limit=len(envelope.body))


def kind_of(data: bytes, parties: int = 64) -> Kind:
    """The kind of a message."""
    return parse(data, parties=parties).kind


class Table:
    """A round: its honest parties, its honest server, and the mail between them, which moves only when it is told to.

    Args:
        n: parties.
        threshold: t.
        colluders: c of the plan.
        floor: min_survivors.
        server: the server model.
        keys: identities, when they must be those of another table.
        admit: the parties' hook before they deal.
        changes: other fields of the context.
    """

    def __init__(
        self,
        n: int = 5,
        threshold: int = 3,
        *,
        colluders: int = 0,
        floor: int = 3,
        server: ServerModel = ACTIVE,
        bits: int = 20,
        length: int = 6,
        keys: Sequence[SigningKey] | None = None,
        admit: Callable[[RoundContext, int], None] | None = None,
        **changes: Any,
    ) -> None:
        fields: dict[str, Any] = {
            "session": b"s" * 16,
            "round": 7,
            "roster_digest": b"r" * 32,
            "plan_digest": b"p" * 32,
            "model_digest": b"m" * 32,
        }
        self.n = n
        self.context = RoundContext(
            **{**fields, **changes},
            parties=n,
            threshold=threshold,
            max_colluders=colluders,
            min_survivors=floor,
            server=server,
            ring_bits=bits,
            length=length,
        )
        self.names = tuple(f"party-{i}" for i in range(n))
        self.keys = tuple(keys or (SigningKey.generate() for _ in range(n)))
        self.verify_keys = [key.verify_key for key in self.keys]
        self.ring = Ring(bits)
        rng = np.random.default_rng(n)
        high = self.ring.mask
        self.vectors = [
            rng.integers(0, high, length, np.uint64, endpoint=True).astype(self.ring.dtype) for _ in range(n)
        ]
        believed = dataclasses.replace(self.context, model_digest=bytes(32))
        self.clients = [
            ClientRound(believed, i, names=self.names, identity=self.keys[i], verify_keys=self.verify_keys, admit=admit)
            for i in range(n)
        ]
        self.server = ServerRound(self.context, names=self.names, verify_keys=self.verify_keys)
        self.server.start()
        self.refusals: list[SecureFLError] = []
        self.silent: dict[int, Kind] = {}
        self._order = order(server)
        self._place = 0
        self.mail: Mail = {i: [client.advertise()] for i, client in enumerate(self.clients)}

    # The honest round, stopped wherever an attack begins.

    @property
    def kind(self) -> Kind | None:
        """The kind of the mail that is under way; None when the round is over."""
        return self._order[self._place] if self._place < len(self._order) else None

    def play(self, until: Kind | None = None) -> Mail:
        """Run the round until mail of kind `until` is under way, and return that mail; by default to its end.

        Parties in `silent` send nothing from that kind on. What is refused is noted in `refusals`.
        """
        while self.kind is not None and self.kind is not until:
            self.step()
        return self.mail

    def step(self) -> None:
        """Deliver the mail that is under way; the answers are under way then."""
        kind, mail = self.kind, self.mail
        assert kind is not None
        if kind in UP:
            mail = {i: sent for i, sent in mail.items() if not kind.value >= self.silent.get(i, Kind.UNMASK_SHARES + 1)}
            self.mail = self.up(mail)
        else:
            self.mail = self.down(mail)
        self._place += 1

    def up(self, mail: Mapping[int, Sequence[bytes]]) -> Mail:
        """Give the server what the parties sent, and close the phase; returns what it sends."""
        phase, outgoing = self.server.state, []
        for sent in mail.values():
            for data in sent:
                try:
                    outgoing += self.give(data)
                except RoundAbortedError:
                    raise
                except SecureFLError as refusal:
                    self.refusals.append(refusal)
        if self.server.state is phase:
            outgoing = self.server.close_phase()
        return {party: [data] for party, data in outgoing}

    def down(self, mail: Mapping[int, Sequence[bytes]]) -> Mail:
        """Give the parties what the server sent; returns what they send. Who refuses falls silent."""
        answers: Mail = {}
        for party, sent in mail.items():
            for data in sent:
                try:
                    replies = self.hand(party, data)
                except SecureFLError as refusal:
                    self.refusals.append(refusal)
                    self.silent.setdefault(party, Kind.ADVERTISE)
                else:
                    answers[party] = answers.get(party, []) + replies
        return answers

    def hand(self, party: int, data: bytes) -> list[bytes]:
        """Give a party one message of the server; returns its answers, its masked vector included."""
        client = self.clients[party]
        answers = client.receive(parse(data, parties=self.n))
        if client.state is ClientState.READY:
            answers += client.mask(self.vectors[party].copy())
        return answers

    def give(self, data: bytes) -> list[tuple[int, bytes]]:
        """Give the server one message."""
        return self.server.receive(parse(data, parties=self.n, noise_labels=self.context.noise_labels))

    def finish(self) -> RingSum:
        """Run the round to its end; returns what the server has."""
        self.play()
        return self.server.result()

    def exact(self, survivors: Iterable[int]) -> list[int]:
        """The sum that these parties' vectors have."""
        total = sum((self.vectors[i].astype(object) for i in survivors), start=np.zeros(self.context.length, object))
        return [int(value) % self.ring.modulus for value in total]

    def assert_exact(self, survivors: Iterable[int] | None = None) -> None:
        """The server is done, and has the exact sum (over `survivors`)."""
        result = self.server.result()
        assert survivors is None or result.survivors == frozenset(survivors)
        assert result.total.tolist() == self.exact(result.survivors)

    def finish_exact_or_abort(self) -> bool:
        """The round ends with the exact sum (True) or with a typed abort (False): nothing else is allowed."""
        try:
            self.play()
        except RoundAbortedError:
            assert self.server.state is ServerState.ABORTED
            return False
        self.assert_exact()
        return True

    # The pen of a malicious server: it seals whatever it likes.

    @property
    def ctx(self) -> bytes:
        """The public context once the key list is fixed."""
        return self.server.binding

    def forge(self, body: Any, *, kind: Kind | None = None, binding: bytes | None = None, **header: Any) -> bytes:
        """A message of the server with any body."""
        kind = KINDS[type(body)] if kind is None else kind
        early = pre_context(self.context) if kind is Kind.ROSTER else self.server.binding
        return seal(
            kind,
            body,
            session=header.get("session", self.context.session),
            round_number=header.get("round_number", self.context.round),
            sender=header.get("sender", SERVER_INDEX),
            binding=early if binding is None else binding,
        )

    def tell(self, party: int, body: Any, **header: Any) -> list[bytes]:
        """Forge a message and hand it to a party."""
        return self.hand(party, self.forge(body, **header))

    def members(self, survivors: Iterable[int]) -> bytes:
        """A survivor set on the wire."""
        return bitmap.pack(survivors, self.n)

    # The pen of a malicious party: it signs with its own identity whatever it likes.

    def write_as(
        self,
        party: int,
        body: Any,
        *,
        key: SigningKey | None = None,
        kind: Kind | None = None,
        binding: bytes | None = None,
        **header: Any,
    ) -> bytes:
        """A message of `party`, signed under an active plan with its own key or with the one given."""
        kind = KINDS[type(body)] if kind is None else kind
        return seal(
            kind,
            body,
            session=header.get("session", self.context.session),
            round_number=header.get("round_number", self.context.round),
            sender=header.get("sender", party),
            binding=self.server.binding if binding is None else binding,
            identity=(key or self.keys[party]) if self.context.active else None,
        )

    def share_private(self, party: int) -> bytes:
        """A malicious party's own private share key; to be asked before it deals."""
        advertised = self.clients[party]._kept.advertised
        assert advertised is not None
        return advertised.share.private.reveal()

    def mask_private(self, party: int) -> bytes:
        """A malicious party's own private mask key; to be asked before it masks."""
        advertised = self.clients[party]._kept.advertised
        assert advertised is not None
        return advertised.mask.private.reveal()

    def sealing_keys(self, party: int, private: bytes) -> dict[int, bytes]:
        """The keys under which a malicious party seals its dealing, by holder."""
        keys = self.clients[party]._kept.keys
        assert keys is not None
        pair = KeyPair.from_private(private)
        return {
            peer: share_key(keys.ctx, pair.exchange(entry.share_key), party, peer)
            for peer, entry in keys.entries.items()
            if peer != party
        }

    def held(self, party: int) -> dict[tuple[int, str], bytes]:
        """Every share that a colluder holds, by owner and label; to be asked before it answers."""
        holder = self.clients[party]._kept.holder
        assert holder is not None
        return {
            (owner, label): share for owner, shares in holder.held.items() for label, share in shares._shares.items()
        }


class Loot:
    """What an adversary has collected: shares, masked vectors, public keys; and what follows from them."""

    def __init__(self, table: Table) -> None:
        self.table = table
        self.shares: dict[tuple[int, str], dict[int, bytes]] = {}
        self.masked: dict[int, np.ndarray] = {}

    def take(self, party: int, answers: Iterable[bytes]) -> None:
        """Read the shares or the masked vector in a party's answers."""
        for data in answers:
            body = body_of(data)
            if isinstance(body, wire.UnmaskShares):
                for item in body.shares:
                    self.add(party, item.owner, item.label, item.share)
            elif isinstance(body, wire.MaskedInput):
                context = self.table.context
                self.masked[party] = unpack(body.words, context.ring_bits, context.length)

    def collude(self, party: int) -> None:
        """Take everything that a colluder holds."""
        for (owner, label), share in self.table.held(party).items():
            self.add(party, owner, label, share)

    def add(self, holder: int, owner: int, label: str, share: bytes) -> None:
        self.shares.setdefault((owner, label), {})[holder] = share

    def opened(self, owner: int, label: str) -> bytes | None:
        """The secret, if t shares of it are there."""
        shares = self.shares.get((owner, label), {})
        t = self.table.context.threshold
        if len(shares) < t:
            return None
        holders = sorted(shares)[:t]
        return LagrangeBasis([point(holder) for holder in holders]).combine([shares[holder] for holder in holders])

    def both_opened(self, owners: Iterable[int]) -> list[int]:
        """The parties whose seed and mask key are both known."""
        return [owner for owner in owners if all(self.opened(owner, label) is not None for label in LABELS)]

    def peel(self, group: Iterable[int], known: Mapping[int, bytes] | None = None) -> np.ndarray:
        """Take every mask that the loot opens off the sum of the group's masked vectors.

        Masks between two members of the group cancel. What is returned is the sum of their vectors exactly if nothing is left.

        Args:
            group: whose vectors to add.
            known: private mask keys that the adversary has anyway (its colluders').
        """
        table, group = self.table, sorted(group)
        seen = {party: keys for party in group if (keys := table.clients[party]._kept.keys) is not None}
        assert len(seen) == len(group)
        entries = {i: entry for keys in seen.values() for i, entry in keys.entries.items()}
        ctx = seen[group[0]].ctx
        total = table.ring.zeros(table.context.length)
        for party in group:
            table.ring.add_into(total, self.masked[party])
        masks = [
            (self_key(ctx, party, seed), -1)
            for party in group
            if (seed := self.opened(party, Label.SELF_MASK)) is not None
        ]
        private = {i: (known or {}).get(i) or self.opened(i, Label.MASK_KEY) for i in entries}
        for party in group:
            for peer in set(seen[party].entries) - set(group):
                if mine := private[party]:
                    agreed = KeyPair.from_private(mine).exchange(entries[peer].mask_key)
                elif theirs := private[peer]:
                    agreed = KeyPair.from_private(theirs).exchange(entries[party].mask_key)
                else:
                    continue
                masks.append((pair_key(ctx, agreed, party, peer), -pair_sign(party, peer)))
        apply_masks(total, masks, bits=table.context.ring_bits)
        return total


class Seats:
    """A session: the public server and clients of the library around one plan, with their mail moved one step at a time."""

    def __init__(
        self,
        n: int = 3,
        *,
        server: ServerModel = ACTIVE,
        protocol: Mapping[str, Any] | None = None,
        policy: ClientPolicy | None = None,
        **plan: Any,
    ) -> None:
        self.n = n
        names = [f"hospital-{i}" for i in range(n)]
        if server is ACTIVE:
            self.roster, self.keys = Roster.generate(names)
        else:
            self.roster, self.keys = Roster.unsigned(names), {}
        fields: dict[str, Any] = {
            "template": {"w": ((4,), "float32")},
            "encoding": FixedPoint(value_bits=12, bound=1.0),
            **plan,
        }
        self.plan = Plan(parties=n, protocol=SecAgg(server=server, **(protocol or {})), **fields)
        self.policy = policy or ClientPolicy.matching(self.plan)
        self.server = SecAggServer(self.plan, roster=self.roster)
        self.clients = {name: self.client(name) for name in names}
        rng = np.random.default_rng(n)
        self.updates = {name: {"w": rng.uniform(-1, 1, 4).astype(np.float32)} for name in names}

    def client(self, name: str, policy: ClientPolicy | None = None) -> SecAggClient:
        """A fresh client of that name."""
        return SecAggClient(name, roster=self.roster, policy=policy or self.policy, identity=self.keys.get(name))

    def submit(self, **how: Any) -> None:
        """Every party hands in its update."""
        for name, client in self.clients.items():
            client.submit(self.updates[name], **how)

    def invitation(self, plan: Plan | None = None, *, roster: Roster | None = None, **header: Any) -> bytes:
        """An invitation to any plan, as a malicious server writes it."""
        plan, roster = plan or self.plan, roster or self.roster
        return self.invitation_of(plan.to_bytes(), pre_context_of(plan, roster, header), roster=roster, **header)

    def invitation_of(self, plan: bytes, binding: bytes, *, roster: Roster | None = None, **header: Any) -> bytes:
        """An invitation with any bytes as its plan."""
        return seal(
            Kind.INVITE,
            wire.Invite(plan, (roster or self.roster).digest()),
            session=header.get("session", b"S" * 16),
            round_number=header.get("round_number", 1),
            sender=header.get("sender", SERVER_INDEX),
            binding=binding,
        )

    def exchange(self, mail: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Deliver the server's mail; returns the parties' answers."""
        return [(name, answer) for name, data in mail for answer in self.clients[name].receive(data)]

    def collect(self, mail: Sequence[tuple[str, bytes]]) -> list[tuple[str, bytes]]:
        """Deliver the parties' mail; returns the server's."""
        outgoing = [sent for name, data in mail for sent in self.server.receive(data, party=name)]
        return outgoing if outgoing or self.server.done else self.server.close_phase()

    def finish(self, mail: Sequence[tuple[str, bytes]]) -> Any:
        """Deliver the server's mail and everything that follows; returns the result."""
        while not self.server.done:
            mail = self.collect(self.exchange(mail))
        return self.server.result()


def pre_context_of(plan: Plan, roster: Roster, header: Mapping[str, Any]) -> bytes:
    """ctx0 of a round, which anybody can compute."""
    session, number = header.get("session", b"S" * 16), header.get("round_number", 1)
    return pre_context(plan.for_round(session, number, roster=roster))


def refused(error: SecureFLError, *suspects: str) -> None:
    """The error is one that the library raises at the other side's fault, and it names these suspects."""
    assert isinstance(error, RemoteProtocolError | RoundAbortedError), repr(error)
    assert set(suspects) <= set(error.suspects), f"{error} names {error.suspects}"


def chi_square(counts: Sequence[int] | np.ndarray) -> float:
    """The statistic against equal expectations, as standard normal quantile (Wilson and Hilferty 1931): 6.0 has odds of 1e-9."""
    observed = np.asarray(counts, dtype=float)
    expected, freedom = observed.mean(), observed.size - 1
    statistic = float(((observed - expected) ** 2 / expected).sum())
    return ((statistic / freedom) ** (1 / 3) - (1 - 2 / (9 * freedom))) / (2 / (9 * freedom)) ** 0.5


def tally(words: np.ndarray, bits: int, top: int = 6) -> np.ndarray:
    """How often each value of the topmost and of the lowest `top` bits comes, one after the other."""
    wide = words.astype(np.uint64)
    high = np.bincount((wide >> np.uint64(bits - top)).astype(int), minlength=1 << top)
    low = np.bincount((wide & np.uint64((1 << top) - 1)).astype(int), minlength=1 << top)
    return np.stack([high, low])


def duplicates(items: Iterable[Any]) -> list[Any]:
    """What comes more than once."""
    return [item for item, count in Counter(items).items() if count > 1]


__all__ = [
    "ACTIVE", "DOWN", "KINDS", "MODELS", "SEMI_HONEST", "STRUCTS", "UP", "Loot", "Mail", "Seats", "Step", "Table",
    "body_of", "chi_square", "duplicates", "kind_of", "order", "pre_context_of", "refused", "tally",
]  # fmt: skip
