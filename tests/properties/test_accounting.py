"""Laws of accounting: monotone in every parameter, and never below what brute force finds."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ive, logsumexp

from securefl.dp.accounting import (
    INTEGER_ORDERS,
    CompensatedSkellam,
    Composed,
    DiscreteGaussianCentral,
    DistributedGaussian,
    DistributedSkellam,
    GaussianRelease,
    PoissonSampled,
    Relation,
    Repeated,
    calibrate,
    gaussian_delta,
    poisson_rdp,
    rdp_curve,
    rdp_epsilon,
    skellam_rdp,
)

ZERO_OUT = Relation.ZERO_OUT
ORDERS = [2.0, 3.0, 4.0, 8.0, 16.0]
K = 90


def log_discrete_gaussian(sigma2):
    x = np.arange(-K, K + 1)
    logs = -(x * x) / (2.0 * sigma2)
    return logs - logsumexp(logs)


def log_convolved(a, b):
    """The logarithm of the convolution, on -K..K; exact in relative terms as far as the tails are."""
    out = np.empty(2 * K + 1)
    for k in range(-K, K + 1):
        j = np.arange(max(-K, k - K), min(K, k + K) + 1)
        out[k + K] = logsumexp(a[j + K] + b[k - j + K])
    return out


def log_sum(sigma2, shares):
    one = log_discrete_gaussian(sigma2)
    total = one
    for _ in range(shares - 1):
        total = log_convolved(total, one)
    return total


def divergence(p, q, order):
    """The Renyi divergence of log-pmfs on a common support; what is cut off only makes it smaller."""
    return float(logsumexp(order * p + (1.0 - order) * q)) / (order - 1.0)


def shifted(logs, shift):
    return logs[: len(logs) - shift], logs[shift:]


@pytest.mark.parametrize("sigma2", [0.1, 0.25, 0.4, 0.5625, 1.0, 4.0])
@pytest.mark.parametrize("shares", [1, 2, 3, 5])
def test_distributed_gaussian_is_bounded_from_above(sigma2, shares):
    logs = log_sum(sigma2, shares) if shares > 1 else log_discrete_gaussian(sigma2)
    # the sum's tails beyond -K..K are missing from each convolution: compare well inside
    logs = logs[K // 3 : -(K // 3)]
    for shift in (1, 2):
        p, q = shifted(logs, shift)
        for dimension in (1, 3):
            d2, d1 = shift * math.sqrt(dimension), float(shift * dimension)
            if shares == 1:
                bound = rdp_curve(DiscreteGaussianCentral(d2, sigma2), ORDERS, ZERO_OUT)
            else:
                event = DistributedGaussian(d2, d1, sigma2, shares + 1, 1, dimension=dimension)
                bound = rdp_curve(event, ORDERS, ZERO_OUT)
            for order, most in zip(ORDERS, bound, strict=True):
                if order * shift < len(logs) // 2 - 2:
                    assert dimension * divergence(p, q, order) <= most * (1 + 1e-9)
                    assert dimension * divergence(q, p, order) <= most * (1 + 1e-9)


def log_skellam(variance, most=140):
    pmf = ive(np.abs(np.arange(-most, most + 1)), variance)
    return np.log(pmf[pmf > 1e-290])  # below, floats have few digits left


@pytest.mark.parametrize("variance", [0.3, 1.0, 5.0, 25.0, 100.0])
@pytest.mark.parametrize("shift", [1, 2, 4])
def test_skellam_is_bounded_from_above(variance, shift):
    p, q = shifted(log_skellam(variance), shift)
    orders = np.array([2.0, 3.0, 4.0, 8.0, 16.0])
    bound = skellam_rdp(orders, d2=float(shift), d1=float(shift), variance=variance)
    for order, most in zip(orders, bound, strict=True):
        assert divergence(p, q, order) <= most
        assert divergence(q, p, order) <= most


@pytest.mark.parametrize("q", [0.01, 0.2, 0.7])
@pytest.mark.parametrize("kind", ["gaussian", "skellam"])
@pytest.mark.parametrize(("shift", "variance"), [(1, 1.0), (2, 4.0), (3, 25.0)])
def test_poisson_samples_of_integer_noise_are_bounded_from_above_in_both_directions(kind, shift, variance, q):
    if kind == "gaussian":
        logs, event = log_discrete_gaussian(variance), DiscreteGaussianCentral(float(shift), variance)
    else:
        logs, event = log_skellam(variance, K), CompensatedSkellam(float(shift), float(shift), variance)
    with_it, without = shifted(logs, shift)
    mixture = np.logaddexp(math.log(q) + with_it, math.log1p(-q) + without)
    bound = rdp_curve(PoissonSampled(event, q), ORDERS, ZERO_OUT)
    for order, most in zip(ORDERS, bound, strict=True):
        assert divergence(mixture, without, order) <= most
        assert divergence(without, mixture, order) <= most
    assert np.all(bound <= rdp_curve(event, ORDERS, ZERO_OUT) * (1 + 1e-11))


@pytest.mark.parametrize("q", [0.01, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("z", [0.7, 1.0, 2.0, 6.0])
def test_poisson_samples_of_gaussian_noise_are_bounded_under_each_relation(z, q):
    x = np.linspace(-60.0 * z, 60.0 * z, 40001)
    density = [-((x - mean) ** 2) / (2 * z * z) for mean in (-1.0, 0.0, 1.0)]
    density = [d - logsumexp(d) for d in density]
    minus, plus = (np.logaddexp(math.log(q) + density[i], math.log1p(-q) + density[1]) for i in (0, 2))
    event = PoissonSampled(GaussianRelease(z), q)
    orders = [1.5, 2.0, 3.0, 6.0, 12.0]
    removal = rdp_curve(event, orders, Relation.ADD_REMOVE)
    replaced = rdp_curve(event, orders, Relation.REPLACE_ONE)
    for order, most, both in zip(orders, removal, replaced, strict=True):
        assert divergence(density[1], plus, order) <= most * (1 + 1e-9)
        # exact in this direction, unless the series of dp-accounting does not converge and sampling counts for nothing
        assert divergence(plus, density[1], order) <= most * (1 + 1e-9)
        assert divergence(plus, minus, order) <= both


def test_poisson_by_hand_is_dp_accountings_when_terms_are_not_tripled():
    orders = np.array([2.0, 5.0, 31.0, 200.0])
    rdp = np.array(INTEGER_ORDERS) / (2.0 * 1.3**2)
    by_hand = poisson_rdp(orders, q=0.02, rdp=rdp, tail_factor=1.0)
    assert by_hand == pytest.approx(
        rdp_curve(PoissonSampled(GaussianRelease(1.3), 0.02), orders, ZERO_OUT), rel=1e-6, abs=1e-10
    )
    tripled = poisson_rdp(orders[:2], q=0.02, rdp=rdp)
    moments = [rdp[i - 2] * (i - 1) for i in range(2, 6)]
    terms = [math.comb(5, i) * 0.98 ** (5 - i) * 0.02**i * math.exp(m) for i, m in enumerate(moments, 2)]
    expected = math.log(0.98**4 * (5 * 0.02 + 0.98) + terms[0] + 3 * sum(terms[1:])) / 4
    assert tripled == pytest.approx([by_hand[0], expected], rel=1e-9, abs=1e-10)
    assert poisson_rdp(orders, q=1.0, rdp=rdp) == pytest.approx(orders / (2.0 * 1.3**2))


def test_epsilon_of_integer_noise_is_at_least_the_exact_one():
    for sigma2, shift in [(1.0, 1), (4.0, 2), (9.0, 1), (0.5, 1)]:
        p, q = (np.exp(logs) for logs in shifted(log_discrete_gaussian(sigma2), shift))
        for delta in (1e-2, 1e-4, 1e-6):
            epsilon = rdp_epsilon(DiscreteGaussianCentral(float(shift), sigma2), delta, ZERO_OUT)
            assert np.maximum(p - math.exp(epsilon) * q, 0.0).sum() <= delta
            assert np.maximum(q - math.exp(epsilon) * p, 0.0).sum() <= delta


sigma2s = st.floats(0.05, 400.0)
factors = st.floats(1.0, 3.0)
norms = st.floats(1.0, 200.0)


def cost(d2=20.0, d1=200.0, local=4.0, survivors=20, colluders=3, dimension=256, rounds=5, delta=1e-5, skellam=False):
    if skellam:
        event = DistributedSkellam(d2, d1, local, survivors, colluders)
    else:
        event = DistributedGaussian(d2, d1, local, survivors, colluders, dimension=dimension)
    return rdp_epsilon(Repeated(event, rounds), delta, ZERO_OUT)


@given(st.booleans(), sigma2s, norms, factors, st.integers(5, 400), st.integers(0, 3), st.integers(1, 2**14))
def test_a_worse_parameter_never_costs_less(skellam, local, d2, worse, survivors, colluders, dimension):
    base = {"skellam": skellam, "local": local, "d2": d2, "d1": 8 * d2, "survivors": survivors}
    base |= {"colluders": colluders, "dimension": dimension}
    here = cost(**base) * (1 - 1e-11)
    assert cost(**base | {"local": local / worse}) >= here
    assert cost(**base | {"d2": d2 * worse}) >= here
    assert cost(**base | {"d1": 8 * d2 * worse}) >= here
    assert cost(**base | {"dimension": math.ceil(dimension * worse)}) >= here
    assert cost(**base | {"survivors": max(colluders + 2, math.floor(survivors / worse), 3)}) >= here
    assert cost(**base | {"rounds": 6}) >= here
    assert cost(**base | {"delta": 1e-5 / worse}) >= here
    if colluders < survivors - 2:
        assert cost(**base | {"colluders": colluders + 1}) >= here


@given(st.floats(0.5, 10.0), st.floats(0.001, 0.5), factors)
@settings(max_examples=8)
def test_more_sampling_or_less_noise_never_costs_less(z, q, worse):
    for kind in (GaussianRelease, lambda z: CompensatedSkellam(20.0, 100.0, (20.0 * z) ** 2)):
        here = rdp_epsilon(PoissonSampled(kind(z), q), 1e-5, ZERO_OUT) * (1 - 1e-9) - 1e-9
        assert rdp_epsilon(PoissonSampled(kind(z / worse), q), 1e-5, ZERO_OUT) >= here
        assert rdp_epsilon(PoissonSampled(kind(z), min(1.0, q * worse)), 1e-5, ZERO_OUT) >= here
        assert rdp_epsilon(Repeated(PoissonSampled(kind(z), q), 3), 1e-5, ZERO_OUT) >= here
        assert rdp_epsilon(kind(z), 1e-5, ZERO_OUT) >= here


@given(st.floats(0.3, 30.0), st.integers(1, 50), st.integers(1, 50))
def test_composition_does_not_depend_on_how_it_is_written(z, m, n):
    release = GaussianRelease(z)
    whole = rdp_epsilon(Repeated(release, m + n), 1e-5, ZERO_OUT)
    parts = rdp_epsilon(Composed((Repeated(release, m), Repeated(Repeated(release, n), 1))), 1e-5, ZERO_OUT)
    assert whole == pytest.approx(parts, rel=1e-12)


@given(st.floats(0.3, 20.0), st.floats(1e-9, 1e-2), st.integers(1, 100))
def test_calibration_meets_its_target_and_is_within_a_thousandth_of_the_least(epsilon, delta, rounds):
    def event(variance):
        return Repeated(CompensatedSkellam(40.0, 640.0, variance), rounds)

    found = calibrate(event, epsilon=epsilon, delta=delta, relation=ZERO_OUT)
    assert rdp_epsilon(event(found.noise), delta, ZERO_OUT) == found.epsilon <= epsilon
    assert rdp_epsilon(event(found.noise * 0.999), delta, ZERO_OUT) > epsilon
    assert found.noise == float(f"{found.noise:.5e}") or found.noise == pytest.approx(
        float(f"{found.noise:.5e}"), rel=1e-15
    )


@given(st.floats(0.0, 20.0), st.floats(0.1, 50.0), st.floats(1.0, 2.0))
def test_gaussian_delta_falls_with_noise_and_with_epsilon(epsilon, sigma, more):
    here = gaussian_delta(epsilon, sigma)
    assert 0.0 <= here <= 1.0
    assert gaussian_delta(epsilon, sigma * more) <= here + 1e-12
    assert gaussian_delta(epsilon * more, sigma) <= here + 1e-12
