"""The auditor on a known mu, on code that is right, on planted mistakes, and on the library with a line of it broken.

A right claim is refuted with probability below 1 % by the bound's confidence, and about 10^-4 in truth. A planted mistake is missed
with probability below 10^-5, except where a docstring says otherwise. The seeds are fixed besides: nothing here can flake.
"""

import dataclasses

import numpy as np
import pytest

import securefl as sfl
from securefl.audit import CanaryParties, PlanTrial, ReleaseTrial, audit_mechanism, audit_one_run
from securefl.audit.one_run import guesses_for, one_run_epsilon, right_guesses
from securefl.audit.planted import LessNoise, LostShares, UpdatedClip, WeightAfterClip
from securefl.crypto.seeded import SeededRandom
from securefl.dp.clipping import FlatClip
from securefl.dp.mechanisms import Floor, choose
from securefl.dp.mechanisms import discrete_gaussian as gaussian_noise
from securefl.engines.memory import MemorySession
from securefl.errors import ConfigError

pytest.importorskip("scipy")

pytestmark = pytest.mark.statistical

FLOOR = Floor(parties=10, survivors=8, colluders=2, threshold=7)
NOBODY_LEAVES = Floor(parties=10, survivors=10, colluders=0, threshold=7)
MU = 3.0
"""At mu 3 the bound is half as far from the truth, relative to it, as at mu 1."""

GAUSSIAN = sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=1 / MU)
SKELLAM = sfl.DistributedSkellam(clip=1.0, noise_multiplier=1 / MU)
XNOISE = dataclasses.replace(SKELLAM, max_dropouts=2)
ADAPTIVE = dataclasses.replace(GAUSSIAN, clip=sfl.QuantileClip(clip=0.5, bit_noise=2.0))
CENTRAL = sfl.CentralDiscreteGaussian(clip=1.0, noise_multiplier=1 / MU)
LOCAL = sfl.LocalDiscreteGaussian(clip=1.0, noise_multiplier=1 / MU)


def source(*label) -> SeededRandom:
    return SeededRandom(repr(label).encode().ljust(32)[-32:])


def released(asked, floor=FLOOR, **grid):
    return choose(asked, floor, 16, sfl.ModularGrid(**({"ring_bits": 20} | grid)))


def plan_of(asked) -> sfl.Plan:
    return sfl.Plan(
        template={"w": ((16,), "float32")},
        parties=6,
        protocol=sfl.SecAgg(min_survivors=5, max_colluders=2),
        encoding=sfl.ModularGrid(20),
        privacy=asked,
        max_weight=90,
    )


def audited(trial, runs, *label):
    return audit_mechanism(trial, runs=runs, random=source(trial.name, *label))


class PlainGaussian:
    """N(0, 1) against N(mu, 1), floating-point, no securefl in it."""

    name = "Gaussian"

    def __init__(self, mu, claimed):
        self.mu, self.claimed = mu, claimed

    def scores(self, present, runs, random):
        drawn = np.random.default_rng(int.from_bytes(random.token(32), "big")).standard_normal(runs)
        return drawn + self.mu * present


@pytest.mark.parametrize("mu", [0.25, 1.0, 3.0])
def test_the_bound_on_a_known_mu_is_below_it_and_near(mu):
    """200 audits: at 99 % at most 2 may be above, of which 8 would have a chance of 10^-3; the mean within 5 % of the truth."""
    bounds = [audited(PlainGaussian(mu, mu), 20_000, number).lower_mu for number in range(200)]
    assert sum(bound > mu for bound in bounds) <= 7
    assert mu - 0.1 < np.mean(bounds) < mu


def test_at_low_confidence_bounds_are_above_the_truth_as_often_as_they_may_and_no_more():
    """Half of 400 may be, at 50 %; 250 or more have a chance below 10^-6. That some are shows that the bound is not idle."""
    audits = [
        audit_mechanism(PlainGaussian(1.0, 1.0), runs=1000, confidence=0.5, random=source("half", number))
        for number in range(400)
    ]
    assert 10 < sum(audit.refuted for audit in audits) < 250


def test_a_plain_gaussian_with_5_percent_less_noise_is_refuted_at_mu_1():
    audit = audited(PlainGaussian(1 / 0.95, 1.0), 100_000)
    assert audit.refuted
    assert audit.lower_epsilon == pytest.approx(4.53, abs=0.12)
    assert audit.claimed_epsilon == pytest.approx(4.3772, abs=1e-4)


@pytest.mark.parametrize(
    "asked",
    [
        *(GAUSSIAN, SKELLAM, XNOISE, ADAPTIVE, CENTRAL, LOCAL),
        dataclasses.replace(CENTRAL, noise_multiplier=2 / MU, relation="replace-one"),
        dataclasses.replace(CENTRAL, relation="zero-out"),
    ],
    ids=lambda asked: f"{asked.kind}-{asked.relation}-{asked.seeds}-{asked.adaptive}",
)
def test_right_code_stays_under_its_claim_and_comes_near_it(asked):
    audit = audited(ReleaseTrial(released(asked), random=source(asked)), 30_000)
    assert audit.claimed_mu == pytest.approx(MU, rel=1e-6)
    assert not audit.refuted
    assert audit.lower_mu > 0.95 * MU


@pytest.mark.parametrize(
    "asked", [GAUSSIAN, SKELLAM, XNOISE, CENTRAL, LOCAL], ids=lambda asked: f"{asked.kind}-{asked.seeds}"
)
def test_5_percent_less_standard_deviation_is_refuted(asked):
    audit = audited(LessNoise(released(asked), random=source(asked)), 60_000)
    assert audit.refuted
    assert audit.lower_mu > 1.02 * MU


def test_dropouts_that_nobody_makes_up_for_are_refuted():
    audit = audited(LostShares(released(GAUSSIAN, NOBODY_LEAVES), random=source()), 20_000)
    assert audit.lower_mu == pytest.approx(MU / 0.7**0.5, rel=0.06)
    assert audit.refuted


def test_a_weight_that_multiplies_after_the_clip_is_refuted():
    audit = audited(WeightAfterClip(released(GAUSSIAN, ring_bits=24, k=64), random=source()), 10_000)
    assert audit.refuted
    assert audit.lower_mu > 6


def test_noise_sized_with_the_updated_clip_is_refuted():
    audit = audited(UpdatedClip(released(ADAPTIVE), random=source()), 20_000)
    assert audit.refuted
    assert audit.lower_mu == pytest.approx(MU * np.exp(0.1), rel=0.05)


def test_shares_of_colluders_that_count_as_noise_are_refuted(monkeypatch):
    """The claim is then made for m shares instead of m - c."""
    monkeypatch.setattr(sfl.DistributedDiscreteGaussian, "shares", lambda _self, floor: floor.survivors)
    audit = audited(ReleaseTrial(released(GAUSSIAN), random=source()), 10_000)
    assert audit.claimed_mu == pytest.approx(MU, rel=1e-6)
    assert audit.refuted


def test_xnoise_that_forgets_colluders_is_refuted(monkeypatch):
    monkeypatch.setattr(sfl.DistributedSkellam, "_inflation", lambda _self, _floor: 1)
    assert audited(ReleaseTrial(released(XNOISE), random=source()), 20_000).refuted


def test_a_plan_whose_sampler_draws_too_little_is_refuted(monkeypatch):
    """The library's own line is broken, and the plan's own encoding is run: half of the standard deviation is missing."""
    right = gaussian_noise.discrete_gaussian
    monkeypatch.setattr(gaussian_noise, "discrete_gaussian", lambda variance, *rest: right(variance / 4, *rest))
    assert audited(PlanTrial(plan_of(GAUSSIAN), random=source()), 300).refuted


def test_a_plan_that_weighs_after_the_clip_is_refuted_and_the_right_one_is_not(monkeypatch):
    plan = plan_of(GAUSSIAN)
    assert not audited(PlanTrial(plan, weight=90, random=source()), 300).refuted
    clip = FlatClip.clip

    def weighed_too_late(self, vector, *, weight=1.0):
        right = clip(self, vector)
        np.multiply(right.vector, weight, out=right.vector)
        return right

    monkeypatch.setattr(FlatClip, "clip", weighed_too_late)
    # Conditional rounding knows how long a clipped vector may be, so the mistake does not even get as far as the noise.
    with pytest.raises(sfl.EncodingError, match="longer than its clip"):
        audited(PlanTrial(plan, weight=90, random=source()), 300)


@pytest.mark.parametrize(("mu", "expected"), [(2.0, 3.4), (1.0, 1.6), (0.5, 0.66)])
def test_one_run_of_a_plain_gaussian_stays_far_below_its_epsilon(mu, expected):
    """100 runs with 1000 canaries: bounds are above 9.997, 4.377, 1.993 with probability below .05 each, in truth never."""
    generator = np.random.default_rng(7)
    guesses = guesses_for(1000, mu, delta=1e-5, confidence=0.95)
    bounds = []
    for _ in range(100):
        included = generator.random(1000) < 0.5
        scores = generator.standard_normal(1000) / mu + included
        right = right_guesses(scores, included, guesses)
        bounds.append(one_run_epsilon(1000, guesses, right, delta=1e-5, confidence=0.95))
    assert np.mean(bounds) == pytest.approx(expected, rel=0.15)
    assert max(bounds) < {2.0: 9.997, 1.0: 4.377, 0.5: 1.993}[mu]


def test_randomized_response_is_bounded_by_its_own_epsilon():
    """Where the bound is sharp, at delta 0: 150 runs at 95 %, of which more than 22 above have a chance below 10^-5."""
    generator, epsilon = np.random.default_rng(8), 1.0
    right = generator.binomial(500, 1 / (1 + np.exp(-epsilon)), size=150)
    bounds = [one_run_epsilon(500, 500, int(count), delta=1e-300, confidence=0.95) for count in right]
    assert 1 < sum(bound > epsilon for bound in bounds) <= 22
    assert np.mean(bounds) > 0.7


def ledger_in(folder) -> sfl.PrivacyLedger:
    return sfl.PrivacyLedger(folder / "ledger.jsonl", budget=sfl.Budget(epsilon=1e6, delta=1e-5))


def small_plan(mu, parties=6, size=8) -> sfl.Plan:
    return sfl.Plan(
        template={"w": ((size,), "float32")},
        parties=parties,
        protocol=sfl.SecAgg(min_survivors=parties, max_colluders=0),
        encoding=sfl.ModularGrid(20),
        privacy=dataclasses.replace(GAUSSIAN, noise_multiplier=1 / mu),
    )


def test_one_run_through_secure_aggregation_is_guessed_when_there_is_hardly_noise(tmp_path):
    """At mu 5 a guess is right with probability .9938; of 24 all were, which shows log(.88 / .12) = 2 at 95 %."""
    audit = audit_one_run(small_plan(5.0, 24, 24), ledger=ledger_in(tmp_path), random=source("run"))
    assert (audit.canaries, audit.guesses, audit.correct) == (24, 24, 24)
    assert not audit.refuted
    assert audit.lower_epsilon == pytest.approx(2.02, abs=0.02)
    assert "24 of 24 guesses about 24 canaries, each a party in one round, are right" in str(audit)


def test_one_run_refutes_noise_that_is_hardly_there(tmp_path, monkeypatch):
    plan = small_plan(0.3)
    right = gaussian_noise.discrete_gaussian
    monkeypatch.setattr(gaussian_noise, "discrete_gaussian", lambda variance, *rest: right(variance / 1600, *rest))
    audit = audit_one_run(plan, ledger=ledger_in(tmp_path), rounds=8, random=source("thin"))
    assert audit.refuted
    assert audit.lower_epsilon > audit.claimed_epsilon


def test_one_run_needs_room_for_its_canaries(tmp_path):
    with pytest.raises(ConfigError, match="6 canaries in 5 values"):
        audit_one_run(small_plan(1.0, size=5), ledger=ledger_in(tmp_path))


@pytest.mark.parametrize("fresh", [True, False])
def test_canaries_are_found_among_parties_who_train(tmp_path, fresh):
    """Others' updates are long and known to the adversary: were they not, it would guess at random; one in 18 guesses is wrong."""
    plan = small_plan(3.2, parties=5)
    names = tuple("abcde")
    session = MemorySession(plan, names, ledger=ledger_in(tmp_path), random=source("s", fresh))
    parties = CanaryParties(session, ["b", "d"], fresh_coins=fresh, random=source("c", fresh))
    generator = np.random.default_rng(3)
    for _ in range(3):
        parties.round({name: {"w": generator.normal(size=8).astype("float32") * 50} for name in names})
    audit = parties.audit()
    assert (audit.canaries, audit.guesses, audit.correct) == ((6, 6, 6) if fresh else (2, 2, 2))
    assert not audit.refuted
    assert ("one round" if fresh else "all 3 rounds") in str(audit)


def test_canaries_that_drop_out_are_not_guessed_about(tmp_path):
    plan = small_plan(5.0, parties=5).replace(protocol=sfl.SecAgg(min_survivors=4, max_colluders=0))
    names = tuple("abcde")
    parties = CanaryParties(MemorySession(plan, names, ledger=ledger_in(tmp_path)), ["b", "d"])
    with pytest.raises(ConfigError, match="no canary"):
        parties.audit()
    parties.round({name: {"w": np.zeros(8, "float32")} for name in names}, drop={"b": "masked_input"})
    assert parties.audit(confidence=0.6).canaries == 1


def test_canaries_are_parties(tmp_path):
    session = MemorySession(small_plan(1.0), tuple("abcdef"), ledger=ledger_in(tmp_path))
    for wrong in ([], ["g"], ["a", "a"]):
        with pytest.raises(ConfigError, match="the canaries are"):
            CanaryParties(session, wrong)


def test_canaries_ride_in_a_federation(tmp_path):
    generator = np.random.default_rng(4)
    clients = {name: sfl.Dataset(generator.normal(size=(20, 3)), generator.integers(0, 2, 20)) for name in "abcd"}
    model = sfl.SoftmaxRegression(3, 2)
    plan = sfl.Plan(
        template={name: (leaf.shape, leaf.dtype.name) for name, leaf in model.initial(0).items()},
        parties=4,
        protocol=sfl.SecAgg(min_survivors=4, max_colluders=0),
        encoding=sfl.ModularGrid(20),
        privacy=sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=1.0),
    )
    federation = sfl.Federation(model, clients, plan=None)
    session = MemorySession(plan, federation.parties, ledger=ledger_in(tmp_path))
    federation.aggregator = audited_session = CanaryParties(session, ["b", "c"])
    federation.fit(rounds=2)
    audit = audited_session.audit()
    assert audit.canaries == 4
    assert not audit.refuted
