"""P-values: exact, and honest about models that know nothing."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from securefl.crypto.digest import digest
from securefl.crypto.seeded import SeededRandom
from securefl.errors import ConfigError, NonFiniteError
from securefl.federated import Perceptron, SoftmaxRegression
from securefl.federated.ownership import TriggerSet, Verification, binomial_tail, verify
from securefl.federated.ownership.verification import check_alpha, p_text

MODEL = SoftmaxRegression(6, 4)


def seeded(*name):
    return SeededRandom(digest("test", *name))


def params(seed=0):
    rng = np.random.default_rng(seed)
    return {"weight": rng.normal(size=(6, 4)).astype(np.float32), "bias": rng.normal(size=4).astype(np.float32)}


def agreeing(count):
    """A set of 30 of which the model answers `count` as drawn."""
    made = TriggerSet.generate((6,), 4, size=30, random=seeded("inputs"))
    answers = MODEL.predict(params(), made.x)
    labels = np.where(np.arange(30) < count, answers, (answers + 1) % 4)
    return TriggerSet(made.x, labels, 4)


def test_matches_are_counted():
    for count in (0, 7, 30):
        found = verify(MODEL, params(), agreeing(count))
        assert (found.matches, found.size, found.classes, found.generated) == (count, 30, 4, False)
        assert found.tail == binomial_tail(count, 30, 4)


def test_known_tails():
    assert binomial_tail(0, 5, 10) == 1
    assert binomial_tail(5, 5, 10) == Fraction(1, 10**5)
    assert binomial_tail(2, 3, 2) == Fraction(1, 2)
    assert binomial_tail(100, 100, 10) == Fraction(1, 10**100)


def test_the_tail_is_that_of_scipy():
    stats = pytest.importorskip("scipy.stats")
    for size, classes in ((20, 2), (100, 10), (400, 3)):
        for matches in range(0, size + 1, 7):
            ours = float(binomial_tail(matches, size, classes))
            assert ours == pytest.approx(stats.binom.sf(matches - 1, size, 1 / classes), rel=1e-9)


def test_logarithms_do_not_underflow():
    found = Verification(1000, 1000, 10)
    assert found.p_value == 0.0
    assert found.log10_p_value == pytest.approx(-1000)
    assert p_text(found) == "1.0e-1000"
    assert found.significant
    assert "1000 of 1000" in str(found)
    assert p_text(Verification(3, 20, 10)) == "0.32"
    assert "not significant" in str(Verification(3, 20, 10))


def test_significance_is_exact_at_the_edge():
    alpha = float(Fraction(1, 2**10))
    assert Verification(10, 10, 2, alpha).significant
    assert not Verification(10, 10, 2, math.nextafter(alpha, 0)).significant


@pytest.mark.parametrize("alpha", [0, 1, -1, float("nan"), True, "0.1", None])
def test_an_alpha_that_is_no_probability_is_refused(alpha):
    with pytest.raises(ConfigError, match="alpha"):
        verify(MODEL, params(), agreeing(5), alpha=alpha)


def test_too_few_triggers_to_ever_be_significant_are_refused_with_the_number_that_would_do():
    few = TriggerSet.generate((6,), 4, size=9, random=seeded())
    verify(MODEL, params(), few, alpha=4.0**-9)
    six = TriggerSet.generate((6,), 10, size=6, random=seeded())
    check_alpha(six, 1e-6)
    assert Verification(6, 6, 10, 1e-6).significant
    with pytest.raises(ConfigError, match="at least 7"):
        check_alpha(six, 0.9e-6)
    with pytest.raises(ConfigError, match=r"9 triggers of 4 classes.*at least 10"):
        verify(MODEL, params(), few, alpha=4.0**-10)


@pytest.mark.parametrize(
    ("model", "broken"),
    [
        (SoftmaxRegression(7, 4), params()),
        (MODEL, {}),
        (MODEL, {"weight": np.ones((3, 4), np.float32), "bias": np.ones(4, np.float32)}),
        (Perceptron(6, 4, (3,)), params()),
    ],
)
def test_a_model_that_cannot_answer_is_refused(model, broken):
    with pytest.raises(ConfigError, match="cannot answer triggers of shape"):
        verify(model, broken, agreeing(5))


@pytest.mark.parametrize("error", [RuntimeError, IndexError, TypeError, AttributeError])
def test_whatever_a_model_raises_is_one_clear_error(error):
    class Raises:
        def predict(self, params, x):
            raise error("as torch does")

    with pytest.raises(ConfigError, match=f"cannot answer triggers of shape.*{error.__name__}"):
        verify(Raises(), params(), agreeing(5))


@pytest.mark.parametrize(
    ("answers", "named"),
    [
        (np.ones((30, 4)), "dtype float64"),
        (np.ones(30), "dtype float64"),
        (np.ones(30, bool), "dtype bool"),
        (np.ones((30, 1), int), r"shape \(30, 1\)"),  # would be compared with all labels, 900 times
        (np.ones((), int), r"shape \(\)"),
        (np.ones(29, int), r"shape \(29,\)"),
    ],
)
def test_answers_of_the_wrong_kind_are_refused(answers, named):
    class Odd:
        def predict(self, params, x):
            return answers

    with pytest.raises(ConfigError, match=named):
        verify(Odd(), params(), agreeing(5))


def test_a_path_is_no_trigger_set():
    with pytest.raises(ConfigError, match=r"got a str, needs a TriggerSet.*load"):
        verify(MODEL, params(), "mine.triggers")


def test_a_model_with_nan_claims_nothing():
    broken = params()
    broken["bias"][1] = np.nan
    with pytest.raises(NonFiniteError, match="'bias'"):
        verify(MODEL, broken, agreeing(5))


@pytest.mark.parametrize(
    ("matches", "size", "classes"),
    [(-1, 5, 2), (6, 5, 2), (0, 0, 2), (1, 5, 1), (1.5, 5, 2), (math.nan, 5, 2), ("1", 5, 2), (1, 5, 2.0)],
)
def test_impossible_tails_are_refused(matches, size, classes):
    with pytest.raises(ConfigError):
        binomial_tail(matches, size, classes)


def test_integers_of_numpy_do_not_overflow():
    assert binomial_tail(np.int8(50), np.int8(100), np.int8(10)) == binomial_tail(50, 100, 10)
    assert Verification(np.int64(90), np.int64(100), np.int64(10)).tail == binomial_tail(90, 100, 10)


def test_two_digits_that_round_up_to_ten_are_one_of_the_next_power():
    assert p_text(Verification(243, 400, 2)) == "1.0e-5"
    for power in (5, 444, 447, 1100):
        assert p_text(Verification(power, power, 10)) == f"1.0e-{power}"


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        ("model.npz", "got a str, needs arrays by name"),
        (None, "got a NoneType"),
        ({"weight": np.array(["a"])}, "'weight' has dtype <U1, needs numbers"),
        ({"weight": np.array([{}], object)}, "dtype object"),
        ({"weight": np.ones((6, 4), complex)}, "dtype complex128"),
    ],
)
def test_what_are_no_parameters_is_refused(broken, named):
    with pytest.raises(ConfigError, match=named):
        verify(MODEL, broken, agreeing(5))


def test_labels_outside_the_triggers_classes_never_match():
    """A model of more classes than the set has can only answer fewer as drawn; one of fewer never gives the rest."""
    answers = np.array([7, 5, 4, 0, 1, -1])
    for labels, matches in ([0, 1, 2, 0, 1, 3], 2), ([3, 3, 3, 3, 3, 3], 0):
        made = TriggerSet(np.arange(6.0)[:, None], labels, 4)

        class Answers:
            def predict(self, params, x):
                return answers

        assert verify(Answers(), {}, made, alpha=0.5).matches == matches


@pytest.mark.statistical
@pytest.mark.heavy
def test_models_that_know_nothing_have_p_values_as_the_binomial_says():
    """700 sets of 20 against two models: for each m, the share of matches >= m is its exact tail.

    One of the models gives the same answer to all: labels are independent, so even this is binomial; balanced ones would not be.
    False alarm: below 2e-6 over two models and seven values of m, by Hoeffding's bound at 1e-7 each; seeds are fixed.
    """
    one = {"weight": np.zeros((6, 4), np.float32), "bias": np.array([0, 9, 0, 0], np.float32)}
    sets = [TriggerSet.generate((6,), 4, size=20, random=seeded("set", number)) for number in range(700)]
    allowed = math.sqrt(math.log(2 / 1e-7) / (2 * len(sets)))
    for fixed in (params(3), one):
        found = [verify(MODEL, fixed, each, alpha=0.05) for each in sets]
        for m in range(3, 10):
            assert abs(np.mean([each.matches >= m for each in found]) - float(binomial_tail(m, 20, 4))) <= allowed
        for level in (0.5, 0.2, 0.05):
            assert np.mean([each.p_value <= level for each in found]) <= level + allowed


@pytest.mark.statistical
def test_a_model_of_one_answer_has_the_binomials_matches():
    """150 sets of 20, in small: the mean of the matches within five of its standard deviations; balanced labels would have no spread."""
    one = {"weight": np.zeros((6, 4), np.float32), "bias": np.array([0, 9, 0, 0], np.float32)}
    sets = [TriggerSet.generate((6,), 4, size=20, random=seeded("quick", number)) for number in range(150)]
    matches = [verify(MODEL, one, each, alpha=0.05).matches for each in sets]
    assert abs(np.mean(matches) - 5) <= 5 * math.sqrt(20 * 3 / 16 / 150)
    assert 2 < np.var(matches) < 6  # 3.75 is due
