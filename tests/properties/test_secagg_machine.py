"""The oracle: a network that reorders, repeats, delays, loses and damages, a server's clock that closes at any moment.

Whatever it does, a round ends in the sum of the survivors' vectors to the bit, or in a typed abort (protocol.md, attack list, 10).
"""

from __future__ import annotations

import random
from collections import Counter
from unittest import mock

import pytest
from hypothesis import event, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from securefl.errors import LocalProtocolError, ProtocolError, RoundAbortedError
from securefl.secagg.dealing import LABELS
from securefl.secagg.states import ClientState, ServerState
from securefl.types import Graph, Step
from securefl.wire import bitmap, codec
from securefl.wire.envelope import SERVER_INDEX, seal
from securefl.wire.messages import Kind, MaskedInput, Survivors, Unmask, UnmaskShares
from unit.secagg.harness import OVER, Round, any_size, integer_sum, k_regular_parameters, parameters

picks = st.integers(0, 10**6)
seeds = st.integers(0, 2**32)
rashness = st.sampled_from([False] * 9 + [True])
"""Whether the round may lose more parties than it can bear: mostly not, or every round would end in the same way."""

WIPED = {ClientState.DONE, ClientState.ABORTED}
PHASES = 5


class SecureSum(RuleBasedStateMachine):
    """Messages lie in two heaps, to the server and to the parties; each rule does one thing to them."""

    @initialize(
        chosen=st.one_of(parameters(any_size), k_regular_parameters(st.integers(5, 40))),
        bits=st.integers(8, 64),
        length=st.integers(0, 7),
        chunk=st.integers(1, 8),
        seed=seeds,
    )
    def begin(self, chosen, bits, length, chunk, seed):
        # Vectors of more than one chunk, without a million values.
        self.small_chunks = mock.patch("securefl.secagg.masked_input.CHUNK_VALUES", chunk)
        self.small_chunks.start()
        self.round = Round(chosen, bits=bits, length=length, seed=seed)
        self.server, self.clients, self.context = self.round.server, self.round.clients, self.round.context
        self.up: list[tuple[int, bytes]] = []
        self.down: list[tuple[int, bytes]] = []
        self.old_up: list[tuple[int, bytes]] = []
        self.old_down: list[tuple[int, bytes]] = []
        self.gone: set[int] = set()
        self.sent: list[Counter[Kind]] = [Counter() for _ in self.clients]
        self.chunks_sent: list[list[int]] = [[] for _ in self.clients]
        self.released: list[dict[int, set[str]]] = [{} for _ in self.clients]
        self.bearable = chosen.max_dropouts
        self.on_ring = chosen.graph is Graph.K_REGULAR
        if self.on_ring:  # so many lost leave every party a threshold of neighbours, whatever the order on the ring
            self.bearable = max(0, min(self.bearable, chosen.neighbours - chosen.threshold))
        self.lost: set[int] = set()
        for party, client in enumerate(self.clients):
            self._post(party, [client.advertise()])

    # What the network and the clock may do.

    @rule(pick=picks)
    def deliver_to_the_server(self, pick):
        if self.up:
            self._to_server(*self.up.pop(pick % len(self.up)))

    @rule(pick=picks)
    def deliver_to_a_party(self, pick):
        if self.down:
            self._to_party(*self.down.pop(pick % len(self.down)))

    @rule(seed=seeds, upward=st.booleans(), keep=st.integers(0, 3))
    def deliver_many_in_any_order(self, seed, upward, keep):
        heap = self.up if upward else self.down
        random.Random(seed).shuffle(heap)
        for _ in range(len(heap) - keep):
            if not heap:  # the round has ended meanwhile
                break
            (self._to_server if upward else self._to_party)(*heap.pop())

    @rule(pick=picks, upward=st.booleans())
    def repeat(self, pick, upward):
        heap = self.old_up if upward else self.old_down
        if not heap:
            return
        party, data = heap[pick % len(heap)]
        if upward:
            with pytest.raises(ProtocolError):
                self.server.receive(self.round.open(data))
        else:
            self._refused_by(party, data)

    @rule(pick=picks, bit=picks, upward=st.booleans())
    def damage(self, pick, bit, upward):
        """A flipped bit is noticed, and the message itself can still come after it."""
        heap = self.up if upward else self.down
        if not heap:
            return
        party, data = heap[pick % len(heap)]
        place = bit % (8 * len(data))
        damaged = bytearray(data)
        damaged[place // 8] ^= 1 << place % 8
        if upward:
            before = self.server.waiting_for
            with pytest.raises(ProtocolError):
                self.server.receive(self.round.open(bytes(damaged)))
            assert self.server.waiting_for == before
        else:
            self._refused_by(party, bytes(damaged))

    @rule(pick=picks, upward=st.booleans(), rash=rashness)
    def lose(self, pick, upward, rash):
        heap = self.up if upward else self.down
        if heap and self._bearable({heap[pick % len(heap)][0]}, rash):
            heap.pop(pick % len(heap))

    @rule(pick=picks, rash=rashness)
    def leave(self, pick, rash):
        party = pick % len(self.clients)
        if not self._bearable({party}, rash):
            return
        self.gone.add(party)
        self.up = [mail for mail in self.up if mail[0] != party]
        self.down = [mail for mail in self.down if mail[0] != party]

    @rule(rash=rashness)
    def close_phase(self, rash):
        if self.server.state not in OVER and self._bearable(set(self.server.waiting_for), rash):
            self._close()

    @rule(pick=picks, hidden=picks, rash=rashness)
    def lie_about_the_survivors(self, pick, hidden, rash):
        """A server that shows one party another set: a sum can still come out, never a wrong one."""
        if not self.down or self.server.state not in {ServerState.CONSISTENCY, ServerState.UNMASK}:
            return
        place = pick % len(self.down)
        party, data = self.down[place]
        envelope = self.round.open(data)
        n = self.context.parties
        if envelope.kind is Kind.SURVIVORS:
            told = codec.decode(Survivors, envelope.body, limit=len(envelope.body))
            lie = Survivors(bitmap.pack(bitmap.unpack(told.survivors, n) ^ {hidden % n}, n))
        elif envelope.kind is Kind.UNMASK:
            asked = codec.decode(Unmask, envelope.body, limit=len(envelope.body))
            lie = Unmask(bitmap.pack(bitmap.unpack(asked.survivors, n) ^ {hidden % n}, n), asked.signatures)
        else:  # from an earlier step
            return
        if not self._bearable({party}, rash):
            return
        self.down[place] = (
            party,
            seal(
                envelope.kind,
                lie,
                session=envelope.session,
                round_number=envelope.round,
                sender=SERVER_INDEX,
                binding=self.server.binding,
            ),
        )

    @rule(pick=picks)
    def ask_twice_for_a_secret(self, pick):
        client = self.clients[pick % len(self.clients)]
        before = client.state
        with pytest.raises(LocalProtocolError):
            client.advertise()
        with pytest.raises(LocalProtocolError):
            client.mask(self.round.vectors[0].copy())
        assert client.state is before

    # What must hold at every moment.

    @invariant()
    def no_party_answers_a_kind_twice(self):
        for sent, chunks in zip(self.sent, self.chunks_sent, strict=True):
            assert all(count == 1 for kind, count in sent.items() if kind is not Kind.MASKED_INPUT)
            assert chunks == list(range(len(chunks)))

    @invariant()
    def no_party_gives_out_both_shares_of_anybody(self):
        for released in self.released:
            assert all(len(labels) == 1 for labels in released.values())

    @invariant()
    def a_party_that_is_through_holds_no_secrets(self):
        for client in self.clients:
            if client.state in WIPED:
                assert client._kept.advertised is None
                assert client._kept.dealer is None
                assert client._kept.holder is None or not any(
                    held._shares for held in client._kept.holder.held.values()
                )

    @invariant()
    def a_sum_is_the_sum_of_its_survivors(self):
        if self.server.state is not ServerState.DONE:
            with pytest.raises(LocalProtocolError):
                self.server.result()
            return
        result = self.server.result()
        assert len(result.survivors) >= max(3, self.context.min_survivors, self.context.threshold)
        expected = integer_sum(self.round.vectors, result.survivors, self.context.ring_bits)
        assert result.total.tolist() == expected
        masked = {party for party, sent in enumerate(self.sent) if sent[Kind.MASKED_INPUT]}
        assert result.survivors <= masked

    def teardown(self):
        """Let the rest of the mail arrive and the clock run out: every round ends."""
        try:
            for _ in range(PHASES):
                while self.up or self.down:
                    self._to_party(*self.down.pop(0)) if self.down else self._to_server(*self.up.pop(0))
                if self.server.state not in OVER:
                    # Nobody is heard of any more in this phase, so somebody is missing.
                    assert self.server.waiting_for <= self.lost, f"stuck in {self.server.state}"
                    self._close()
            assert self.server.state in OVER
            self.a_sum_is_the_sum_of_its_survivors()
            self.no_party_answers_a_kind_twice()
            self.no_party_gives_out_both_shares_of_anybody()
            self.a_party_that_is_through_holds_no_secrets()
            if len(self.lost) <= self.bearable:
                assert self.server.state is ServerState.DONE
                assert self.server.result().survivors >= set(range(len(self.clients))) - self.lost
                assert all(
                    self.clients[party].state is ClientState.DONE
                    for party in self.server.result().survivors - self.lost
                )
            event(f"{'disturbed' if self.disturbed else 'undisturbed'}: {self.server.state}")
        finally:
            self.small_chunks.stop()

    # How.

    @property
    def disturbed(self):
        return bool(self.lost)

    def _bearable(self, parties, rash):
        """Whether these may be lost now; if so, they count as lost."""
        if not rash and len(self.lost | parties) > self.bearable:
            return False
        self.lost |= parties
        return True

    def _post(self, party, messages):
        for data in messages:
            envelope = self.round.open(data)
            self.sent[party][envelope.kind] += 1
            if envelope.kind is Kind.MASKED_INPUT:
                chunk = codec.decode(MaskedInput, envelope.body, limit=len(envelope.body))
                self.chunks_sent[party].append(chunk.chunk)
            if envelope.kind is Kind.UNMASK_SHARES:
                answer = codec.decode(UnmaskShares, envelope.body, limit=len(envelope.body))
                for item in answer.shares:
                    assert item.label in set(LABELS)
                    self.released[party].setdefault(item.owner, set()).add(item.label)
            self.up.append((party, data))

    def _to_server(self, party, data):
        envelope = self.round.open(data)
        phase = self.server.state
        try:
            outgoing = self.server.receive(envelope)
        except RoundAbortedError as aborted:
            self._ended(aborted)
        except ProtocolError:
            early = self.server.state is phase is ServerState.MASKED_INPUT and party in self.server.waiting_for
            if early and envelope.kind is Kind.MASKED_INPUT:
                self.up.append((party, data))  # a chunk before its turn: a transport sends it again
                return
            assert party in self.lost or self.server.state in OVER, "an honest party's message was refused"
            self.old_up.append((party, data))
        else:
            self.old_up.append((party, data))
            self._deliverable(outgoing)

    def _to_party(self, party, data):
        client = self.clients[party]
        before = client.state
        try:
            answers = client.receive(self.round.open(data))
            if client.state is ClientState.READY:
                answers += client.mask(self.round.vectors[party].copy())
        except ProtocolError:
            if self.on_ring and len(self.lost) > self.bearable:
                self.lost.add(party)  # it has too few neighbours left
            assert party in self.lost or self.server.state in OVER, "an honest server's message was refused"
            assert before in WIPED or client.state is ClientState.ABORTED or client.state is before
            answers = []
        self.old_down.append((party, data))
        self._post(party, answers)

    def _refused_by(self, party, data):
        client = self.clients[party]
        before = client.state
        with pytest.raises(ProtocolError):
            client.receive(self.round.open(data))
        assert client.state is before

    def _close(self):
        try:
            self._deliverable(self.server.close_phase())
        except RoundAbortedError as aborted:
            self._ended(aborted)

    def _deliverable(self, outgoing):
        self.down += [(party, data) for party, data in outgoing if party not in self.gone]

    def _ended(self, aborted):
        assert len(self.lost) > self.bearable, f"the round could bear to lose {sorted(self.lost)}, and yet: {aborted}"
        assert self.server.state is ServerState.ABORTED
        assert aborted.phase in set(Step)
        with pytest.raises(LocalProtocolError):
            self.server.close_phase()


# A round takes ten deliveries of everything; what a bulk delivery leaves over, the last one sweeps up.
SecureSum.TestCase.settings = settings(stateful_step_count=30)
TestSecureSum = SecureSum.TestCase
