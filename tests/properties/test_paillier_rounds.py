"""Laws of rounds of encrypted aggregation: the sum is the integer sum, t share-holders suffice and t - 1 do not, masks give the same."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import securefl as sfl
from attacks.paillier_table import CLIENTS, SEPARATE, THRESHOLD, Table, dealt, encryptor
from conformance.adapters import dealing, private_key
from securefl.encoding.ring import Ring
from securefl.errors import BelowThresholdError, EncodingError, SecureFLError
from securefl.paillier import SlotLayout
from securefl.paillier.rounds.states import ServerState
from securefl.paillier.threshold import Combiner
from securefl.pipeline import encode_update
from securefl.session.paillier_round import EncodedIntegers, context_of
from securefl.session.submission import Submission

MODELS = [(holder, audited) for holder in (SEPARATE, CLIENTS, THRESHOLD) for audited in (False, True)]
few = settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))


@st.composite
def layouts(draw):
    """A layout, and vectors of at most so many parties, within the bound of one party."""
    parties, most = draw(st.integers(1, 300)), draw(st.integers(1, 2**40))
    weight, noise = draw(st.integers(1, 1000)), draw(st.integers(0, 4))
    bits = (2 * parties * weight * most).bit_length() + noise
    if bits > 63:
        most = max(1, most >> bits - 63)
    layout = SlotLayout(draw(st.sampled_from([256, 512, 2048, 3072])), parties, most, weight, noise)
    values = st.sampled_from([layout.bound, -layout.bound, 0, 1, -1]) | st.integers(-layout.bound, layout.bound)
    count = draw(st.integers(1, min(parties, 6)))
    length = draw(st.integers(0, 40))
    vectors = [draw(st.lists(values, min_size=length, max_size=length)) for _ in range(count)]
    return layout, vectors


@given(layouts())
def test_the_packed_sum_of_any_signed_integers_within_the_bound_is_the_integer_sum(drawn):
    layout, vectors = drawn
    packed = [layout.pack(np.array(vector, np.int64)) for vector in vectors]
    assert all(0 <= m < 1 << layout.key_bits - 2 for plaintexts in packed for m in plaintexts)
    added = [sum(column) for column in zip(*packed, strict=True)]
    expected = [sum(column) for column in zip(*vectors, strict=True)]
    assert layout.unpack(added, len(vectors[0]), vectors=len(vectors)).tolist() == expected


@given(layouts(), st.sampled_from([1, -1]), st.integers(0, 39))
def test_one_value_beyond_the_bound_is_refused_before_encryption(drawn, sign, place):
    layout, vectors = drawn
    beyond = [*vectors[0], 0]
    beyond[place % len(beyond)] = sign * (layout.bound + 1)
    with pytest.raises(EncodingError):
        layout.pack(np.array(beyond, np.int64))


@few
@given(st.data(), st.sampled_from(MODELS), st.integers(1, 3), st.integers(3, 6))
def test_the_sum_of_a_round_is_the_survivors_integer_sum_whoever_drops_at_any_step(data, model, parts, n):
    """Or the round ends by name: never another sum."""
    holder, audited = model
    threshold = data.draw(st.integers(2, n)) if holder is THRESHOLD else 2
    table = Table(holder, audited=audited, n=n, threshold=threshold, parts=parts)
    bound = table.context.slots.bound
    flat = st.integers(-bound, bound) | st.sampled_from([bound, -bound])
    table.vectors[:, :4] = data.draw(st.lists(st.lists(flat, min_size=4, max_size=4), min_size=n, max_size=n))
    silent = data.draw(st.dictionaries(st.integers(0, n - 1), st.sampled_from(["before", "within", "after"])))
    mail = []
    try:
        for party in range(n):
            sent = table.encrypted(party)
            left = {"before": 0, "within": parts - 1}.get(silent.get(party, ""), parts)
            for message in sent[:left]:
                mail = table.give(message)
        mail = mail or table.server.close_phase()
        while table.server.state is ServerState.UNMASK:
            answers = [
                answer for index, message in mail if silent.get(index) is None for answer in table.hand(message, index)
            ]
            mail = []
            for answer in answers:
                mail = table.give(answer)
            if not mail and table.server.state is ServerState.UNMASK:
                mail = table.server.close_phase()
    except BelowThresholdError:
        assert table.server.state is ServerState.ABORTED
        there = [party for party in range(n) if party not in silent]
        stayed = [party for party in range(n) if silent.get(party) not in {"before", "within"}]
        in_time = len(stayed) >= max(3, threshold if holder is THRESHOLD else 0)
        assert not in_time or len(there) < (threshold if holder is THRESHOLD else 1)
        return
    assert table.server.survivors == {p for p in range(n) if silent.get(p) not in {"before", "within"}}
    table.assert_exact()


@pytest.mark.parametrize(("threshold", "n"), [(2, 3), (3, 4), (3, 5), (5, 5)])
def test_every_t_subset_decrypts_and_no_smaller_one_does(threshold, n):
    dealing = dealt(threshold, n, 0)
    layout = SlotLayout(256, n, 1000)
    values = np.array([1000, -1000, 0, 7])
    encrypted = encryptor(dealing.keys.key).encrypt(layout.pack(values), threads=1)
    messages = [share.partials(encrypted, ctx=b"c", threads=1).to_bytes() for share in dealing.shares]
    for size in (threshold - 1, threshold):
        for subset in itertools.combinations(range(n), size):
            combiner = Combiner(dealing.keys, encrypted, ctx=b"c", threads=1)
            for party in subset:
                combiner.receive(party, messages[party])
            if size < threshold:
                with pytest.raises(BelowThresholdError):
                    combiner.plaintexts()
                # Nor does what they have combine as if t were smaller.
                assert lagrange_guess(dealing, subset, messages, encrypted) != layout.pack(values)
            else:
                assert layout.unpack(combiner.plaintexts(), 4, vectors=1).tolist() == values.tolist()


def lagrange_guess(dealing, subset, messages, encrypted):
    """What t - 1 parties get who interpolate through their own points alone."""
    combiner = Combiner(dealing.keys, encrypted, ctx=b"c", threads=1)
    for party in subset:
        combiner.receive(party, messages[party])
    lowered = type("Lowered", (), {"threshold": len(subset), "delta": dealing.keys.delta, "key": dealing.keys.key})
    combiner.keys = lowered
    try:
        return combiner.plaintexts()
    except SecureFLError:
        return None


@functools.cache
def plan_with(bits, weight):
    return sfl.Plan(
        template={"w": ((3,), "float64"), "i": ((2,), "int32")},
        parties=6,
        protocol=sfl.Paillier(private_key().public_key, min_survivors=3),
        encoding=sfl.FixedPoint(value_bits=bits, bound=2.0),
        max_weight=weight,
        metrics={"loss": (0.0, 10.0)},
    )


@few
@given(st.data(), st.sampled_from([4, 8, 16, 24]), st.sampled_from([1, 3, 1000]))
def test_masks_and_paillier_add_the_same_integers(data, bits, max_weight):
    """For the same randomness of rounding a party packs just the integers that it would have masked, modulo the ring."""
    plan = plan_with(bits, max_weight)
    masks = plan.replace(protocol=sfl.SecAgg(server="semi-honest"))
    assert (masks.ring, masks.length) == (plan.ring, plan.length)
    floats = st.floats(-3, 3)
    update = {
        "w": np.array(data.draw(st.lists(floats, min_size=3, max_size=3))),
        "i": np.array(data.draw(st.lists(st.integers(-(2**31), 2**31 - 1), min_size=2, max_size=2)), np.int32),
    }
    weight, loss = data.draw(st.integers(1, plan.max_weight)), data.draw(st.floats(-1, 11))
    roster = sfl.Roster.unsigned([f"p{i}" for i in range(6)])
    context = context_of(plan, plan.for_round(bytes(16), 1, roster=roster))
    tape = data.draw(st.binary(min_size=64, max_size=64))
    submission = Submission(update, weight, {"loss": loss}, None, None)
    parts = list(EncodedIntegers(plan, context, submission, Repeating(tape)))
    integers = np.concatenate(parts)
    encoded = encode_update(masks, update, weight=weight, metrics={"loss": loss}, random=Repeating(tape))
    ring = Ring(plan.ring.bits)
    assert ring.reduce(integers).tolist() == encoded.vector.tolist()
    assert np.abs(integers).max() <= context.slots.bound
    assert context.slots.unpack(context.slots.pack(integers), plan.length, vectors=1).tolist() == integers.tolist()


class Repeating:
    """The same bytes for whoever asks in the same order."""

    def __init__(self, tape):
        self._tape, self._at = tape, 0

    def token(self, size):
        data = bytes(self._tape[(self._at + i) % len(self._tape)] for i in range(size))
        self._at += size
        return data

    def below(self, bound):
        return int.from_bytes(self.token(64), "big") % bound


@pytest.mark.parametrize("holder", ["separate", "clients", "threshold"])
def test_a_whole_aggregation_has_the_sum_that_masks_have(holder):
    """Values on the grid leave nothing to rounding: both protocols give the very same sum, weights and drops included."""
    names = [f"party-{i}" for i in range(6)]
    updates = {name: {"w": np.arange(-2, 3) * (i - 2) / 127.0} for i, name in enumerate(names)}
    key = dealing() if holder == "threshold" else private_key()
    public = key.keys if holder == "threshold" else key.public_key
    fields = {"encoding": sfl.FixedPoint(value_bits=8, bound=1.0), "max_weight": 10}
    options = {"weights": {name: 1 + i for i, name in enumerate(names)}, "drop": {"party-4": "masked_input"}}
    plan = sfl.Plan.for_updates(updates, protocol=sfl.Paillier(public, holder, min_survivors=3), **fields)
    masks = plan.replace(protocol=sfl.SecAgg(server="semi-honest", threshold=3))
    ours = sfl.aggregate(updates, plan, key_holder=key, **options)
    theirs = sfl.aggregate(updates, masks, **options)
    assert ours.integers.tolist() == theirs.integers.tolist()
    assert ours.survivors == theirs.survivors == tuple(name for name in names if name != "party-4")
    assert ours.weight_sum == theirs.weight_sum == 16
