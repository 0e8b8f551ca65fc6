"""Known answers of the bounds that audits rest on."""

import math

import numpy as np
import pytest

from securefl.audit import clopper_pearson, mu_bound, one_run_epsilon, one_run_p_value
from securefl.audit.bounds import best_threshold
from securefl.audit.one_run import guesses_for, right_guesses
from securefl.errors import ConfigError, UnsafePlanError

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(
    ("count", "trials", "expected"),
    [
        (0, 10, 0.258866),  # 1 - .05^(1/10)
        (1, 10, 0.394163),
        (5, 10, 0.777559),
        (9, 10, 0.994884),  # .95^(1/10)
        (10, 10, 1.0),
    ],
)
def test_clopper_pearson_has_the_values_of_the_tables(count, trials, expected):
    assert clopper_pearson(count, trials, 0.95) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(("count", "trials", "confidence"), [(3, 1000, 0.99), (500, 1000, 0.995), (999, 1000, 0.9)])
def test_at_the_upper_bound_so_few_events_have_just_the_remaining_probability(count, trials, confidence):
    bound = clopper_pearson(count, trials, confidence)
    assert stats.binom.cdf(count, trials, bound) == pytest.approx(1 - confidence, rel=1e-9)


@pytest.mark.parametrize(("count", "trials"), [(-1, 10), (11, 10), (0, 0)])
def test_counts_that_cannot_be_are_refused(count, trials):
    with pytest.raises(ConfigError, match="of"):
        clopper_pearson(count, trials, 0.95)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, math.nan])
def test_a_confidence_outside_0_and_1_is_refused(confidence):
    with pytest.raises(ConfigError, match="confidence"):
        clopper_pearson(1, 10, confidence)


def test_the_bound_on_mu_is_the_sum_of_both_quantiles():
    upper = clopper_pearson(31, 100, 0.975)
    assert mu_bound(31, 100, 31, 100, confidence=0.95) == pytest.approx(-2 * stats.norm.ppf(upper))


def test_errors_no_better_than_chance_give_no_bound():
    assert mu_bound(50, 100, 50, 100, confidence=0.95) == 0
    assert mu_bound(100, 100, 0, 100, confidence=0.95) == 0
    assert mu_bound(0, 100, 100, 100, confidence=0.95) == 0


def test_no_errors_give_what_the_number_of_runs_can_show():
    assert mu_bound(0, 1000, 0, 1000, confidence=0.95) == pytest.approx(-2 * stats.norm.ppf(1 - 0.025 ** (1 / 1000)))


def test_the_threshold_lies_between_what_it_separates():
    without, present = np.linspace(-1, 1, 1000), np.linspace(9, 11, 1000)
    assert best_threshold(without, present) == pytest.approx(5, abs=1)


def p_value_of_the_paper(m, r, v, epsilon, delta):
    """Appendix D of Steinke, Nasr, Jagielski 2023, term by term."""
    q = 1 / (1 + math.exp(-epsilon))
    beta = stats.binom.sf(v - 1, r, q)
    alpha, total = 0.0, 0.0
    for i in range(1, v + 1):
        total += stats.binom.pmf(v - i, r, q)
        alpha = max(alpha, total / i)
    return min(1.0, beta + 2 * m * delta * alpha)


@pytest.mark.parametrize("epsilon", [0.0, 0.5, 2.0, 8.0])
@pytest.mark.parametrize("delta", [0.0, 1e-5, 1e-2])
@pytest.mark.parametrize(("m", "r", "v"), [(1000, 100, 92), (1000, 1000, 600), (20, 10, 10), (5, 5, 1), (5, 3, 0)])
def test_the_p_value_is_that_of_the_paper(m, r, v, epsilon, delta):
    expected = p_value_of_the_paper(m, r, v, epsilon, delta)
    assert one_run_p_value(m, r, v, epsilon, delta) == pytest.approx(expected, rel=1e-9, abs=1e-300)


def test_ten_right_of_ten_are_five_percent_likely_at_the_tenth_root():
    root = 0.05**0.1
    found = one_run_epsilon(10, 10, 10, delta=1e-300, confidence=0.95)
    assert found == pytest.approx(math.log(root / (1 - root)), rel=1e-9)


def test_a_larger_delta_lowers_the_bound():
    bounds = [one_run_epsilon(1000, 100, 95, delta=delta, confidence=0.95) for delta in (1e-9, 1e-5, 1e-4, 1e-2)]
    assert bounds == sorted(bounds, reverse=True)
    assert bounds[0] > bounds[2] > bounds[3] == 0


def test_guesses_no_better_than_chance_give_no_epsilon():
    assert one_run_epsilon(1000, 100, 50, delta=1e-5, confidence=0.95) == 0


def test_more_right_guesses_than_guesses_are_refused():
    with pytest.raises(ConfigError, match="11 right of 10 guesses"):
        one_run_p_value(20, 10, 11, 1.0, 0.0)


def test_a_delta_of_zero_or_one_is_refused():
    for delta in (0.0, 1.0):
        with pytest.raises(UnsafePlanError, match="delta"):
            one_run_epsilon(20, 10, 10, delta=delta, confidence=0.95)


def test_the_ends_are_guessed_and_the_middle_is_not():
    scores = np.array([-0.2, 1.9, 0.45, 1.1, 0.6, 0.1])
    included = np.array([False, True, True, True, False, True])
    assert [right_guesses(scores, included, guesses) for guesses in range(7)] == [0, 1, 2, 3, 3, 3, 3]


def test_the_number_of_guesses_follows_from_the_claim_alone():
    few, many = (guesses_for(1000, mu, delta=1e-5, confidence=0.95) for mu in (1.0, 6.0))
    assert 20 <= few < many <= 1000
    assert guesses_for(1, 1.0, delta=1e-5, confidence=0.95) == 1
