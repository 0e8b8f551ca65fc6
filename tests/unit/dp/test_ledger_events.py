"""Events as JSON: one form each, nothing lost, nothing unknown taken."""

import math

import pytest

from securefl.dp.accounting import (
    CompensatedSkellam,
    Composed,
    DiscreteGaussianCentral,
    DistributedGaussian,
    DistributedSkellam,
    Event,
    FixedSizeSampled,
    GaussianRelease,
    PoissonSampled,
    Repeated,
)
from securefl.dp.ledger.event_json import KINDS, event_from_json, event_to_json, real, real_text
from securefl.errors import CryptoError, UnsafePlanError

EVENTS = [
    GaussianRelease(0.1 + 0.2),
    GaussianRelease(5e-324),
    GaussianRelease(math.nextafter(1.0, 2.0)),
    DiscreteGaussianCentral(2, 1e300),
    DistributedGaussian(3.5, 7.25, 1e4, 10, 2, threshold=7, dimension=2**17),
    DistributedSkellam(3.5, 7.25, 1 / 3, 10),
    CompensatedSkellam(3.5, 7.25, 1e4),
    Repeated(GaussianRelease(1.0), 1000),
    Composed((GaussianRelease(1.0), Repeated(CompensatedSkellam(3.5, 7.25, 1e4), 2))),
    PoissonSampled(GaussianRelease(1.1), 0.01),
    FixedSizeSampled(GaussianRelease(1.1), 10, 1000),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
def test_an_event_reads_back_as_it_was(event):
    data = event_to_json(event)
    assert event_from_json(data) == event
    assert event_to_json(event_from_json(data)) == data


def test_every_event_of_the_accounting_has_a_kind():
    def below(kind):
        return {kind, *(deeper for child in kind.__subclasses__() for deeper in below(child))}

    # By name: a dataclass with slots leaves a class without slots behind.
    ours = {kind.__name__ for kind in below(Event) if kind.__module__.startswith("securefl.")}
    assert {name for name in ours if not name.startswith("_")} - {"Event"} == {kind.__name__ for kind in KINDS.values()}


def test_the_text_of_an_event_is_frozen():
    assert event_to_json(PoissonSampled(GaussianRelease(1.1), 0.01)) == (
        b'{"kind":"poisson-sampled","event":{"kind":"gaussian","noise_multiplier":"1.1"},"q":"0.01"}'
    )
    assert event_to_json(DistributedGaussian(3, 9, 4.0, 5, 1, dimension=8)) == (
        b'{"kind":"distributed-discrete-gaussian","d2":"3.0","d1":"9.0","local_sigma2":"4.0","survivors":5,"colluders":1,'
        b'"threshold":null,"dimension":8}'
    )


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b'{"kind":"laplace","scale":"1.0"}', "unknown kind of event 'laplace'"),
        (b'{"kind":["gaussian"]}', "unknown kind"),
        (b"7", "unknown kind"),
        (b"{", "no event"),
        (b"\xff", "no event"),
        (b'{"kind":"gaussian","noise_multiplier":1.0}', "is no number as a ledger writes it"),
        (b'{"kind":"gaussian","noise_multiplier":"1"}', "is no number as"),
        (b'{"kind":"gaussian","noise_multiplier":"1_0.0"}', "is no number as"),
        (b'{"kind":"gaussian","noise_multiplier":"nan"}', "is no number as"),
        (b'{"kind":"gaussian","noise_multiplier":"-1.0"}', "impossible"),
        (b'{"kind":"gaussian","noise_multiplier":"1.0" }', "not in the form"),
        (b'{"kind":"gaussian","noise_multiplier":"1.0","more":1}', "has the fields"),
        (b'{"noise_multiplier":"1.0","kind":"gaussian"}', "has the fields"),
        (b'{"kind":"repeated","event":{"kind":"gaussian","noise_multiplier":"1.0"},"count":2.0}', "impossible"),
        (b'{"kind":"repeated","event":{"kind":"gaussian","noise_multiplier":"1.0"},"count":true}', "impossible"),
        (b'{"kind":"composed","events":{}}', "is a list"),
        (b'{"kind":"composed","events":[]}', "impossible"),
        (
            b'{"kind":"fixed-size-sampled","event":{"kind":"gaussian","noise_multiplier":"1.0"},"sample_size":1,"population":"9"}',
            "impossible",
        ),
    ],
)
def test_what_is_no_event_is_refused(data, said):
    with pytest.raises(CryptoError, match=said):
        event_from_json(data)


def test_events_of_other_kinds_or_too_deep_are_refused():
    class Mine(GaussianRelease):
        pass

    deep = GaussianRelease(1.0)
    for _ in range(16):
        deep = Repeated(deep, 1)
    for event in (Mine(1.0), Event(), deep):
        with pytest.raises(UnsafePlanError, match="no ledger can hold"):
            event_to_json(event)
    nested = b'{"kind":"repeated","event":' * 5000
    with pytest.raises(CryptoError):
        event_from_json(nested)


def test_numbers_that_would_be_lost_are_refused():
    for value in (math.inf, math.nan, 2**53 + 1, "1.0"):
        with pytest.raises(UnsafePlanError, match="without loss"):
            real_text(value)
    with pytest.raises(UnsafePlanError, match="cannot be recorded"):
        event_to_json(Repeated(GaussianRelease(1.0), 1 << 63))
    assert real(real_text(0.1)) == 0.1
