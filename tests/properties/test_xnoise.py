"""XNoise: whoever of up to J parties leaves, whenever, exactly the target variance stays in the sum (Jiang, Wang, Chen 2024)."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, event, given, settings
from hypothesis import strategies as st

from properties.test_secagg_sum import expected_survivors
from securefl import FixedPoint, Plan, SecAgg, UnsafePlanError
from securefl.crypto.seeded import SeededRandom
from securefl.dp.mechanisms import DistributedDiscreteGaussian, DistributedSkellam, Floor
from securefl.dp.mechanisms.skellam import MOST_DROPOUTS
from securefl.dp.modular_grid import ModularGrid
from securefl.errors import BelowThresholdError, LocalProtocolError, RemoteProtocolError
from securefl.pipeline import encode_private, without_excess
from securefl.plan import Roster
from securefl.secagg.dealing import MAX_NOISE, labels_of
from securefl.secagg.parameters import choose
from securefl.secagg.states import ServerState
from securefl.types import Graph, ServerModel, Step
from securefl.wire.messages import MAX_LABELS
from unit.secagg.harness import Round, integer_sum, k_regular_parameters, parameters


def private_plan(n=6, lost=2, *, colluders=0, size=8, **protocol):
    return Plan(
        template={"w": ((size,), "float64")},
        parties=n,
        protocol=SecAgg(threshold=2 + colluders, min_survivors=n - lost, max_colluders=colluders, **protocol),
        encoding=ModularGrid(ring_bits=24),
        privacy=DistributedSkellam(clip=1.0, noise_multiplier=1.0, max_dropouts=lost),
    )


# The algebra, in fractions.


@st.composite
def floors(draw):
    """(n, J, c) that a plan may have."""
    n = draw(st.integers(4, 300))
    lost = draw(st.integers(1, min(MOST_DROPOUTS, n - 3)))
    return n, lost, draw(st.integers(0, n - lost - 2))


@given(floors(), st.fractions(Fraction(1, 10), 10**6))
def test_after_any_number_of_dropouts_the_kept_components_add_up_to_the_target(sizes, variance):
    """(n - D) (component 0 + ... + component D) = V (n - J) / (n - J - c), and V of it is the honest parties'."""
    n, lost, colluders = sizes
    mechanism = DistributedSkellam(clip=1.0, noise_multiplier=1.0, max_dropouts=lost)
    components = mechanism.components(variance, Floor(n, n - lost, colluders, None))
    assert len(components) == lost + 1
    target = variance * Fraction(n - lost, n - lost - colluders)
    for dropped in range(lost + 1):
        kept = sum(components[: dropped + 1])
        assert (n - dropped) * kept == target
        assert (n - dropped - colluders) * kept >= variance
    assert (n - lost - colluders) * sum(components) == variance  # at the floor it is V to the last bit


def test_a_party_deals_no_more_seeds_than_fit_into_a_message():
    assert MOST_DROPOUTS == MAX_NOISE == MAX_LABELS - 2
    assert len(labels_of(MAX_NOISE)) == MAX_LABELS
    DistributedSkellam(clip=1.0, max_dropouts=MOST_DROPOUTS)
    with pytest.raises(UnsafePlanError, match="more components of noise than a party can deal seeds of"):
        DistributedSkellam(clip=1.0, max_dropouts=MOST_DROPOUTS + 1)


def test_only_a_compensated_plan_deals_seeds():
    def labels(plan):
        return plan.for_round(bytes(16), 1, roster=Roster.unsigned([f"p{i}" for i in range(6)])).noise_labels

    plan = private_plan()
    assert labels(plan) == 2
    assert labels(Plan.from_bytes(plan.to_bytes())) == 2
    for other in (
        plan.replace(privacy=None, encoding=FixedPoint()),
        plan.replace(privacy=DistributedSkellam(clip=1.0, noise_multiplier=1.0)),
        plan.replace(privacy=DistributedDiscreteGaussian(clip=1.0, noise_multiplier=1.0)),
    ):
        assert labels(other) == 0


# The protocol: which seeds come out.


@st.composite
def rounds_with_noise(draw):
    sizes = st.integers(4, 12)
    ring = draw(st.booleans())
    chosen = draw(k_regular_parameters(sizes) if ring else parameters(sizes))
    lost = draw(st.integers(1, chosen.parties - 1))
    count = draw(st.integers(0, min(chosen.parties, chosen.max_dropouts + 1)))
    who = draw(st.permutations(range(chosen.parties)))[:count]
    return chosen, lost, {party: draw(st.sampled_from(Step)) for party in who}


@given(case=rounds_with_noise(), seed=st.integers(0, 2**32))
def test_the_seeds_that_come_out_are_those_beyond_the_number_missing(case, seed):
    """Of every party in the sum exactly the seeds j > D that it dealt, of nobody else any; more than J missing is an abort by name."""
    chosen, lost, drops = case
    round_ = Round(chosen, bits=20, length=3, seed=seed, noise_labels=lost)
    try:
        round_.until(ServerState.MASKED_INPUT, drops)
        dealt = [client._kept.dealer and [s.reveal() for s in client._kept.dealer.noise] for client in round_.clients]
        round_.until(ServerState.DONE, drops)
    except BelowThresholdError:
        event("an abort")
        if chosen.graph is Graph.COMPLETE:
            survivors = expected_survivors(chosen, drops)
            assert survivors is None or chosen.parties - len(survivors) > lost
        return
    except RemoteProtocolError:
        # On the ring a party that lost too many neighbours leaves by itself; on the complete graph the server ends the round first.
        assert chosen.graph is Graph.K_REGULAR
        event("a party left")
        return
    result = round_.server.result()
    missing = chosen.parties - len(result.survivors)
    event(f"{missing} of {lost} missing" if missing < 3 else "more missing")
    assert missing <= lost
    numbers = range(missing + 1, lost + 1)
    expected = {party: {j: dealt[party][j - 1] for j in numbers} for party in result.survivors} if numbers else {}
    assert result.seeds == expected
    assert result.total.tolist() == integer_sum(round_.vectors, result.survivors, 20)


@pytest.mark.parametrize("lost", [1, 2, 3])
@pytest.mark.parametrize("step", [Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT])
def test_more_missing_than_there_is_noise_for_is_an_abort_by_name(lost, step):
    """Even where the round itself could bear it; one fewer, and it has a sum."""
    chosen = choose(9, ServerModel.SEMI_HONEST, threshold=3, max_colluders=0, min_survivors=3)
    names = ", ".join(f"party-{party}" for party in range(lost + 1))
    with pytest.raises(
        BelowThresholdError, match=f"{8 - lost} parties completed .*, {9 - lost} are needed; missing since: {names}"
    ):
        Round(chosen, noise_labels=lost).until(ServerState.DONE, dict.fromkeys(range(lost + 1), step))
    round_ = Round(chosen, noise_labels=lost)
    round_.until(ServerState.DONE, dict.fromkeys(range(lost), step))
    assert round_.server.result().seeds == {}


# The noise: what is taken off is what was put on.


@settings(max_examples=40)  # each is a whole round with its noise drawn again
@given(
    sizes=st.tuples(st.integers(5, 9), st.integers(1, 3), st.integers(0, 1)),
    dropped=st.integers(0, 3),
    seed=st.integers(0, 2**32),
)
def test_what_is_left_in_the_sum_is_the_components_up_to_the_number_missing(sizes, dropped, seed):
    """Word for word: the sum of the survivors' vectors, less what their opened seeds give, is the sum with components 0..D only."""
    n, lost, colluders = sizes
    assume(dropped <= lost < n - 2 - colluders)
    plan = private_plan(n, lost, colluders=colluders)
    rng = np.random.default_rng(seed)
    survivors = range(dropped, n)
    seeds = {p: [rng.bytes(32) for _ in range(lost)] for p in survivors}
    update = {"w": rng.normal(size=8) / 8}

    def words(party, numbers):
        """The vector of a party that adds the components of these numbers, everything else the same."""
        source, release = SeededRandom(bytes([party]) * 32), plan.release
        drawn = dict(enumerate(seeds[party], 1))
        encoded = encode_private(plan, update, bytes(32), noise_seeds=seeds[party], random=source).words
        others = {j: drawn[j] for j in drawn if j not in numbers}
        noise = release.draw_excess(others)
        return encoded if noise is None else plan.ring.reduce(plan.ring.centre(encoded) - noise)

    def total(parts):
        whole = plan.ring.zeros(plan.length)
        for part in parts:
            plan.ring.add_into(whole, part)
        return whole

    everything = total(words(p, range(1, lost + 1)) for p in survivors)
    opened = [{j: seeds[p][j - 1] for j in range(dropped + 1, lost + 1)} for p in survivors]
    left = without_excess(plan, everything, opened)
    assert left.tolist() == total(words(p, range(1, dropped + 1)) for p in survivors).tolist()
    assert (left.tolist() == everything.tolist()) is (dropped == lost)


def test_a_seed_gives_the_same_noise_to_party_and_server_and_each_component_its_own():
    release = private_plan().release
    first, again = (release.draw_excess({1: b"\x01" * 32, 2: b"\x02" * 32}) for _ in range(2))
    assert first.tolist() == again.tolist()
    apart = release.draw_excess({1: b"\x01" * 32}) + release.draw_excess({2: b"\x02" * 32})
    assert first.tolist() == apart.tolist()
    assert release.draw_excess({}) is None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_vector_with_too_little_noise_is_not_encoded(count):
    plan = private_plan()
    with pytest.raises(LocalProtocolError, match=f"{count} seeds of noise for 2 components"):
        encode_private(plan, {"w": np.zeros(8)}, bytes(32), noise_seeds=[bytes(32)] * count)


def test_without_compensation_a_party_has_no_seeds_to_give():
    plan = private_plan().replace(privacy=DistributedSkellam(clip=1.0, noise_multiplier=1.0))
    with pytest.raises(LocalProtocolError, match="1 seeds of noise for 0 components"):
        encode_private(plan, {"w": np.zeros(8)}, bytes(32), noise_seeds=[bytes(32)])
    words = plan.ring.zeros(8)
    assert without_excess(plan, words, []).tolist() == words.tolist()


def test_a_round_needs_as_many_vectors_as_there_is_noise_for():
    roster = Roster.unsigned([f"p{i}" for i in range(6)])
    plan = private_plan()
    assert plan.for_round(bytes(16), 1, roster=roster).noise_floor == 4
    plain = plan.replace(privacy=None, encoding=FixedPoint())
    assert plain.for_round(bytes(16), 1, roster=roster).noise_floor == 0
