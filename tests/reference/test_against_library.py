"""The library against the reference: whole rounds, message by message, to the bit.

The library draws from a source that records; the reference is handed the same draws and computes every message by itself.
"""

import dataclasses
import functools
import itertools
import random
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import ed25519, encoding, messages, protocol, x25519
from reference import k_regular as reference_k_regular
from reference import plan as reference_plan
from reference.errors import Refused
from reference.keys import labels
from reference.protocol import STEPS, Draws
from securefl.crypto.signing import SigningKey
from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.rounding import stochastic_round
from securefl.errors import RoundAbortedError
from securefl.plan import Plan, Roster
from securefl.plan.protocol import SecAgg
from securefl.plan.roster import Member
from securefl.policy import ClientPolicy, ModelFloors
from securefl.secagg import k_regular, key_list, masked_input
from securefl.secagg.client import ClientRound
from securefl.secagg.server import ServerRound
from securefl.session import SecAggClient, SecAggServer
from securefl.types import Graph, RoundContext, ServerModel
from securefl.wire.envelope import parse
from vectors.streams import Tape


class Recorder:
    """A repeatable random source that remembers what it gave out; now and then an integer at the end of its range."""

    def __init__(self, seed):
        self._random = random.Random(seed)
        self.tokens, self.integers = [], []

    def token(self, size):
        self.tokens.append(self._random.randbytes(size))
        return self.tokens[-1]

    def below(self, bound):
        self.integers.append(self._random.choice([0, bound - 1] + 6 * [self._random.randrange(bound)]))
        return self.integers[-1]

    def draws(self, threshold, holders, noise=0):
        """What the party drew, in the order in which the library draws: keys, seed, seeds of noise, polynomials from the top, nonces."""
        tokens, integers = [*self.tokens, b"", b"", b""], self.integers
        coefficients = {
            label: integers[i * (threshold - 1) : (i + 1) * (threshold - 1)][::-1]
            for i, label in enumerate(labels(noise))
        }
        seeds, nonces = self.tokens[3 : 3 + noise], self.tokens[3 + noise : 3 + noise + holders]
        return Draws(tokens[0], tokens[1], tokens[2], coefficients, tuple(nonces), tuple(seeds))

    def rounding(self, holders, ahead):
        """What was drawn after the nonces, and before the keys of the next round where these were sent `ahead`."""
        return b"".join(self.tokens[3 + holders : len(self.tokens) - 2 * ahead])

    def next_round(self):
        """Forget all but the keys that were sent ahead."""
        self.tokens, self.integers = self.tokens[-2:], []


@dataclasses.dataclass
class Case:
    """One round, in the terms of the reference."""

    round: protocol.Round
    vectors: list
    drops: dict
    seed: int

    @property
    def context(self):
        """The round in the library's terms."""
        r = self.round
        return RoundContext(
            session=r.session,
            round=r.number,
            roster_digest=r.roster_digest,
            plan_digest=reference_plan.plan_digest(r.plan),
            model_digest=r.model_digest,
            parties=r.parties,
            threshold=r.threshold,
            max_colluders=r.max_colluders,
            min_survivors=r.min_survivors,
            server=ServerModel.ACTIVE if r.active else ServerModel.SEMI_HONEST,
            ring_bits=r.bits,
            length=r.length,
            graph=Graph.K_REGULAR if r.degree else Graph.COMPLETE,
            neighbours=r.degree,
            prefetch=r.prefetch,
            noise_labels=r.noise,
        )

    @property
    def fitted(self):
        """The round for those that advertise."""
        attending = self.round.parties - list(self.drops.values()).count("advertise")
        return self.round.fitted(attending), self.round.neighbours(attending)


@st.composite
def rings(draw, max_length=5):
    """Rounds on the k-regular graph, which lives while no more are lost than planned."""
    n = draw(st.integers(5, 9))
    degree = draw(st.sampled_from(range(2, n, 2)))
    # The least of everything comes often, so that many a round survives its drops.
    colluders = draw(st.integers(0, min(2, degree - 1)))
    least = max(2, colluders + 1)
    lost = draw(st.integers(0, degree - least))
    threshold = max(least, draw(st.integers(0, degree - lost)))
    bits, length = draw(st.sampled_from([8, 23, 33, 64])), draw(st.integers(0, max_length))
    step = st.sampled_from([step for step in STEPS if step != "consistency"])
    seed = draw(st.integers(0, 2**32 - 1))
    dice = random.Random(seed)
    return Case(
        protocol.Round(
            session=dice.randbytes(16),
            number=draw(st.sampled_from([0, 1, 2**32 - 1])),
            roster_digest=dice.randbytes(32),
            plan=dice.randbytes(40),
            parties=n,
            threshold=threshold,
            max_colluders=colluders,
            min_survivors=max(3, n - lost),
            bits=bits,
            length=length,
            model_digest=dice.randbytes(32),
            degree=degree,
            noise=draw(st.sampled_from([0, 0, 1, 2, 3])),
        ),
        [[dice.choice([0, 2**bits - 1, dice.randrange(2**bits)]) for _ in range(length)] for _ in range(n)],
        draw(st.dictionaries(st.integers(0, n - 1), step, max_size=3)),
        seed,
    )


@st.composite
def cases(draw, max_length=9):
    n = draw(st.sampled_from([3, 4, 5, 6, 6]))
    active = draw(st.booleans())
    # The least threshold comes often, so that many a round survives its drops.
    threshold = max(n // 2 + 1 if active else 2, draw(st.integers(0, n - 1)))
    bits = draw(st.sampled_from([8, 9, 16, 20, 23, 24, 31, 32, 33, 40, 63, 64]))
    length = draw(st.integers(0, max_length))
    step = st.sampled_from([step for step in STEPS if active or step != "consistency"])
    seed = draw(st.integers(0, 2**32 - 1))
    dice = random.Random(seed)
    return Case(
        protocol.Round(
            session=dice.randbytes(16),
            number=draw(st.sampled_from([0, 1, 127, 128, 2**32 - 1])),
            roster_digest=dice.randbytes(32),
            plan=dice.randbytes(40),
            parties=n,
            threshold=threshold,
            max_colluders=draw(st.integers(0, 2 * threshold - n - 1)) if active else 0,
            min_survivors=draw(st.sampled_from([3, 3, 3, n])),
            bits=bits,
            length=length,
            model_digest=dice.randbytes(32),
            identities=tuple(dice.randbytes(32) for _ in range(n)) if active else (),
            chunk_words=draw(st.sampled_from([2**20, 4])),
            noise=draw(st.sampled_from([0, 0, 1, 2, 3, 14])),
        ),
        [[dice.choice([0, 2**bits - 1, dice.randrange(2**bits)]) for _ in range(length)] for _ in range(n)],
        draw(st.dictionaries(st.integers(0, n - 1), step, max_size=2)),
        seed,
    )


def library_round(case):
    """The library's round: a transcript like the reference's, without the invitations, and what was drawn."""
    context, names = case.context, [f"party-{i}" for i in range(case.round.parties)]
    seeds = case.round.identities
    identities = [SigningKey.from_bytes(seed) for seed in seeds]
    verify_keys = [key.verify_key for key in identities] or None
    recorders = [Recorder(f"{case.seed}/{i}") for i in range(context.parties)]
    clients = [
        ClientRound(
            dataclasses.replace(context, model_digest=bytes(32)),
            i,
            names=names,
            identity=identities[i] if identities else None,
            verify_keys=verify_keys,
            random=recorders[i],
        )
        for i in range(context.parties)
    ]
    ring = Recorder(f"{case.seed}/server")
    server = ServerRound(context, names=names, verify_keys=verify_keys, random=ring)
    server.start()
    transcript, outbox = protocol.Transcript(), [(i, b"") for i in range(context.parties)]
    try:
        while server.state not in {"done", "aborted"}:
            step, inbox, outbox = str(server.state), outbox, []
            for party, data in inbox:
                if case.drops.get(party) == step:
                    continue
                for answer in answers(clients[party], step, data, case.vectors[party]):
                    transcript.messages.append((True, party, answer))
                    envelope = parse(
                        answer,
                        parties=context.parties,
                        neighbours=context.neighbours or None,
                        noise_labels=context.noise_labels,
                    )
                    outbox += server.receive(envelope)
            if str(server.state) == step:
                outbox = server.close_phase()
            transcript.messages += [(False, party, data) for party, data in outbox]
        result = server.result()
        transcript.total, transcript.survivors = result.total.tolist(), sorted(result.survivors)
        transcript.seeds = {party: dict(opened) for party, opened in result.seeds.items()}
    except RoundAbortedError as aborted:
        transcript.aborted = aborted.phase
    transcript.dropped = {party: str(step) for party, step in server.dropped.items()}
    return transcript, recorders, ring.integers


def answers(client, step, data, vector):
    if step == "advertise":
        return [client.advertise()]
    sent = client.receive(parse(data, parties=client.context.parties))
    if step == "masked_input":
        dtype = np.uint32 if client.context.ring_bits <= 32 else np.uint64
        sent += client.mask(np.array(vector, dtype=dtype))
    return sent


def reference_round(case, recorders, order):
    """The reference's, from the same draws."""
    try:
        fitted, holders = case.fitted
    except Refused:
        fitted, holders = case.round, 0  # and the round ends before anybody deals
    draws = []
    for i, recorder in enumerate(recorders):
        # Who left before it advertised drew nothing; the reference runs without it all the same.
        keys = (b"", b"") if case.drops.get(i) == "advertise" else recorder.tokens[:2]
        drawn = recorder.draws(fitted.threshold, holders, fitted.noise)
        draws.append(drawn if recorder.tokens else Draws(*keys))
    return protocol.run(case.round, draws, case.vectors, case.drops, order=order)


def assert_equal(case, ours, theirs):
    invites = case.round.parties
    for place, (mine, yours) in enumerate(zip(ours.messages, theirs.messages[invites:], strict=False)):
        envelope = messages.parse(yours[2], case.round.parties, case.round.degree, case.round.noise)
        kind = messages.NAMES[envelope["kind"]]
        assert mine == yours, f"message {place}, {kind}"
    assert len(ours.messages) == len(theirs.messages) - invites
    for name in ("dropped", "survivors", "total", "aborted", "seeds"):
        assert getattr(ours, name) == getattr(theirs, name), name


@settings(max_examples=30)
@given(cases())
def test_rounds_equal_to_the_bit(case):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(masked_input, "CHUNK_VALUES", case.round.chunk_words)
        ours, *drawn = library_round(case)
    theirs = reference_round(case, *drawn)
    assert_equal(case, ours, theirs)
    assert_the_sum(case, theirs, drawn[0])


def assert_the_sum(case, transcript, recorders):
    """What was opened: the sum, and of each party in it the seeds of noise for more dropouts than there were; of nobody else any."""
    if transcript.total is None:
        assert not transcript.seeds
        return
    columns = zip(*(case.vectors[i] for i in transcript.survivors), strict=True)
    assert transcript.total == [sum(column) % 2**case.round.bits for column in columns]
    missing = case.round.parties - len(transcript.survivors)
    numbers = range(missing + 1, case.round.noise + 1)
    assert missing <= case.round.noise or not case.round.noise
    assert transcript.seeds == (
        {i: {j: recorders[i].tokens[2 + j] for j in numbers} for i in transcript.survivors} if numbers else {}
    )


@settings(max_examples=10)
@given(rings())
def test_rounds_on_the_k_regular_graph_equal_to_the_bit(case):
    ours, *drawn = library_round(case)
    theirs = reference_round(case, *drawn)
    assert_equal(case, ours, theirs)
    assert_the_sum(case, theirs, drawn[0])


def ring_case(drops, **changes):
    """8 parties with 4 neighbours each, of whom one may collude and two may leave."""
    dice = random.Random(5)
    r = protocol.Round(
        session=dice.randbytes(16),
        number=3,
        roster_digest=dice.randbytes(32),
        plan=dice.randbytes(40),
        parties=8,
        threshold=2,
        max_colluders=1,
        min_survivors=6,
        bits=23,
        length=5,
        degree=4,
    )
    r = dataclasses.replace(r, **changes)
    return Case(r, [[dice.randrange(2**23) for _ in range(5)] for _ in range(r.parties)], drops, 7)


@pytest.mark.parametrize("leaving", [(0,), (1, 2), (0, 7)])
@pytest.mark.parametrize("step", [step for step in STEPS if step != "consistency"])
def test_drops_on_the_k_regular_graph_still_give_the_sum(step, leaving):
    case = ring_case(dict.fromkeys(leaving, step))
    ours, *drawn = library_round(case)
    theirs = reference_round(case, *drawn)
    assert_equal(case, ours, theirs)
    assert theirs.survivors == [i for i in range(8) if step == "unmask" or i not in leaving]
    assert_the_sum(case, theirs, drawn[0])


def test_the_threshold_rises_alike_where_fewer_advertise(monkeypatch):
    # With 40 bits of security this takes hundreds of parties (graphs.json has them); with none it takes eleven.
    sigma = 0
    monkeypatch.setattr(reference_k_regular, "SIGMA", sigma)
    monkeypatch.setattr(key_list, "refit", functools.partial(k_regular.refit, sigma=sigma))
    least = [reference_k_regular.t1(n, 4, 6) + 1 for n in (11, 9)]
    assert least[0] < least[1] <= 6
    case = ring_case(
        {2: "advertise", 10: "advertise", 5: "masked_input"},
        parties=11,
        threshold=least[0],
        max_colluders=4,
        min_survivors=8,
        degree=6,
    )
    ours, *drawn = library_round(case)
    theirs = reference_round(case, *drawn)
    assert case.fitted[0].threshold == least[1]
    assert_equal(case, ours, theirs)
    assert theirs.total is not None
    assert_the_sum(case, theirs, drawn[0])


@pytest.mark.parametrize("active", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_drop_at_each_step_still_gives_the_sum(step, active):
    # n = 6, t = 4, one drop: the quorum is 5, so the round ends well wherever the drop is.
    dice = random.Random(step)
    r = protocol.Round(
        session=dice.randbytes(16),
        number=3,
        roster_digest=dice.randbytes(32),
        plan=dice.randbytes(40),
        parties=6,
        threshold=4,
        min_survivors=3,
        bits=23,
        length=5,
        identities=tuple(dice.randbytes(32) for _ in range(6)) if active else (),
    )
    case = Case(r, [[dice.randrange(2**23) for _ in range(5)] for _ in range(6)], {2: step}, 7)
    ours, *drawn = library_round(case)
    theirs = reference_round(case, *drawn)
    assert_equal(case, ours, theirs)
    counted = step in {"consistency", "unmask"}
    assert theirs.survivors == [i for i in range(6) if counted or i != 2]
    assert theirs.dropped == ({2: step} if active or step != "consistency" else {})
    columns = zip(*(case.vectors[i] for i in theirs.survivors), strict=True)
    assert theirs.total == [sum(column) % 2**23 for column in columns]


@settings(max_examples=8)
@given(st.data())
def test_sessions_equal_to_the_bit(data):
    """From the plan and the update to the mean, for two rounds: invitations, plan bytes, roster and model digest, encoding, weights,
    metrics, keys sent ahead."""
    ring = data.draw(st.booleans())
    n, active = (7, False) if ring else (data.draw(st.integers(3, 5)), data.draw(st.booleans()))
    prefetch = data.draw(st.booleans())
    value_bits, bound = data.draw(st.integers(4, 24)), data.draw(st.sampled_from([0.1, 1.0, 4.0, 3e5]))
    max_weight = data.draw(st.sampled_from([1, 2, 1000]))
    dice = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    seeds = [dice.bytes(32) for _ in range(n)] if active else []
    names = [f"hospital-{i}" for i in range(n)]
    keys = [ed25519.public_key(seed) for seed in seeds]
    roster = Roster(tuple(Member(*pair) for pair in zip(names, keys or [b""] * n, strict=True)), version=4)
    tree = {"b": ((2,), "float32"), "layers": [((2, 1), "float64"), ((), "int64")], "n": ((3,), "uint8")}
    spans = {"loss": (0.0, 10.0), "accuracy": (0.0, 1.0)} if data.draw(st.booleans()) else {}
    chosen = {"graph": "k-regular", "neighbours": 4, "max_colluders": 1, "min_survivors": n - 1} if ring else {}
    threshold = 3 if ring else n - 1
    plan = Plan(
        template=tree,
        parties=roster,
        protocol=SecAgg(threshold=threshold, prefetch=prefetch, **chosen),
        encoding=FixedPoint(value_bits, bound),
        max_weight=max_weight,
        metrics=spans,
        purpose=data.draw(st.sampled_from(["", "Prüfung", "x" * 40])),
    )
    parameters = plan.parameters
    theirs = reference_plan.Plan(
        server="active" if active else "semi-honest",
        parties=n,
        threshold=threshold,
        max_colluders=parameters.max_colluders,
        min_survivors=parameters.min_survivors,
        ring_bits=max(8, (2 * n * max_weight * (2 ** (value_bits - 1) - 1)).bit_length()),
        value_bits=value_bits,
        bound=bound,
        max_weight=max_weight,
        metrics=tuple((name, *span) for name, span in spans.items()),
        leaves=LEAVES,
        purpose=plan.purpose,
        degree=4 if ring else 0,
        prefetch=prefetch,
    )

    def update():
        return {
            "b": (dice.standard_normal(2) * bound).astype(np.float32),
            "layers": [dice.standard_normal((2, 1)) * bound, np.array(int(dice.integers(-50, 50)), np.int64)],
            "n": dice.integers(0, 256, 3).astype(np.uint8),
        }

    # Models here are noise of any size, which no party would train on: what is compared is bytes.
    sizes = ModelFloors(max_weight_rms=1e9, refuse_identical_units=False)
    policy = dataclasses.replace(ClientPolicy.matching(plan), model=sizes)
    recorders = [Recorder(f"{names}/{i}") for i in range(n)]
    order = Recorder("server")
    server = SecAggServer(plan, roster=roster, random=order)
    clients = {}
    for i, name in enumerate(names):
        identity = SigningKey.from_bytes(seeds[i]) if active else None
        clients[name] = SecAggClient(name, roster=roster, policy=policy, identity=identity, random=recorders[i])
    ahead, holders = {}, 4 if ring else n - 1
    for number in (1, 2):
        model = update() if data.draw(st.booleans()) else None
        updates = [update() for _ in names]
        weights = [int(w) for w in dice.integers(1, max_weight, n, endpoint=True)]
        metrics = [{name: float(dice.uniform(-1, 2)) for name in spans} for _ in names]
        sent = []
        for i, name in enumerate(names):
            clients[name].submit(updates[i], weight=weights[i], metrics=metrics[i], model=model)
        outbox = server.start_round(model)
        while not server.done:
            sent += [(False, names.index(name), message) for name, message in outbox]
            inbox, outbox = outbox, []
            for name, message in inbox:
                for answer in clients[name].receive(message):
                    sent.append((True, names.index(name), answer))
                    outbox += server.receive(answer, party=name)
        result = server.result()

        digest = reference_plan.NO_MODEL if model is None else reference_plan.model_digest(LEAVES, tensors(model))
        vectors = [
            encoding.encode_vector(
                theirs, flat(updates[i]), weights[i], metrics[i], Tape(recorders[i].rounding(holders, prefetch))
            )
            for i in range(n)
        ]
        r = protocol.Round(
            session=server.session,
            number=number,
            roster_digest=reference_plan.roster_digest(names, keys, 4),
            plan=theirs.to_bytes(),
            parties=n,
            threshold=threshold,
            min_survivors=theirs.min_survivors,
            bits=theirs.ring_bits,
            length=theirs.length,
            max_colluders=theirs.max_colluders,
            model_digest=digest,
            identities=tuple(seeds),
            degree=theirs.degree,
            prefetch=prefetch,
        )
        transcript = protocol.run(
            r,
            [recorder.draws(threshold, holders) for recorder in recorders],
            vectors,
            order=order.integers,
            following=(dataclasses.replace(r, number=number + 1), [Draws(*x.tokens[-2:]) for x in recorders]),
            prefetched=ahead,
        )
        assert sent == transcript.messages
        assert (number == 2 and prefetch) == (not any(parse(m, parties=n).kind == 0 for _, _, m in sent))
        ahead, order.integers = transcript.prefetched, []
        assert set(ahead) == (set(range(n)) if prefetch else set())

        signed = encoding.centre(transcript.total, r.bits)
        step = bound / (2 ** (value_bits - 1) - 1)
        assert result.sum["b"].tolist() == [value * step for value in signed[:2]]
        assert int(result.sum["layers"][1]) == signed[4]
        assert result.weight_sum == (signed[8] if max_weight > 1 else n)
        for recorder in recorders:
            recorder.next_round()
            if not prefetch:
                recorder.tokens = []
    assert layout_digest_of(plan) == reference_plan.layout_digest(LEAVES)


LEAVES = (
    ("b", (2,), "float32"),
    ("layers[0]", (2, 1), "float64"),
    ("layers[1]", (), "int64"),
    ("n", (3,), "uint8"),
)


def layout_digest_of(plan):
    return plan.layout.digest()


def flat(tree):
    return [
        [float(x) for x in tree["b"]],
        [float(x) for x in tree["layers"][0].ravel()],
        [int(tree["layers"][1])],
        [int(x) for x in tree["n"]],
    ]


def tensors(tree):
    b, w, i, n = flat(tree)
    return [struct.pack("<2f", *b), struct.pack("<2d", *w), struct.pack("<q", *i), bytes(n)]


@pytest.mark.parametrize("graph", ["complete", "active", "k-regular"])
@pytest.mark.parametrize(("prefetch", "noise"), [(False, 0), (True, 0), (True, 2)])
@pytest.mark.parametrize("serving", ["library", "reference"])
def test_the_library_and_the_reference_complete_rounds_together(serving, prefetch, noise, graph):
    """The parties with even numbers run the library, the others the reference, and the server is of either; two rounds."""
    dice = random.Random(12)
    n, active = 6, graph == "active"
    r = protocol.Round(
        session=dice.randbytes(16),
        number=1,
        roster_digest=dice.randbytes(32),
        plan=dice.randbytes(9),
        parties=n,
        threshold=4 if active else 2,
        max_colluders=1,
        min_survivors=5,
        bits=33,
        length=3,
        identities=tuple(dice.randbytes(32) for _ in range(n)) if active else (),
        degree=4 if graph == "k-regular" else 0,
        prefetch=prefetch,
        noise=noise,
    )
    rounds = [r, dataclasses.replace(r, number=2), dataclasses.replace(r, number=3)]
    players = [[player(one, i, dice) for i in range(n)] for one in rounds]
    for now, then in itertools.pairwise(players):
        for one, following in zip(now, then, strict=True):
            one.following = following
    ahead = {}
    for number, one in enumerate(rounds[:2]):
        make = LibraryServer if serving == "library" else ReferenceServer
        server = make(one, dice)
        inbox = dict.fromkeys(set(range(n)) - set(ahead), b"")
        for step in [step for step in STEPS if active or step != "consistency"]:
            arrived = dict(ahead) if step == "advertise" else {}
            for i, message in inbox.items():
                if (number, i, step) != (0, 3, "masked_input"):  # one leaves, in the first round
                    arrived[i] = players[number][i].answer(step, message)
            inbox = server.take(step, arrived)
        there = [i for i in range(n) if number or i != 3]
        vectors = [players[number][i].vector for i in there]
        assert inbox == [sum(column) % 2**33 for column in zip(*vectors, strict=True)]
        ahead = server.prefetched
        assert set(ahead) == (set(there) if prefetch else set())
        numbers = set(range(n - len(there) + 1, noise + 1))
        assert {i: set(opened) for i, opened in server.seeds.items()} == (
            dict.fromkeys(there, numbers) if noise else {}
        )


class LibraryPlayer:
    """A party of the library."""

    def __init__(self, r, i, vector):
        self.vector, self.following = vector, None
        keys = [SigningKey.from_bytes(seed) for seed in r.identities]
        self._round = ClientRound(
            Case(r, [], {}, 0).context,
            i,
            names="abcdef",
            identity=keys[i] if keys else None,
            verify_keys=[key.verify_key for key in keys] or None,
            next_keys=lambda: self.following.answer("advertise", b""),
        )

    def answer(self, step, message):
        sent = answers(self._round, step, message, self.vector)
        return sent if step == "masked_input" else sent[0]


class ReferencePlayer:
    """A party of the reference."""

    def __init__(self, r, i, dice, vector):
        self.vector = vector
        coefficients = {label: [dice.randrange(2**256) for _ in range(5)] for label in r.labels}
        nonces = tuple(dice.randbytes(12) for _ in range(5))
        noise = tuple(dice.randbytes(32) for _ in range(r.noise))
        draws = Draws(dice.randbytes(32), dice.randbytes(32), dice.randbytes(32), coefficients, nonces, noise)
        self._party = protocol.Party(r, i, draws, vector)

    @property
    def following(self):
        return self._party.following

    @following.setter
    def following(self, player):
        self._party.following = player._party

    def answer(self, step, message):
        return self._party.advertise() if step == "advertise" else getattr(self._party, step)(message)


def player(r, i, dice):
    vector = [dice.randrange(2**33) for _ in range(3)]
    return ReferencePlayer(r, i, dice, vector) if i % 2 else LibraryPlayer(r, i, vector)


class LibraryServer:
    """The library's server, for `take`."""

    def __init__(self, r, _dice):
        keys = [ed25519.public_key(seed) for seed in r.identities]
        self._server = ServerRound(Case(r, [], {}, 0).context, names="abcdef", verify_keys=keys or None)
        self._server.start()

    def take(self, step, arrived):
        out = []
        for sent in arrived.values():
            for data in sent if isinstance(sent, list) else [sent]:
                envelope = parse(data, parties=6, noise_labels=self._server.context.noise_labels)
                out += self._server.receive(envelope)
        if self._server.state == step:
            out = self._server.close_phase()
        return self._server.result().total.tolist() if step == "unmask" else dict(out)

    @property
    def prefetched(self):
        return dict(self._server.prefetched)

    @property
    def seeds(self):
        return self._server.result().seeds


class ReferenceServer:
    """The reference's server, for `take`."""

    def __init__(self, r, dice):
        self._server = protocol.Server(r, [dice.randrange(last + 1) for last in range(5, 0, -1)])

    def take(self, step, arrived):
        return getattr(self._server, step)(arrived)

    @property
    def prefetched(self):
        return self._server.prefetched

    @property
    def seeds(self):
        return self._server.seeds


@given(st.lists(st.tuples(st.floats(-300, 300), st.booleans()), min_size=1, max_size=9), st.integers(0, 2**32 - 1))
def test_rounding_equal_to_the_bit_with_ties_at_will(values, seed):
    dice, first = random.Random(seed), b""
    for value, tie in values:
        upper = int((value - np.floor(value)) * 2**16)
        first += (min(upper, 2**16 - 1) if tie else dice.randrange(2**16)).to_bytes(2, "little")
    tape = first + dice.choice([bytes(72), b"\xff" * 72, dice.randbytes(72)])
    values = [value for value, _ in values]
    ours, theirs = Tape(tape), Tape(tape)
    drawing = type("Drawing", (), {"token": staticmethod(ours)})
    assert stochastic_round(np.array(values), drawing).tolist() == encoding.round_all(values, theirs)
    assert ours.used == theirs.used


@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
@settings(max_examples=20)
def test_the_reference_agrees_with_itself_on_any_two_keys(one, other):
    assert x25519.agree(one, x25519.public_key(other)) == x25519.agree(other, x25519.public_key(one))
