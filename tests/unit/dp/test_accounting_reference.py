"""Known epsilons, dp-accounting's own answers, and the exact Gaussian: nothing of ours is below the truth."""

import math

import dp_accounting
import pytest
from dp_accounting import pld, rdp
from dp_accounting.gaussian_mechanism import get_epsilon_gaussian

from securefl.dp.accounting import (
    Accountant,
    Composed,
    DiscreteGaussianCentral,
    DistributedGaussian,
    DistributedSkellam,
    FixedSizeSampled,
    GaussianRelease,
    PoissonSampled,
    Relation,
    Repeated,
    calibrate,
    calibrate_noise_multiplier,
    epsilon_of,
    epsilons,
    gaussian_delta,
    gaussian_epsilon,
    gaussian_noise_multiplier,
    orders_for,
    rdp_curve,
    rdp_epsilon,
    sample_of,
)

_THEIRS = dp_accounting.NeighboringRelation

# z, q, T, delta: RDP, PLD (the project's reference values, dp-accounting 0.6.0)
TABLE = [
    (1.0, 1.0, 1, 1e-5, 4.7285, 4.3772),
    (1.0, 0.01, 1000, 1e-5, 2.1014, 1.8282),
    (1.1, 256 / 60000, 14040, 1e-5, 2.5944, 2.3796),
    (0.7, 0.01, 500, 1e-5, 4.3754, 3.5969),
    (2.0, 0.05, 100, 1e-5, 1.2222, 1.0972),
    (1.0, 0.01, 10000, 1e-5, 6.7127, 6.1877),
    (5.0, 1.0, 100, 1e-6, 11.6886, 10.9972),
    (0.6, 0.001, 50000, 1e-7, 6.6936, 5.8651),
]


def rounds(z, q, count):
    return Repeated(sample_of(q, GaussianRelease(z)), count)


@pytest.mark.parametrize(("z", "q", "count", "delta", "by_rdp", "by_pld"), TABLE)
def test_reference_table(z, q, count, delta, by_rdp, by_pld):
    found = epsilons(rounds(z, q, count), delta, Relation.ADD_REMOVE)
    assert found["rdp"] == pytest.approx(by_rdp, rel=2e-4)  # the table has 4.3754 where dp-accounting says 4.37585
    assert found["pld"] == pytest.approx(by_pld, abs=1.1e-4)
    assert found["pld"] <= found["rdp"]
    theirs = dp_accounting.GaussianDpEvent(z)
    if q < 1.0:
        theirs = dp_accounting.PoissonSampledDpEvent(q, theirs)
    bound = rdp.RdpAccountant(neighboring_relation=_THEIRS.ADD_OR_REMOVE_ONE).compose(theirs, count).get_epsilon(delta)
    assert bound <= found["rdp"] <= bound * (1 + 1e-6)


def test_integer_orders_of_one_gaussian():
    found = rdp_epsilon(GaussianRelease(1.0), 1e-5, Relation.ADD_REMOVE, orders=range(2, 1025))
    assert found == pytest.approx(4.7527, rel=1e-5)


def test_composed_gaussians_without_sampling_are_exact():
    found = epsilons(rounds(5.0, 1.0, 100), 1e-6, Relation.ADD_REMOVE)["pld"]
    assert 10.99715 <= found < 10.997152
    mixed = Composed((rounds(5.0, 1.0, 50), Repeated(GaussianRelease(10.0), 200)))
    assert epsilons(mixed, 1e-6, Relation.ADD_REMOVE)["pld"] == pytest.approx(found, rel=1e-12)


@pytest.mark.parametrize(("epsilon", "sigma"), [(0.1, 30.7496), (1.0, 3.73063), (5.0, 0.891868), (10.0, 0.499889)])
def test_analytic_gaussian(epsilon, sigma):
    found = gaussian_noise_multiplier(epsilon, 1e-5)
    assert found == pytest.approx(sigma, rel=2e-6)
    assert gaussian_delta(epsilon, found) <= 1e-5 < gaussian_delta(epsilon, found * (1 - 1e-9))
    assert gaussian_epsilon(1e-5, found) == pytest.approx(epsilon, rel=1e-9)


@pytest.mark.parametrize("sigma", [0.02, 0.1, 0.5, 1.0, 7.0, 100.0, 3000.0])
@pytest.mark.parametrize("delta", [1e-3, 1e-5, 1e-9, 1e-14])
def test_analytic_gaussian_beside_dp_accounting(sigma, delta):
    theirs = get_epsilon_gaussian(sigma, delta, tol=1e-12)
    assert gaussian_epsilon(delta, sigma) == pytest.approx(theirs, rel=1e-6, abs=1e-6)


def test_analytic_gaussian_is_never_below_the_integral_past_the_point_where_the_densities_cross():
    for epsilon, sigma in [(0.0, 2.0), (0.5, 1.0), (3.0, 0.7)]:
        cut = epsilon * sigma**2 + 0.5

        def phi(x):
            return 0.5 * math.erfc(-x / math.sqrt(2))

        exact = phi((1 - cut) / sigma) - math.exp(epsilon) * phi(-cut / sigma)
        assert exact <= gaussian_delta(epsilon, sigma) <= exact + 1e-12


def test_dropouts_and_cohorts_cost_what_the_reference_says():
    for epsilon, costs in {1.0: (1.06, 1.22, 1.47), 8.0: (8.53, 9.94, 12.26)}.items():
        sigma = gaussian_noise_multiplier(epsilon, 1e-5)
        for dropped, cost in zip((0.1, 0.3, 0.5), costs, strict=True):
            assert gaussian_epsilon(1e-5, sigma * math.sqrt(1 - dropped)) == pytest.approx(cost, abs=0.006)
    sigma = gaussian_noise_multiplier(1.0, 1e-5)
    assert gaussian_epsilon(1e-5, sigma / math.sqrt(10)) == pytest.approx(3.62, abs=0.006)
    assert gaussian_epsilon(1e-5, sigma / math.sqrt(100)) == pytest.approx(14.4, abs=0.06)


@pytest.mark.parametrize(
    ("accountant", "noise"),
    [(Accountant.RDP, 1.51312), pytest.param(Accountant.PLD, 1.41463, marks=pytest.mark.heavy)],
)
def test_calibration_inverts_the_accountant(accountant, noise):
    found = calibrate_noise_multiplier(epsilon=1.0, delta=1e-5, rounds=1000, sample_rate=0.01, accountant=accountant)
    assert found.noise == pytest.approx(noise, rel=1e-5)
    assert found.epsilon <= 1.0
    assert found.epsilon == pytest.approx(1.0, rel=1e-4)
    assert epsilon_of(rounds(found.noise, 0.01, 1000), 1e-5, Relation.ADD_REMOVE, accountant) == found.epsilon


@pytest.mark.parametrize(("epsilon", "floor"), [(1.0, 1.18), (3.0, 1.16), (6.0, 1.14)])
def test_slack_of_rdp_in_the_mean_estimation_benchmark(epsilon, floor):
    orders = [*range(2, 129), 256]
    found = calibrate(GaussianRelease, epsilon=epsilon, delta=1e-5, relation=Relation.ZERO_OUT, orders=orders)
    assert (found.noise / gaussian_noise_multiplier(epsilon, 1e-5)) ** 2 == pytest.approx(floor, abs=0.006)


def test_replace_one_folds_into_the_noise_where_dp_accounting_disagrees_with_itself():
    event = dp_accounting.GaussianDpEvent(1.0)
    assert rdp.RdpAccountant(neighboring_relation=_THEIRS.REPLACE_ONE).compose(event).get_epsilon(
        1e-5
    ) == pytest.approx(4.7285, rel=1e-4)
    assert pld.PLDAccountant(_THEIRS.REPLACE_ONE).compose(event).get_epsilon(1e-5) == pytest.approx(9.9973, rel=1e-4)
    ours = epsilons(GaussianRelease(1.0), 1e-5, Relation.REPLACE_ONE)
    half = epsilons(GaussianRelease(0.5), 1e-5, Relation.ZERO_OUT)
    assert ours == half
    assert ours["pld"] == pytest.approx(9.99726, rel=1e-5)
    assert ours["rdp"] > ours["pld"]


def test_replace_one_doubles_the_norm_of_integer_noise():
    event = DiscreteGaussianCentral(3.0, 16.0)
    assert rdp_curve(event, [2.0], Relation.REPLACE_ONE) == pytest.approx(2.0 * 36 / 32)
    assert rdp_curve(event, [2.0], Relation.ADD_REMOVE) == pytest.approx(2.0 * 9 / 32)
    sampled = rdp_curve(PoissonSampled(event, 0.1), [2.0], Relation.REPLACE_ONE)
    assert sampled == pytest.approx(2.0 * 36 / 32)  # no amplification is claimed there


def test_replace_one_of_a_sampled_gaussian_is_the_logarithm_of_twice_the_moment_less_one():
    moment = math.exp(3.0 * rdp_curve(PoissonSampled(GaussianRelease(1.0), 0.1), [4.0], Relation.ADD_REMOVE)[0])
    replaced = rdp_curve(PoissonSampled(GaussianRelease(2.0), 0.1), [4.0], Relation.REPLACE_ONE)
    assert replaced == pytest.approx(math.log(2.0 * moment - 1.0) / 3.0, rel=1e-6)


def test_rounding_never_makes_a_tiny_divergence_vanish():
    orders = [2.0, 8.0, 64.0, 1024.0]
    for event in (GaussianRelease(1e3), DiscreteGaussianCentral(10.0, 1e8)):
        found = rdp_curve(PoissonSampled(event, 1e-5), orders, Relation.ADD_REMOVE)
        assert all(rdp >= order * 1e-10 / 2e6 for order, rdp in zip(orders, found, strict=True))


def test_convention_of_poisson_sampling_under_replace_one_is_noise_over_clip_for_pld():
    theirs = dp_accounting.PoissonSampledDpEvent(0.1, dp_accounting.GaussianDpEvent(4.0))
    with pytest.raises(dp_accounting.UnsupportedEventError):
        rdp.RdpAccountant(neighboring_relation=_THEIRS.REPLACE_ONE).compose(theirs)
    by_pld = pld.PLDAccountant(_THEIRS.REPLACE_ONE).compose(theirs, 10).get_epsilon(1e-5)
    # at q = 1 their PLD is the one of unsampled noise at half the multiplier: noise over clip, not over sensitivity
    everybody = dp_accounting.PoissonSampledDpEvent(1.0, dp_accounting.GaussianDpEvent(4.0))
    whole = pld.PLDAccountant(_THEIRS.REPLACE_ONE).compose(everybody).get_epsilon(1e-5)
    assert whole == pytest.approx(gaussian_epsilon(1e-5, 2.0), rel=1e-5)
    ours = epsilons(rounds(4.0, 0.1, 10), 1e-5, Relation.REPLACE_ONE)
    assert ours["pld"] == pytest.approx(by_pld, rel=1e-5)
    assert ours["rdp"] >= ours["pld"] >= by_pld


@pytest.mark.parametrize("relation", [_THEIRS.ADD_OR_REMOVE_ONE, _THEIRS.REPLACE_SPECIAL])
def test_convention_of_poisson_sampling_under_the_other_relations_is_noise_over_clip(relation):
    theirs = dp_accounting.PoissonSampledDpEvent(0.05, dp_accounting.GaussianDpEvent(2.0))
    by_rdp = rdp.RdpAccountant(neighboring_relation=relation).compose(theirs, 100).get_epsilon(1e-5)
    assert by_rdp == pytest.approx(1.2222, rel=1e-5)
    assert pld.PLDAccountant(relation).compose(theirs, 100).get_epsilon(1e-5) == pytest.approx(1.09723, rel=1e-5)


def test_convention_of_fixed_size_sampling_is_noise_over_sensitivity():
    theirs = dp_accounting.SampledWithoutReplacementDpEvent(100, 100, dp_accounting.GaussianDpEvent(1.0))
    accountant = rdp.RdpAccountant([2.0, 8.0], _THEIRS.REPLACE_ONE).compose(theirs)
    assert accountant.rdp == pytest.approx([1.0, 4.0])  # alpha / 2 z^2, with z as it was handed over
    for event in (FixedSizeSampled(GaussianRelease(1.0), 100, 100), GaussianRelease(1.0)):
        assert rdp_curve(event, [2.0, 8.0], Relation.REPLACE_ONE) == pytest.approx([4.0, 16.0])
    few = FixedSizeSampled(GaussianRelease(4.0), 10, 1000)
    assert rdp_epsilon(few, 1e-5, Relation.REPLACE_ONE) < 0.3 * rdp_epsilon(
        GaussianRelease(4.0), 1e-5, Relation.REPLACE_ONE
    )
    assert epsilons(few, 1e-5, Relation.REPLACE_ONE)["pld"] is None


def test_integer_mechanisms_map_onto_zcdp_events():
    ddg = DistributedGaussian(50.0, 800.0, 25.0, 40, 4, dimension=256)
    skellam = DistributedSkellam(50.0, 800.0, 900.0, 40, 4)
    mu = skellam.variance
    first = dp_accounting.ZCDpEvent(50.0**2 / 2 / mu, 3 * 800.0 / 2 / mu)
    second = dp_accounting.ZCDpEvent(
        50.0**2 / 2 / mu + 50.0**2 / 2 / mu**2, max(0.0, (6 * 800.0 - 50.0**2) / 4 / mu**2)
    )
    orders = orders_for(skellam)
    theirs = [
        rdp.RdpAccountant(orders, _THEIRS.REPLACE_SPECIAL).compose(event, 10).get_epsilon(1e-5)
        for event in (first, second)
    ]
    assert rdp_epsilon(Repeated(skellam, 10), 1e-5, Relation.ZERO_OUT) == pytest.approx(min(theirs), rel=1e-9)
    zcdp = dp_accounting.ZCDpEvent(50.0**2 / 2 / ddg.variance, 256 * 1e-200)  # tau at sigma 5 is 10 exp(-pi^2 25)
    accountant = rdp.RdpAccountant(neighboring_relation=_THEIRS.REPLACE_SPECIAL).compose(zcdp, 10)
    assert rdp_epsilon(Repeated(ddg, 10), 1e-5, Relation.ZERO_OUT) == pytest.approx(
        accountant.get_epsilon(1e-5), rel=1e-9
    )
    assert ddg.noise_multiplier == pytest.approx(math.sqrt(25.0 * 36) / 50.0)


def test_integer_noise_has_no_pld_because_the_gaussian_one_is_below_the_truth():
    pmf = [math.exp(-(x * x) / 8.0) for x in range(-60, 61)]
    total = sum(pmf)

    def exact_delta(epsilon):
        return sum(max(0.0, pmf[i - 2] - math.exp(epsilon) * pmf[i]) for i in range(2, 121)) / total

    assert exact_delta(4.4078) > 1e-5 > exact_delta(4.4080)
    assert exact_delta(gaussian_epsilon(1e-5, 1.0)) > 1e-5
    found = epsilons(DiscreteGaussianCentral(2.0, 4.0), 1e-5, Relation.ADD_REMOVE)
    assert found["pld"] is None
    assert found["rdp"] > 4.4080


def test_pld_is_above_the_truth_where_dp_accountings_transforms_lose_digits():
    everybody = Repeated(PoissonSampled(GaussianRelease(20.0), 1.0), 1000)
    event = dp_accounting.PoissonSampledDpEvent(1.0, dp_accounting.GaussianDpEvent(20.0))
    exact = gaussian_epsilon(1e-10, 20.0 / math.sqrt(1000))
    theirs = pld.PLDAccountant(_THEIRS.REPLACE_SPECIAL).compose(event, 1000).get_epsilon(1e-10)
    assert theirs < exact * (1 - 1e-9)  # if this fails, dp-accounting has improved and the margin may go
    assert exact <= epsilons(everybody, 1e-10, Relation.ADD_REMOVE)["pld"] <= exact * 1.001
    assert epsilons(everybody, 1e-12, Relation.ADD_REMOVE)["pld"] is None


def test_pld_declines_a_table_too_large_to_compute():
    assert epsilons(rounds(1.0, 0.5, 10**6), 1e-5, Relation.ADD_REMOVE)["pld"] is None
