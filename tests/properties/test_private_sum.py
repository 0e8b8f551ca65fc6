"""Laws of private sums: what the server opens is the sum of what the parties sent, noise included, and nothing is sent unaccounted."""

from __future__ import annotations

import dataclasses
import math
from unittest import mock

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import securefl as sfl
from securefl.crypto.seeded import SeededRandom
from securefl.dp.accounting import Relation
from securefl.dp.mechanisms import Floor, Release, choose
from securefl.dp.mechanisms.kinds import MECHANISMS
from securefl.dp.modular_grid import ModularGrid
from securefl.pipeline import decode_private, encode_private, noisy_sum
from securefl.plan import Plan
from securefl.session import masking as masking_module

KINDS = sorted(MECHANISMS)
TEMPLATE = {"w": ((5, 4), "float32"), "b": ((3,), "float64")}
SEED = bytes(32)


def plan_of(kind, parties=7, *, clip=1.0, noise=0.8, bits=20, **fields):
    return Plan(
        template=TEMPLATE,
        parties=parties,
        protocol=sfl.SecAgg(dropout=0.3),
        encoding=ModularGrid(bits),
        privacy=MECHANISMS[kind](clip=clip, noise_multiplier=noise),
        **fields,
    )


def updates_of(parties, scale=0.1, seed=0):
    draw = np.random.default_rng(seed)
    return {
        f"p{i}": {
            "w": (scale * draw.standard_normal((5, 4))).astype(np.float32),
            "b": scale * draw.standard_normal(3),
        }
        for i in range(parties)
    }


def ledger_at(path, epsilon=1e3):
    return sfl.PrivacyLedger(path / "ledger.jsonl", sfl.Budget(epsilon=epsilon, delta=1e-5))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("server", ["semi-honest", "active"])
def test_the_opened_sum_is_the_sum_of_the_sent_vectors_to_the_bit(kind, server, tmp_path):
    updates = updates_of(7)
    plan = plan_of(kind)
    parties = sfl.Roster.generate(list(updates))[0] if server == "active" else 7
    plan = plan.replace(parties=parties, protocol=sfl.SecAgg(dropout=0.28, server=server))
    sent = []
    encode = masking_module.encode_private

    def recorded(*args, **kwargs):
        vector = encode(*args, **kwargs)
        sent.append(vector.words.copy())
        return vector

    with (
        mock.patch.object(masking_module, "encode_private", recorded),
        mock.patch("securefl.dp.mechanisms.release.Release.draw_server", return_value=None),
    ):
        result = sfl.aggregate(updates, plan, ledger=ledger_at(tmp_path), drop={"p2": "share_keys"})
    assert len(sent) == len(result.survivors) == 6
    total = plan.ring.zeros(plan.length)
    for words in sent:
        plan.ring.add_into(total, words)
    assert np.array_equal(result.integers, plan.ring.centre(plan.ring.reduce(total.astype(np.int64))))


@settings(deadline=None, max_examples=60)
@given(
    kind=st.sampled_from(KINDS),
    scale=st.sampled_from([0.0, 1e-6, 0.01, 1.0, 1e6]),
    seed=st.integers(0, 2**32),
    parties=st.integers(3, 30),
)
def test_without_noise_the_mean_is_that_of_the_clipped_updates_within_the_grid(kind, scale, seed, parties):
    plan = plan_of(kind, parties, bits=24)
    updates = updates_of(parties, scale, seed)
    total = plan.ring.zeros(plan.length)
    with mock.patch("securefl.dp.mechanisms.release.Release.draw_party", return_value=None):
        for update in updates.values():
            plan.ring.add_into(total, encode_private(plan, update, SEED).words)
    decoded, _ = decode_private(plan, plan.ring.centre(plan.ring.reduce(total.astype(np.int64))), SEED, parties)
    flat = [np.concatenate([u["w"].reshape(-1), u["b"]]).astype(float) for u in updates.values()]
    clipped = [x * min(1.0, 1.0 / np.linalg.norm(x)) if np.linalg.norm(x) else x for x in flat]
    found = np.concatenate([np.asarray(decoded.total["w"]).reshape(-1), decoded.total["b"]])
    # Every party rounds each of d rotated values by less than one grid point.
    assert np.linalg.norm(found - sum(clipped)) <= parties * math.sqrt(plan.length) / plan.release.scale + 1e-9


@settings(deadline=None, max_examples=40)
@example(kind="central-discrete-gaussian", parties=3, lost=0.0, colluders=0.0, size=16385, noise=3.0, bits=13)
@example(kind="local-discrete-gaussian", parties=5, lost=0.0, colluders=0.0, size=3, noise=12.0, bits=12)
@given(
    kind=st.sampled_from(KINDS),
    parties=st.integers(3, 3000),
    lost=st.floats(0, 0.4),
    colluders=st.floats(0, 0.3),
    size=st.integers(1, 100_000),
    noise=st.floats(0.05, 20),
    bits=st.integers(12, 32),
)
def test_a_chosen_release_has_the_noise_asked_for_fits_the_ring_and_no_finer_grid_does(
    kind, parties, lost, colluders, size, noise, bits
):
    survivors = max(3, math.ceil(parties * (1 - lost)))
    floor = Floor(parties, survivors, min(int(colluders * parties), survivors - 2), None)
    if floor.colluders > survivors - 2:
        return
    asked = MECHANISMS[kind](clip=1.0, noise_multiplier=noise)
    try:
        release = choose(asked, floor, size, ModularGrid(bits))
    except sfl.UnsafePlanError as error:
        if not error.remedy:
            raise
        return
    assert release.noise_multiplier >= noise
    assert release.headroom >= release.grid.room(release.dimension) * (1 - 1e-9)
    if release.variance > asked.least_variance(floor) * (1 + 1e-6):
        # D2^2 is a whole number: on a coarse grid it jumps.
        spare = 1 + 1e-3 + 1 / release.bound.squared
        assert release.noise_multiplier <= noise * spare
        with pytest.raises(sfl.UnsafePlanError):
            dataclasses.replace(release, variance=release.variance * 0.995 / spare**2)
    with pytest.raises(sfl.UnsafePlanError):
        dataclasses.replace(release, radius=release.radius * 1.01)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("epsilon", [0.5, 8.0])
def test_calibration_inverts_the_accountant_within_a_thousandth_and_never_exceeds_the_target(kind, epsilon):
    plan = plan_of(kind, 40, noise=None)
    assert plan.draft
    chosen = sfl.dp.calibrate(plan, epsilon=epsilon, delta=1e-3, rounds=10)
    server, observer = sfl.dp.privacy_of(chosen, delta=1e-3, rounds=10)
    assert epsilon * (1 - 1e-3) <= observer.epsilon <= epsilon
    assert server.epsilon == (math.inf if kind.startswith("central") else observer.epsilon)
    assert observer.relation == (Relation.ADD_REMOVE if kind.startswith("central") else Relation.ZERO_OUT)
    less = chosen.replace(
        privacy=dataclasses.replace(chosen.privacy, noise_multiplier=chosen.privacy.noise_multiplier * 0.999)
    )
    assert sfl.dp.privacy_of(less, delta=1e-3, rounds=10)[1].epsilon > epsilon


@pytest.mark.parametrize(("bits", "epsilon", "rounds"), [(15, 1.0, 30), (14, 1.0, 30), (12, 1.0, 1), (10, 6.0, 1)])
def test_calibration_finds_noise_on_coarse_grids_too_where_the_least_may_be_more_than_needed(bits, epsilon, rounds):
    grid = ModularGrid(bits, "modular", 2.0) if bits < 14 else ModularGrid(bits)
    draft = Plan(
        template={"w": ((250,), "float64")},
        parties=1000,
        protocol=sfl.SecAgg(graph="complete", min_survivors=1000, max_colluders=0, threshold=700),
        encoding=grid,
        privacy=sfl.DistributedDiscreteGaussian(clip=10.0, min_sigma=0.75 if bits < 14 else 2.0),
    )
    chosen = sfl.dp.calibrate(draft, epsilon=epsilon, delta=1e-5, rounds=rounds)
    found = sfl.dp.privacy_of(chosen, delta=1e-5, rounds=rounds)[1].epsilon
    assert found <= epsilon
    least = chosen.privacy.least_variance(chosen.release.floor)
    assert found >= epsilon * 0.999 or chosen.release.variance <= least * 1.01


@pytest.mark.parametrize("kind", KINDS)
def test_the_fewest_bits_meet_the_error_and_one_bit_less_does_not(kind):
    plan = plan_of(kind, 40, noise=None)
    target = {"epsilon": 4.0, "delta": 1e-3, "rounds": 5}
    few = sfl.dp.fewest_bits(plan, **target, excess=0.01)
    wide = sfl.dp.calibrate(plan.replace(encoding=ModularGrid(32)), **target)
    assert few.release.error_std <= wide.release.error_std * 1.01
    assert 8 <= few.ring.bits < 20
    less = plan.replace(encoding=ModularGrid(few.ring.bits - 1))
    try:
        coarser = sfl.dp.calibrate(less, **target)
    except sfl.UnsafePlanError:
        pass
    else:
        assert coarser.release.error_std > wide.release.error_std * 1.01
    with pytest.raises(sfl.UnsafePlanError, match="no ring has so small an error"):
        sfl.dp.fewest_bits(plan, **target, error=wide.release.error_std / 2)


def test_central_noise_is_drawn_once_and_is_that_of_its_seed():
    plan = plan_of("central-discrete-gaussian")
    words = plan.ring.zeros(plan.length)
    one, again = (noisy_sum(plan, words, SeededRandom(b"\x01" * 32)) for _ in range(2))
    assert np.array_equal(one, again)
    assert np.any(one)
    assert not np.array_equal(one, noisy_sum(plan, words, SeededRandom(b"\x02" * 32)))


@pytest.mark.parametrize("kind", KINDS)
def test_noise_in_the_mean_has_the_standard_deviation_that_the_plan_states(kind):
    """Chi-square on 40 * 32 values; false alarm below 1e-6 (five standard deviations of a sample's standard deviation)."""
    plan = plan_of(kind, 10)
    zero = {"w": np.zeros((5, 4), np.float32), "b": np.zeros(3)}
    squares, count = 0.0, 0
    for _ in range(40):
        total = plan.ring.zeros(plan.length)
        for _ in range(10):
            plan.ring.add_into(total, encode_private(plan, zero, SEED).words)
        values = noisy_sum(plan, plan.ring.reduce(total.astype(np.int64)), SeededRandom(sfl_random()))
        squares += float(np.dot(values.astype(float), values.astype(float)))
        count += values.size
    std = math.sqrt(squares / count) / plan.release.scale / plan.release.denominator
    assert abs(std / plan.release.noise_std - 1) < 5 / math.sqrt(2 * count)


def sfl_random():
    from securefl.crypto.random import OS

    return OS.token(32)


@pytest.mark.parametrize("start", [1e-3, pytest.param(1e3, marks=pytest.mark.heavy)])
def test_an_adaptive_clip_reaches_the_quantile_from_afar_with_a_third_of_the_parties_missing(start):
    """Norms are log-normal with median 1; the clip must end within 20 % of it. Noise moves log C by about .01 a round."""
    draw = np.random.default_rng(5)
    plan = plan_of("distributed-skellam", 60, clip=sfl.QuantileClip(clip=start), noise=1.0)
    direction = np.ones(23) / math.sqrt(23)
    clips = []
    for number in range(110):
        seed = plan.rotation_seed(bytes(16), number)
        total, survivors = plan.ring.zeros(plan.length), 42
        for norm in draw.lognormal(0, 0.3, survivors):
            x = norm * direction
            update = {"w": x[:20].reshape(5, 4).astype(np.float32), "b": x[20:]}
            plan.ring.add_into(total, encode_private(plan, update, seed).words)
        _, bits = decode_private(plan, plan.ring.centre(plan.ring.reduce(total.astype(np.int64))), seed, survivors)
        before = plan.release
        plan = plan.with_next_clip(bits, survivors)
        assert plan.release.event == before.event, "the clip moves, what is accounted does not"
        clips.append(plan.privacy.clip.clip)
    assert 0.8 < np.median(clips[-20:]) < 1.25


def test_a_release_given_whole_is_kept_and_one_for_another_floor_is_chosen_anew():
    plan = plan_of("distributed-discrete-gaussian", 10)
    assert isinstance(plan.release, Release)
    assert plan.replace(purpose="again").release == plan.release
    larger = plan.replace(parties=20)
    assert larger.release.floor.parties == 20
    assert larger.release.noise_multiplier >= 0.8
