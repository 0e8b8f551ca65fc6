"""The library against the reference where seeds of noise are dealt: what is opened, who refuses what, what is left in the sum."""

import dataclasses
import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reference import bitmap, ed25519, encoding, keys, messages, privacy, protocol
from reference import plan as reference_plan
from reference.errors import Malformed, Refused
from reference.protocol import STEPS
from reference.test_against_library import Case, Recorder, assert_equal, assert_the_sum, library_round, reference_round
from securefl.crypto.signing import SigningKey
from securefl.dp.ledger import Budget, PrivacyLedger
from securefl.errors import MalformedMessageError, RemoteProtocolError, UnsafePlanError
from securefl.plan import Plan, Roster
from securefl.policy import ClientPolicy
from securefl.secagg.client import ClientRound
from securefl.session import SecAggClient, SecAggServer
from securefl.session import masking as session_masking
from securefl.wire.envelope import parse
from unit.dp import samplers_reference
from vectors.noisy import LEAVES, RADIUS, VARIANCE


def case_of(drops, **changes):
    """Six parties on the complete graph under a semi-honest server; as few as three may be left as far as the plan's floor goes."""
    dice = random.Random(9)
    r = protocol.Round(
        session=dice.randbytes(16),
        number=3,
        roster_digest=dice.randbytes(32),
        plan=dice.randbytes(40),
        parties=6,
        threshold=2,
        min_survivors=3,
        bits=23,
        length=3,
        noise=2,
    )
    r = dataclasses.replace(r, **changes)
    if changes.get("identities"):
        seeds = tuple(dice.randbytes(32) for _ in range(r.parties))
        r = dataclasses.replace(r, threshold=r.parties // 2 + 1, identities=seeds)
    return Case(r, [[dice.randrange(2**23) for _ in range(3)] for _ in range(r.parties)], drops, 11)


GRAPHS = {
    "complete": {},
    "active": {"identities": True},
    "k-regular": {"parties": 8, "degree": 4, "max_colluders": 1, "min_survivors": 6},
}


def both(case):
    """The transcript, on which the two agree, and what the parties drew."""
    ours, recorders, order = library_round(case)
    theirs = reference_round(case, recorders, order)
    assert_equal(case, ours, theirs)
    assert_the_sum(case, theirs, recorders)
    return theirs


@pytest.mark.parametrize("noise", [1, 3])
@pytest.mark.parametrize("graph", GRAPHS)
@pytest.mark.parametrize("step", STEPS)
def test_the_seeds_beyond_the_dropouts_are_opened_at_whatever_step_one_leaves(step, graph, noise):
    transcript = both(case_of({4: step}, noise=noise, **GRAPHS[graph]))
    missing = 1 if step in {"advertise", "share_keys", "masked_input"} else 0
    assert len(transcript.survivors) == (8 if graph == "k-regular" else 6) - missing
    numbers = list(range(missing + 1, noise + 1))
    assert [list(seeds) for seeds in transcript.seeds.values()] == (
        [numbers] * len(transcript.survivors) if numbers else []
    )


@pytest.mark.parametrize("graph", GRAPHS)
def test_a_round_ends_where_more_are_missing_than_there_is_noise_for(graph):
    """Two are missing, which the plan's floor allows: with seeds for two, or with none dealt, there is a sum; with a seed for one not."""
    leaving, changes = {1: "share_keys", 4: "masked_input"}, {**GRAPHS[graph], "parties": 8}
    assert both(case_of(leaving, **changes, noise=2)).total is not None
    assert both(case_of(leaving, **changes, noise=0)).total is not None
    assert both(case_of(leaving, **changes, noise=1)).aborted == "masked_input"


@pytest.mark.parametrize("graph", ["complete", "active"])
def test_a_party_of_either_opens_nothing_where_more_are_missing_than_there_is_noise_for(graph):
    """The server says that fewer are there than are; the plan's floor allows it, the noise does not."""
    case = case_of({}, **{**GRAPHS[graph], "noise": 1})
    assert max(case.fitted[0].threshold, case.round.min_survivors) <= 4
    for survivors, taken in (([0, 1, 2, 3, 4], True), ([0, 1, 2, 3], False)):
        for party in (library_party(case), reference_party(case)):
            members = bitmap.pack(survivors, 6)
            step, body = ("consistency", [members]) if case.round.active else ("unmask", [members, []])
            kind = messages.SURVIVORS if case.round.active else messages.UNMASK
            r = case.round
            data = messages.envelope(kind, body, r.session, r.number, messages.SERVER, party.ctx)
            if taken:
                assert party.answer(step, data)
            else:
                with pytest.raises((Refused, RemoteProtocolError), match="noise"):
                    party.answer(step, data)


def test_under_an_active_server_the_request_to_open_is_held_to_the_same():
    """Signatures of too small a set, by as many as collude, do not make it larger."""
    case = case_of({}, identities=True, noise=1)
    survivors = [0, 1, 2, 3]
    for party in (library_party(case), reference_party(case)):
        signed = keys.survivors_data(party.ctx, survivors)
        signatures = [[i, ed25519.sign(case.round.identities[i], signed)] for i in survivors]
        body, r = [bitmap.pack(survivors, 6), signatures], case.round
        honest = messages.envelope(
            messages.SURVIVORS, [bitmap.pack(range(6), 6)], r.session, r.number, messages.SERVER, party.ctx
        )
        assert party.answer("consistency", honest)
        data = messages.envelope(messages.UNMASK, body, r.session, r.number, messages.SERVER, party.ctx)
        with pytest.raises((Refused, RemoteProtocolError), match="noise"):
            party.answer("unmask", data)


class LibraryParty:
    def __init__(self, made, ctx):
        self.made, self.ctx = made, ctx

    def answer(self, step, data):
        return self.made.receive(parse(data, parties=self.made.context.parties))


class ReferenceParty(LibraryParty):
    def answer(self, step, data):
        return getattr(self.made, step)(data)


def sent_to_the_first(case):
    """What party 0 is sent up to the moment when its vector is masked, and what it draws."""
    _, recorders, order = library_round(case)
    transcript = reference_round(case, recorders, order)
    sent = [data for up, party, data in transcript.messages if not up and party == 0]
    return sent[1:3], recorders[0], transcript.ctx


def library_party(case):
    sent, _, ctx = sent_to_the_first(case)
    identities = [SigningKey.from_bytes(seed) for seed in case.round.identities]
    made = ClientRound(
        dataclasses.replace(case.context, model_digest=bytes(32)),
        0,
        names="abcdef",
        identity=identities[0] if identities else None,
        verify_keys=[key.verify_key for key in identities] or None,
        random=Recorder(f"{case.seed}/0"),
    )
    made.advertise()
    for data in sent:
        made.receive(parse(data, parties=6))
    list(made.mask(np.array(case.vectors[0], np.uint32)))
    return LibraryParty(made, ctx)


def reference_party(case):
    sent, recorder, ctx = sent_to_the_first(case)
    draws = recorder.draws(case.fitted[0].threshold, 5, case.round.noise)
    made = protocol.Party(case.round, 0, draws, case.vectors[0])
    made.share_keys(sent[0])
    made.masked_input(sent[1])
    return ReferenceParty(made, ctx)


@pytest.mark.parametrize("missing", [0, 1, 2])
def test_a_private_session_is_equal_to_the_bit_and_its_noise_comes_off_alike(missing, tmp_path, monkeypatch):
    """From the plan to the integers of the sum. How the library rounds and draws what stays is its own: the vectors are what it masked."""
    n, names, length = 5, [f"party-{i}" for i in range(5)], 8
    theirs = reference_plan.Plan(
        "semi-honest", n, 2, 0, 3, 20, 0, 0.0, 1, (), LEAVES, on_saturation="", privacy=PRIVACY
    )
    plan, roster = Plan.from_bytes(theirs.to_bytes()), Roster.unsigned(names)
    ledger = PrivacyLedger(tmp_path / "ledger.jsonl", budget=Budget(epsilon=1000.0, delta=1e-6))
    masked = []

    def noted(*args, **kwargs):
        masked.append(encode(*args, **kwargs))
        return dataclasses.replace(masked[-1], words=masked[-1].words.copy())

    encode = session_masking.encode_private
    monkeypatch.setattr(session_masking, "encode_private", noted)
    recorders = [Recorder(f"{missing}/{i}") for i in range(n)]
    policy = ClientPolicy.matching(plan)
    clients = {
        name: SecAggClient(name, roster=roster, policy=policy, ledger=ledger, random=recorder)
        for name, recorder in zip(names, recorders, strict=True)
    }
    for i, client in enumerate(clients.values()):
        client.submit({"b": np.full(3, 0.1 * i, np.float32), "w": np.array([-0.2, 0.3])})
    server = SecAggServer(plan, roster=roster, ledger=ledger)
    sent, outbox, gone = [], server.start_round(), names[n - missing :]
    while not server.done:
        step = server.step
        sent += [(False, names.index(name), data) for name, data in outbox]
        inbox, outbox = outbox, []
        for name, data in inbox:
            if step == "masked_input" and name in gone:
                continue
            for answer in clients[name].receive(data):
                sent.append((True, names.index(name), answer))
                outbox += server.receive(answer, party=name)
        outbox = outbox or ([] if server.done else server.close_phase())

    r = protocol.Round(
        session=server.session,
        number=1,
        roster_digest=reference_plan.roster_digest(names),
        plan=theirs.to_bytes(),
        parties=n,
        threshold=2,
        min_survivors=3,
        bits=20,
        length=theirs.length,
        noise=2,
    )
    vectors = [vector.words.tolist() for vector in masked] + [[0] * length] * missing
    drops = dict.fromkeys(range(n - missing, n), "masked_input")
    transcript = protocol.run(r, [x.draws(2, n - 1, 2) for x in recorders], vectors, drops)
    assert sent == transcript.messages
    numbers = list(range(missing + 1, 3))
    assert [list(seeds) for seeds in transcript.seeds.values()] == ([numbers] * (n - missing) if numbers else [])
    left = transcript.total
    variances = privacy.components(VARIANCE, n, 0, 2)
    for seeds in transcript.seeds.values():
        for j, seed in seeds.items():
            drawn = samplers_reference.draw("skellam", variances[j], length, seed)
            left = [(a - b) % 2**20 for a, b in zip(left, drawn, strict=True)]
    assert server.result().integers.tolist() == encoding.centre(left, 20)


PRIVACY = [
    *(
        "distributed-skellam",
        1.0,
        [1.0],
        None,
        "zero-out",
        "party",
        1.0,
        0.25,
        2,
        None,
        "never",
        None,
        RADIUS,
        VARIANCE,
    ),
]


@settings(max_examples=60)
@given(
    st.integers(3, 90),
    st.one_of(st.integers(0, 5), st.integers(0, 66)),
    st.integers(0, 3),
    st.integers(-1, 1),
    st.sampled_from([0.125, 5.0, VARIANCE, 1e7]),
    st.booleans(),
)
def test_both_read_the_same_plans_with_xnoise(n, noise, colluders, above, variance, by_skellam):
    """A plan whose threshold and graph are right: what is left to refuse is its noise."""
    radius = max(1.0, (variance / 8) ** 0.5)
    multiplier = (variance / privacy.squared_sensitivity(radius, 8, 1.0)) ** 0.5 * 0.99
    fields = list(PRIVACY)
    fields[0] = "distributed-skellam" if by_skellam else "local-discrete-gaussian"
    fields[1], fields[8], fields[12], fields[13] = multiplier, noise, radius, variance
    floor = min(n, max(3, colluders + 2, n - noise + above))
    threshold = max(2, colluders + 1, n // 2)
    plan = reference_plan.Plan(
        *("semi-honest", n, threshold, colluders, floor, 32, 0, 0.0, 1, (), LEAVES),
        on_saturation="",
        privacy=fields,
    )
    outcomes = []
    for read in (reference_plan.read, Plan.from_bytes):
        try:
            read(plan.to_bytes())
        except (Refused, UnsafePlanError):
            outcomes.append("refused")
        except (Malformed, MalformedMessageError):
            outcomes.append("malformed")
        else:
            outcomes.append("read")
    assert outcomes[0] == outcomes[1]


def test_the_variance_is_the_same_however_many_are_missing():
    """Whatever D up to J is: n - D parties' shares, without those of the seeds j > D, add up to V (n - J) / (n - J - c)."""
    for n, noise, colluders in ((5, 2, 0), (9, 4, 2), (64, 62 - 1, 1)):
        stays, *seeds = privacy.components(7, n, colluders, noise)
        kept = n - noise
        for missing in range(noise + 1):
            assert (n - missing) * (stays + sum(seeds[:missing])) == Fraction(7 * kept, kept - colluders)
