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


@pytest.mark.parametrize("dropouts", [0, 2])
def test_draws_are_one_for_each_party_coordinate_and_component_of_noise(dropouts):
    plan = calibrated(sfl.DistributedSkellam(clip=1.0, max_dropouts=dropouts))
    assert plan.release.draws == 100 * plan.length * (1 + dropouts)
    server, _ = sfl.dp.privacy_of(plan, delta=1e-3, rounds=5)
    assert server.epsilon == pytest.approx(8.0, rel=1e-3)
    assert server.epsilon <= 8.0
