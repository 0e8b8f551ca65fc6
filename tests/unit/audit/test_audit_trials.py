"""What an audit simulates is what is claimed about: shares, colluders, clip, weight, relation; and what it refuses."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest

import securefl as sfl
from securefl.audit import MechanismAudit, PlanTrial, ReleaseTrial, Verdict, audit_mechanism
from securefl.audit.planted import UpdatedClip
from securefl.audit.trials import directions
from securefl.crypto.seeded import SeededRandom
from securefl.dp.mechanisms import Floor, choose
from securefl.errors import ConfigError

pytest.importorskip("scipy")

FLOOR = Floor(parties=10, survivors=8, colluders=2, threshold=7)
GAUSSIAN = sfl.DistributedDiscreteGaussian(clip=1.0, noise_multiplier=1.0)
ALL = [
    GAUSSIAN,
    sfl.DistributedSkellam(clip=1.0, noise_multiplier=1.0),
    sfl.DistributedSkellam(clip=1.0, noise_multiplier=1.0, max_dropouts=2),
    sfl.DistributedSkellam(clip=1.0, noise_multiplier=1.0, max_dropouts=4),
    sfl.DistributedDiscreteGaussian(clip=sfl.QuantileClip(clip=0.5, bit_noise=2.0), noise_multiplier=1.0),
    sfl.CentralDiscreteGaussian(clip=1.0, noise_multiplier=1.0),
    sfl.CentralDiscreteGaussian(clip=1.0, noise_multiplier=1.0, relation="replace-one"),
    sfl.LocalDiscreteGaussian(clip=1.0, noise_multiplier=1.0),
]


def source(label="") -> SeededRandom:
    return SeededRandom(label.encode().ljust(32)[:32])


def released(mechanism, floor=FLOOR, bits=20):
    return choose(mechanism, floor, 16, sfl.ModularGrid(bits))


def plan_of(mechanism, **fields) -> sfl.Plan:
    return sfl.Plan(
        **{
            "template": {"a": ((3, 4), "float32"), "b": ((4,), "float64")},
            "parties": 10,
            "protocol": sfl.SecAgg(min_survivors=8, max_colluders=2),
            "encoding": sfl.ModularGrid(20),
            "privacy": mechanism,
            "max_weight": 90,
        }
        | fields
    )


def named(mechanism):
    return f"{mechanism.kind}-{mechanism.relation}-{mechanism.seeds}-{mechanism.adaptive}"


@pytest.mark.parametrize("mechanism", ALL, ids=named)
def test_with_and_without_differ_by_the_clip_and_spread_as_the_shares_that_are_left(mechanism):
    """Means and deviations to within 6 standard errors: with fixed seeds it cannot flake; with fresh ones 1e-8."""
    release = released(mechanism)
    trial = ReleaseTrial(release, random=source("where"))
    runs = 20_000
    without, present = (
        trial.scores(present=there, runs=runs, random=source(f"noise{there}")) for there in (False, True)
    )
    floor, variance = release.floor, float(release.exact_variance)
    if mechanism.seeds:  # n - J survivors have exactly V in them; with more of them colluders know a smaller part of it
        left = Fraction(floor.parties - mechanism.seeds, floor.parties - mechanism.seeds - floor.colluders)
        left *= Fraction(floor.survivors - floor.colluders, floor.survivors)
        total = variance * float(left)
    elif mechanism.kind.startswith("distributed"):
        total = variance * (floor.survivors - floor.colluders)
    else:
        total = variance
    apart = 2 if mechanism.relation == "replace-one" else 1
    shift = apart * release.radius
    deviation = total**0.5
    assert abs((present.mean() - without.mean()) - shift) < 6 * deviation * (2 / runs) ** 0.5
    for scores in (without, present):
        assert abs(scores.std() / deviation - 1) < 6 / (2 * runs) ** 0.5
    assert trial.claimed == pytest.approx(shift / release.central_variance**0.5, rel=5e-3)


@pytest.mark.parametrize("mechanism", [kind for kind in ALL if kind.seeds <= 2], ids=named)
def test_the_plans_own_path_agrees_with_the_simulation(mechanism):
    """Means and deviations of both to within 6 standard errors; the seeds are fixed."""
    plan = plan_of(mechanism)
    whole, simulated = PlanTrial(plan, weight=90, random=source("a")), ReleaseTrial(plan.release, random=source("b"))
    assert whole.claimed == simulated.claimed
    few, many = 20 if mechanism.seeds else 60, 10_000
    deviation = simulated.scores(present=False, runs=many, random=source("c")).std()
    for there in (False, True):
        found = whole.scores(present=there, runs=few, random=source(f"d{there}"))
        expected = simulated.scores(present=there, runs=many, random=source(f"e{there}"))
        assert abs(found.mean() - expected.mean()) < 6 * deviation * (1 / few + 1 / many) ** 0.5
        assert abs(found.std() / deviation - 1) < 6 / (2 * few) ** 0.5


def test_a_clip_for_each_layer_goes_through_the_plan():
    plan = plan_of(dataclasses.replace(GAUSSIAN, clip=sfl.LayerClip((0.6, 0.8))))
    trial = PlanTrial(plan, random=source("layers"))
    shift = (
        trial.scores(present=True, runs=30, random=source("x")).mean()
        - trial.scores(present=False, runs=30, random=source("y")).mean()
    )
    assert abs(shift - plan.release.radius) < 6 * plan.release.central_variance**0.5 * (2 / 30) ** 0.5
    with pytest.raises(ConfigError, match="layers"):
        ReleaseTrial(plan.release)


def test_a_claim_that_is_not_tight_is_refused_unless_asked_for():
    coarse = released(GAUSSIAN, bits=12)
    assert coarse.bound.l2 / coarse.radius > 1.005
    with pytest.raises(ConfigError, match="not tight"):
        ReleaseTrial(coarse)
    assert ReleaseTrial(coarse, loose=True).claimed == 1 / coarse.noise_multiplier


def test_noise_too_coarse_to_be_like_a_gaussian_is_refused():
    release = released(dataclasses.replace(GAUSSIAN, noise_multiplier=0.005, min_sigma=0.75), bits=16)
    assert release.central_variance < 100
    with pytest.raises(ConfigError, match="grid points"):
        ReleaseTrial(release)


def test_random_directions_are_orthonormal_where_there_is_room():
    drawn = directions(5, 8, source("d"))
    assert np.allclose(drawn @ drawn.T, np.eye(5))
    crowd = directions(9, 4, source("e"))
    assert np.allclose(np.linalg.norm(crowd, axis=1), 1)


def test_the_planted_update_of_a_clip_needs_one_that_adapts():
    with pytest.raises(ConfigError, match="fixed clip"):
        UpdatedClip(released(GAUSSIAN)).scores(present=False, runs=10, random=source())


def test_an_audit_refuses_what_cannot_show_anything():
    trial = ReleaseTrial(released(GAUSSIAN))
    with pytest.raises(ConfigError, match="runs: got 99"):
        audit_mechanism(trial, runs=99)
    with pytest.raises(ConfigError, match="confidence"):
        audit_mechanism(trial, runs=100, confidence=1.0)


def test_an_audit_says_what_it_found():
    audit = MechanismAudit("noise", 1.0, 1.053, 0.99, 90_000, 1, 2, 1e-5)
    assert audit.refuted
    assert audit.verdict is Verdict.REFUTED
    assert str(audit) == (
        "noise: refuted\n  mu claimed 1.0000, at least 1.0530 (99 % sure, 90000 runs each way); "
        "epsilon 4.377 and 4.647 at delta 1e-05"
    )
    held = dataclasses.replace(audit, lower_mu=1.0)
    assert not held.refuted
    assert "not refuted" in str(held)
    assert dataclasses.replace(audit, lower_mu=0.0).lower_epsilon == 0
