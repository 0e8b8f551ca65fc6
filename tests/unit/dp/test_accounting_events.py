"""What accounting refuses, the two adversaries, and the filter."""

import math
import subprocess
import sys

import pytest

from securefl.dp.accounting import (
    Accountant,
    Adversary,
    CompensatedSkellam,
    Composed,
    DiscreteGaussianCentral,
    DistributedGaussian,
    DistributedSkellam,
    FixedSizeSampled,
    GaussianRelease,
    Guarantee,
    PoissonSampled,
    RdpFilter,
    Relation,
    Repeated,
    Unit,
    calibrate,
    epsilon_of,
    epsilons,
    guarantees,
    rdp_curve,
    rdp_epsilon,
    sampler_delta,
    skellam_rdp,
)
from securefl.dp.accounting.floats import printed
from securefl.errors import ConfigError, UnsafePlanError

NAN, INF = math.nan, math.inf
DDG = DistributedGaussian(30.0, 480.0, 400.0, 100, 10, dimension=256)
SKELLAM = DistributedSkellam(30.0, 480.0, 400.0, 100, 10)
XNOISE = CompensatedSkellam(30.0, 480.0, 36000.0)


@pytest.mark.parametrize("z", [0.0, -1.0, NAN, INF])
def test_noise_must_be_positive_and_finite(z):
    with pytest.raises(UnsafePlanError, match="> 0"):
        GaussianRelease(z)
    with pytest.raises(UnsafePlanError, match="> 0"):
        DiscreteGaussianCentral(2.0, z)
    with pytest.raises(UnsafePlanError, match="> 0"):
        DistributedGaussian(2.0, 4.0, z, 10, dimension=4)
    with pytest.raises(UnsafePlanError, match="> 0"):
        CompensatedSkellam(2.0, 4.0, z)


@pytest.mark.parametrize(
    ("d2", "d1"), [(0.0, 4.0), (0.9, 4.0), (NAN, 4.0), (INF, INF), (2.0, 1.0), (2.0, NAN), (2.0, INF)]
)
def test_norms_must_make_sense(d2, d1):
    with pytest.raises(UnsafePlanError):
        DistributedSkellam(d2, d1, 4.0, 10)
    with pytest.raises(UnsafePlanError):
        CompensatedSkellam(d2, d1, 4.0)


@pytest.mark.parametrize(
    ("survivors", "colluders", "threshold"), [(2, 0, None), (10, 9, None), (10, -1, None), (10, 3, 4), (3, 2, 3)]
)
def test_colluders_stay_two_below_threshold_and_floor(survivors, colluders, threshold):
    with pytest.raises(UnsafePlanError):
        DistributedGaussian(2.0, 4.0, 4.0, survivors, colluders, dimension=4, threshold=threshold)


def test_variance_is_that_of_the_shares_nobody_knows():
    assert DDG.variance == 400.0 * 90
    assert DDG.noise_multiplier == math.sqrt(36000.0) / 30.0
    assert DistributedGaussian(2.0, 4.0, 4.0, 10, 2, dimension=4, threshold=4).shares == 8


@pytest.mark.parametrize("q", [0.0, -0.1, 1.0000001, NAN])
def test_sampling_rate_is_in_the_half_open_interval(q):
    with pytest.raises(UnsafePlanError, match="0 < q <= 1"):
        PoissonSampled(GaussianRelease(1.0), q)


@pytest.mark.parametrize("event", [DDG, SKELLAM, Composed((GaussianRelease(1.0), DDG)), Repeated(SKELLAM, 3)])
def test_noise_whose_variance_tells_who_took_part_is_not_amplified(event):
    with pytest.raises(UnsafePlanError, match="who took part"):
        PoissonSampled(event, 0.1)


def test_samples_are_not_sampled_again_and_fixed_sizes_are_for_gaussians():
    with pytest.raises(UnsafePlanError, match="sample of a sample"):
        PoissonSampled(Repeated(PoissonSampled(GaussianRelease(1.0), 0.1), 2), 0.1)
    with pytest.raises(UnsafePlanError, match="fixed size"):
        FixedSizeSampled(XNOISE, 10, 100)
    with pytest.raises(UnsafePlanError, match="larger"):
        FixedSizeSampled(GaussianRelease(1.0), 101, 100)


@pytest.mark.parametrize("count", [0, -1, True, 1.5])
def test_rounds_are_counted_in_whole_numbers(count):
    with pytest.raises(UnsafePlanError):
        Repeated(GaussianRelease(1.0), count)


@pytest.mark.parametrize("relation", [Relation.ADD_REMOVE, Relation.REPLACE_ONE])
@pytest.mark.parametrize(
    "event", [DDG, SKELLAM, XNOISE, PoissonSampled(XNOISE, 0.1), Composed((GaussianRelease(1.0), DDG))]
)
def test_distributed_noise_is_accounted_under_zero_out_only(event, relation):
    with pytest.raises(UnsafePlanError, match="reveal who was there"):
        epsilons(event, 1e-5, relation)
    assert math.isfinite(epsilons(event, 1e-5, Relation.ZERO_OUT)["rdp"])


def test_samples_of_fixed_size_are_accounted_under_replace_one_only():
    with pytest.raises(UnsafePlanError, match="replace-one"):
        rdp_epsilon(FixedSizeSampled(GaussianRelease(1.0), 10, 100), 1e-5, Relation.ADD_REMOVE)


def test_unknown_labels_are_refused_by_name():
    with pytest.raises(UnsafePlanError, match="'swap'"):
        Relation.parse("swap")
    with pytest.raises(UnsafePlanError, match="'hospital'"):
        Unit.parse("hospital")
    assert Relation.parse("zero-out") is Relation.ZERO_OUT
    assert Unit.parse("record") is Unit.EXAMPLE
    assert [Unit.parse(unit).is_party for unit in ("party", "user", "organisation", "device", "example")] == [
        True
    ] * 4 + [False]


def test_sensitivity_is_doubled_by_replacement_only():
    assert [relation.sensitivity_factor for relation in Relation] == [1, 1, 2]


@pytest.mark.parametrize("delta", [0.0, 1.0, -1e-5, 2.0, NAN])
def test_delta_is_strictly_between_zero_and_one(delta):
    with pytest.raises(UnsafePlanError, match="0 < delta < 1"):
        epsilons(GaussianRelease(1.0), delta, Relation.ADD_REMOVE)
    with pytest.raises(UnsafePlanError, match="0 < delta < 1"):
        guarantees(DDG, delta=delta, relation=Relation.ZERO_OUT, unit=Unit.USER, rounds=1)
    with pytest.raises(UnsafePlanError, match="0 < delta < 1"):
        calibrate(GaussianRelease, epsilon=1.0, delta=delta, relation=Relation.ADD_REMOVE)


def test_skellam_is_bounded_at_integers_only():
    with pytest.raises(UnsafePlanError, match="integer"):
        rdp_curve(SKELLAM, [2.5], Relation.ZERO_OUT)
    with pytest.raises(UnsafePlanError, match="integer"):
        rdp_curve(PoissonSampled(DiscreteGaussianCentral(2.0, 9.0), 0.1), [2.5], Relation.ZERO_OUT)
    with pytest.raises(UnsafePlanError, match="> 1"):
        rdp_curve(DDG, [1.0], Relation.ZERO_OUT)


def test_skellam_by_hand():
    import numpy as np

    found = skellam_rdp(np.array([2.0, 10.0]), d2=3.0, d1=5.0, variance=20.0)
    assert found == pytest.approx([2 * 9 / 40 + (27 + 30) / 1600, 10 * 9 / 40 + (171 + 30) / 1600])
    assert skellam_rdp(np.array([500.0]), d2=3.0, d1=5.0, variance=20.0) == pytest.approx([500 * 9 / 40 + 15 / 40])


def test_samplers_take_at_most_a_thousandth_of_delta():
    assert sampler_delta(1.0, 0) == 0.0
    assert sampler_delta(1.0, 2**40) >= (1 + math.e) * 2.0**-60
    few, many = Repeated(DDG, 10), 2**90
    assert rdp_epsilon(few, 1e-5, Relation.ZERO_OUT, draws=10**9) == pytest.approx(
        rdp_epsilon(few, 1e-5, Relation.ZERO_OUT), rel=1e-6
    )
    assert rdp_epsilon(few, 1e-5, Relation.ZERO_OUT, draws=many) == INF
    with pytest.raises(UnsafePlanError):
        rdp_epsilon(few, 1e-5, Relation.ZERO_OUT, draws=-1)


def test_pld_is_refused_by_name_where_it_is_no_bound():
    with pytest.raises(UnsafePlanError, match="no upper bound"):
        epsilon_of(DDG, 1e-5, Relation.ZERO_OUT, Accountant.PLD)
    with pytest.raises(UnsafePlanError, match="no upper bound"):
        calibrate(
            lambda v: CompensatedSkellam(30.0, 480.0, v),
            epsilon=1.0,
            delta=1e-5,
            relation=Relation.ZERO_OUT,
            accountant=Accountant.PLD,
        )


def test_calibration_says_when_no_noise_meets_the_target():
    with pytest.raises(UnsafePlanError, match="no amount of noise"):
        calibrate(lambda _: GaussianRelease(1.0), epsilon=1.0, delta=1e-5, relation=Relation.ADD_REMOVE)
    with pytest.raises(UnsafePlanError, match="without noise"):
        calibrate(lambda _: GaussianRelease(1.0), epsilon=9.0, delta=1e-5, relation=Relation.ADD_REMOVE)


def test_calibration_is_checked_again_after_rounding():
    def event(noise):
        short = noise < 3.0 and noise == float(
            f"{noise:.5e}"
        )  # an amount that six digits name does worse than its neighbours
        return GaussianRelease(noise * (0.9999 if short else 1.0))

    found = calibrate(event, epsilon=2.5, delta=1e-5, relation=Relation.ADD_REMOVE)
    assert found.noise < 3.0
    assert rdp_epsilon(event(found.noise), 1e-5, Relation.ADD_REMOVE) == found.epsilon <= 2.5


def state(event, **more):
    return guarantees(
        event,
        delta=1e-5,
        rounds=1000,
        **{"relation": Relation.ZERO_OUT, "unit": Unit.ORGANISATION, "sampler": "Poisson 0.01"} | more,
    )


def test_server_has_no_amplification_and_observer_has_it_only_while_the_cohort_is_hidden():
    event = Repeated(PoissonSampled(XNOISE, 0.01), 1000)
    whole = rdp_epsilon(Repeated(XNOISE, 1000), 1e-5, Relation.ZERO_OUT)
    server, observer = state(event, cohort_hidden=True)
    assert server.epsilon == whole
    assert observer.epsilon == rdp_epsilon(event, 1e-5, Relation.ZERO_OUT) < whole / 10
    assert (server.sampler, observer.sampler) == ("none", "Poisson 0.01")
    assert [seen.epsilon for seen in state(event)] == [whole, whole]


def test_central_noise_gives_nothing_against_the_server():
    server, observer = state(Repeated(DiscreteGaussianCentral(30.0, 36000.0), 5))
    assert server.epsilon == INF
    assert server.adversary is Adversary.SERVER
    assert "epsilon infinite" in str(server)
    assert observer.epsilon < 4
    mixed, _ = state(Composed((DDG, GaussianRelease(100.0))))
    assert mixed.epsilon == INF


def test_dp_sgd_protects_examples_against_both_and_parties_against_none():
    event = Repeated(PoissonSampled(GaussianRelease(1.0), 0.01), 1000)
    server, observer = state(event, unit=Unit.EXAMPLE, relation=Relation.ADD_REMOVE, dp_sgd=True)
    assert server.epsilon == observer.epsilon == pytest.approx(2.10137, rel=1e-5)
    with pytest.raises(UnsafePlanError, match="not one party"):
        state(event, unit=Unit.USER, dp_sgd=True)
    with pytest.raises(UnsafePlanError, match="DP-SGD"):
        state(DDG, unit=Unit.EXAMPLE)


def test_a_guarantee_prints_everything_and_rounds_up():
    printed_guarantee = str(
        Guarantee(1.00001, 1e-5, Relation.ZERO_OUT, Unit.USER, Adversary.SERVER, "none", 3, 70, Accountant.RDP, 30)
    )
    for part in (
        "1.0001",
        "1e-05",
        "zero-out",
        "user",
        "server",
        "semi-honest",
        "none",
        "3 colluders",
        "70 survivors",
        "rdp",
        "30 rounds",
    ):
        assert part in printed_guarantee
    with pytest.raises(UnsafePlanError):
        Guarantee(-0.1, 1e-5, Relation.ZERO_OUT, Unit.USER, Adversary.SERVER, "none", 3, 70, Accountant.RDP, 30)
    with pytest.raises(UnsafePlanError):
        Guarantee(NAN, 1e-5, Relation.ZERO_OUT, Unit.USER, Adversary.SERVER, "none", 3, 70, Accountant.RDP, 30)
    assert printed(0.30000000000000004) == "0.3001"


def test_filter_keeps_its_budget_and_its_record():
    budget = RdpFilter({8.0: 1.0, 4.0: 10.0}, Relation.ADD_REMOVE)
    event = GaussianRelease(4.0)  # 8 / 32 = 0.25 at order 8
    for _ in range(3):
        assert budget.fits(event)
        budget.spend(event)
    # four quarters are exactly one: rounded against the spender, they do not fit
    assert not budget.fits(event)
    with pytest.raises(UnsafePlanError, match="order 8"):
        budget.spend(event)
    assert budget.record == (event,) * 3
    assert budget.spent[8.0] == pytest.approx(0.75)
    assert budget.fits(GaussianRelease(4.1))
    assert not any("reset" in name or "clear" in name for name in dir(budget))
    with pytest.raises(TypeError):
        budget.spent[8.0] = 0.0
    with pytest.raises(TypeError):
        budget.caps[8.0] = 2.0


def test_filter_for_epsilon_stays_within_it():
    for orders in ([16.0], [2.0, 8.0, 16.0, 32.0]):
        budget = RdpFilter.for_epsilon(2.0, 1e-5, orders, Relation.ZERO_OUT)
        spent = []
        for z in (10.0, 5.0, 20.0, 4.0, 6.0, 8.0, 9.0, 3.0, 7.0, 2.0):
            if budget.fits(GaussianRelease(z)):
                budget.spend(GaussianRelease(z))
                spent.append(GaussianRelease(z))
        assert 2 <= len(spent) < 10
        found = epsilons(Composed(tuple(spent)), 1e-5, Relation.ZERO_OUT)
        assert found["pld"] <= rdp_epsilon(Composed(tuple(spent)), 1e-5, Relation.ZERO_OUT, orders=orders) <= 2.0
    assert 2.0 not in budget.orders  # too low for any budget


def test_filter_with_several_orders_divides_delta_among_them():
    budget = RdpFilter.for_epsilon(2.0, 1e-5, [2.0, 8.0, 16.0], Relation.ZERO_OUT)
    assert dict(budget.caps) == pytest.approx({8.0: 2.0 + math.log(5e-6) / 7, 16.0: 2.0 + math.log(5e-6) / 15})


def test_filter_with_one_order_takes_what_its_conversion_allows():
    budget = RdpFilter.for_epsilon(2.0, 1e-5, [16.0], Relation.ZERO_OUT)
    z = math.sqrt(16.0 / 2 / budget.caps[16.0])
    assert rdp_epsilon(GaussianRelease(z), 1e-5, Relation.ZERO_OUT, orders=[16.0]) == pytest.approx(2.0, rel=1e-9)
    assert budget.fits(GaussianRelease(z * 1.000001))
    assert not budget.fits(GaussianRelease(z * 0.999999))


def test_filter_refuses_orders_and_budgets_that_mean_nothing():
    for caps in ({}, {1.0: 1.0}, {2.0: 0.0}, {2.0: INF}, {NAN: 1.0}):
        with pytest.raises(UnsafePlanError):
            RdpFilter(caps, Relation.ADD_REMOVE)
    with pytest.raises(UnsafePlanError, match="no order leaves"):
        RdpFilter.for_epsilon(0.1, 1e-5, [2.0, 3.0], Relation.ADD_REMOVE)


def test_nothing_heavy_is_loaded_before_an_epsilon_is_asked_for():
    code = "import sys, securefl, securefl.dp.accounting; print(sorted({'scipy', 'dp_accounting'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert done.stdout.strip() == "[]"


def test_a_missing_extra_is_one_clear_error(monkeypatch):
    monkeypatch.setitem(sys.modules, "dp_accounting", None)
    with pytest.raises(ConfigError, match=r"pip install 'securefl\[dp\]'"):
        epsilons(PoissonSampled(GaussianRelease(1.0), 0.1), 1e-5, Relation.ADD_REMOVE)
    monkeypatch.setitem(sys.modules, "scipy.special", None)
    with pytest.raises(ConfigError, match="scipy"):
        epsilon_of(GaussianRelease(1.0), 1e-5, Relation.ADD_REMOVE, Accountant.PLD)
