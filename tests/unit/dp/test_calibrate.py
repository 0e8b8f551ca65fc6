"""The noise of a plan from a target: what the search begins with, and what it charges for."""

from __future__ import annotations

import pytest

import securefl as sfl

TEMPLATE = {"x": ((5,), "float32")}


def calibrated(mechanism, parties=100):
    protocol = sfl.SecAgg(max_colluders=1, min_survivors=parties - 2)
    plan = sfl.Plan(template=TEMPLATE, parties=parties, protocol=protocol, privacy=mechanism)
    return sfl.dp.calibrate(plan, epsilon=8.0, delta=1e-3, rounds=5)


@pytest.mark.parametrize("kind", [sfl.DistributedDiscreteGaussian, sfl.DistributedSkellam])
def test_an_adaptive_clip_needs_the_noise_multiplier_of_a_fixed_one(kind):
    adaptive = calibrated(kind(clip=sfl.dp.QuantileClip()))
    assert adaptive.release.adaptive is not None
    assert adaptive.release.noise_multiplier == pytest.approx(
        calibrated(kind(clip=0.1)).release.noise_multiplier, rel=1e-3
    )


@pytest.mark.parametrize(("parties", "epsilon"), [(20, 8.0), (40, 4.0)])
def test_an_adaptive_clip_is_calibrated_up_to_the_noise_of_its_bit(parties, epsilon):
    """The search steps over what the bit alone spends, and closes in below it."""
    protocol = sfl.SecAgg(max_colluders=parties // 4, dropout=0.1)
    mechanism = sfl.DistributedDiscreteGaussian(clip=sfl.QuantileClip())
    plan = sfl.Plan(template=TEMPLATE, parties=parties, protocol=protocol, privacy=mechanism)
    found = sfl.dp.calibrate(plan, epsilon=epsilon, delta=1e-4, rounds=10)
    server, _ = sfl.dp.privacy_of(found, delta=1e-4, rounds=10)
    assert 0.99 * epsilon < server.epsilon <= epsilon
    assert found.release.noise_multiplier < parties / 10


def test_an_adaptive_clip_whose_bit_alone_spends_too_much_is_refused_with_the_remedy():
    mechanism = sfl.DistributedDiscreteGaussian(clip=sfl.QuantileClip())
    plan = sfl.Plan(template=TEMPLATE, parties=20, protocol=sfl.SecAgg(max_colluders=5, dropout=0.1), privacy=mechanism)
    with pytest.raises(sfl.UnsafePlanError, match="raise bit_noise"):
        sfl.dp.calibrate(plan, epsilon=1.0, delta=1e-4, rounds=10)


@pytest.mark.parametrize("dropouts", [0, 2])
def test_draws_are_one_for_each_party_coordinate_and_component_of_noise(dropouts):
    plan = calibrated(sfl.DistributedSkellam(clip=1.0, max_dropouts=dropouts))
    assert plan.release.draws == 100 * plan.length * (1 + dropouts)
    server, _ = sfl.dp.privacy_of(plan, delta=1e-3, rounds=5)
    assert server.epsilon == pytest.approx(8.0, rel=1e-3)
    assert server.epsilon <= 8.0
