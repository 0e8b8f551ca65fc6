"""What a sample is worth to privacy, and what samplers refuse."""

from __future__ import annotations

import math

import pytest

from securefl.crypto import random as crypto_random
from securefl.dp.accounting import (
    CompensatedSkellam,
    DiscreteGaussianCentral,
    DistributedSkellam,
    GaussianRelease,
    PoissonSampled,
    Relation,
    Repeated,
    Unit,
    guarantees,
)
from securefl.errors import ConfigError, UnsafePlanError
from securefl.federated import sampling
from securefl.federated.sampling import Everybody, FixedSize, Poisson

XNOISE = CompensatedSkellam(d2=100.0, d1=1000.0, variance=1e6)
CENTRAL = DiscreteGaussianCentral(d2=100.0, sigma2=1e4)
SHARES = DistributedSkellam(d2=100.0, d1=1000.0, local_sigma2=1e5, survivors=10)
PARTIES = ["a", "b", "c"]


@pytest.mark.parametrize("release", [GaussianRelease(1.0), CENTRAL, XNOISE, SHARES])
@pytest.mark.parametrize("sampler", [Everybody(), FixedSize(2), Poisson(0.1), Poisson(1.0)])
def test_by_default_no_sampler_amplifies_anything(sampler, release):
    assert sampler.event(release) is release


@pytest.mark.parametrize("release", [GaussianRelease(1.0), CENTRAL, XNOISE])
def test_a_secret_poisson_sample_is_accounted_as_one(release):
    assert Poisson(0.1, secret=True).event(release) == PoissonSampled(release, 0.1)
    assert Poisson(1.0, secret=True).event(release) is release


def test_a_secret_sample_is_refused_where_the_noise_tells_who_took_part():
    with pytest.raises(UnsafePlanError, match="variance tells who took part"):
        Poisson(0.1, secret=True).event(SHARES)


def against(sampler, release, **hidden):
    pytest.importorskip("dp_accounting")
    event = Repeated(sampler.event(release), 10)
    server, observer = guarantees(
        event,
        delta=1e-5,
        relation=Relation.ZERO_OUT,
        unit=Unit.PARTY,
        rounds=10,
        sampler=str(sampler),
        **hidden,
    )
    return server.epsilon, observer.epsilon


def test_only_an_observer_from_whom_the_cohort_is_hidden_is_told_less_by_a_secret_sample():
    full = against(Everybody(), XNOISE)
    assert full[0] == full[1]
    for sampler in (FixedSize(2), Poisson(0.05)):
        assert against(sampler, XNOISE, cohort_hidden=True) == full
    secret = Poisson(0.05, secret=True)
    assert against(secret, XNOISE) == full
    server, observer = against(secret, XNOISE, cohort_hidden=True)
    assert server == full[0]
    assert observer < full[1] / 2


def test_a_secret_sample_asks_the_system_for_its_lots_and_rounds_the_rate_down(monkeypatch):
    class Counter:
        def __init__(self, lots):
            self.lots, self.bounds = list(lots), []

        def below(self, bound):
            self.bounds.append(bound)
            return self.lots.pop(0)

    rate = 0.3
    limit = math.floor(rate * 2**64)
    system = Counter([limit - 1, limit, 0])
    monkeypatch.setattr(sampling, "OS", system)
    assert Poisson(rate, secret=True).for_round(0, 1, PARTIES) == ("a", "c")
    assert system.bounds == [2**64] * 3
    assert isinstance(crypto_random.OS, crypto_random.SystemRandom)


def test_a_sample_without_a_secret_leaves_the_system_s_entropy_alone(monkeypatch):
    monkeypatch.setattr(sampling, "OS", None)
    assert set(Poisson(0.5).for_round(0, 1, PARTIES)) <= set(PARTIES)


def test_samplers_name_themselves_for_a_guarantee_and_say_when_they_amplify_nothing():
    texts = [str(sampler) for sampler in (Everybody(), FixedSize(3), Poisson(0.1), Poisson(0.1, secret=True))]
    assert texts == ["none", "3 parties, not amplified", "Poisson, rate 0.1, not amplified", "Poisson, rate 0.1"]


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (lambda: FixedSize(0), "size: got 0"),
        (lambda: FixedSize(2.0), "size: got 2.0"),
        (lambda: FixedSize(4).for_round(0, 1, PARTIES), r"size: got 4, needs at most 3.*Remedy: use FixedSize\(3\)"),
        (lambda: Poisson(0.0), "rate: got 0.0"),
        (lambda: Poisson(1.5), "rate: got 1.5"),
        (lambda: Poisson(math.nan), "rate: got nan"),
        (lambda: Poisson("0.1"), "rate: got '0.1'"),
        (lambda: Poisson(0.1).for_round(-1, 1, PARTIES), "seed: got -1"),
        (lambda: Poisson(0.1).for_round(0, -1, PARTIES), "round: got -1"),
        (lambda: Poisson(0.1, secret=True).for_round(0, 1.5, PARTIES), "round: got 1.5"),
        (lambda: Everybody().for_round(0, 1, []), "parties: got none"),
        (lambda: Everybody().for_round(0, 1, "abc"), "parties: got the text 'abc'"),
        (lambda: FixedSize(1).for_round(0, 1, ["a", "b", "a"]), "parties: got 'a' more than once"),
    ],
)
def test_arguments_out_of_range_are_refused(request_, complaint):
    with pytest.raises(ConfigError, match=complaint):
        request_()
