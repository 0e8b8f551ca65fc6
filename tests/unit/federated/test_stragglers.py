from __future__ import annotations

import pytest

from securefl.errors import ConfigError
from securefl.federated.stragglers import StragglerSchedule, Work, dropped

PARTIES = [f"party-{i}" for i in range(10)]


def test_without_stragglers_everybody_does_all_of_it_even_a_single_epoch():
    works = StragglerSchedule().for_round(1, PARTIES, 1)
    assert set(works.values()) == {Work(1, 1)}
    assert dropped(works) == {}


def test_the_share_is_read_as_written():
    hundred = [str(i) for i in range(100)]
    works = StragglerSchedule(missing=0.29).for_round(1, hundred, 5)
    assert len(dropped(works)) == 29


def test_all_may_be_slow_and_shares_may_add_up_to_everybody():
    works = StragglerSchedule(partial=0.7, missing=0.3).for_round(1, PARTIES, 2)
    assert sorted(work.epochs for work in works.values()) == [0] * 3 + [1] * 7
    assert {work.fraction for work in works.values()} == {0.0, 0.5}


@pytest.mark.parametrize(
    ("request_", "complaint"),
    [
        (lambda: StragglerSchedule(partial=1.1), "partial: got 1.1"),
        (lambda: StragglerSchedule(missing=-0.1), "missing: got -0.1"),
        (lambda: StragglerSchedule(partial="half"), "partial: got 'half'"),
        (lambda: StragglerSchedule(partial=0.6, missing=0.5), r"got 0.6 and 0.5.*Remedy: use missing=0.4"),
        (lambda: StragglerSchedule(seed=-1), "seed: got -1"),
        (lambda: StragglerSchedule(0.5).for_round(1, PARTIES, 1), "epochs: got 1, needs at least 2"),
        (lambda: StragglerSchedule().for_round(1, PARTIES, 0), "epochs: got 0"),
        (lambda: StragglerSchedule().for_round(-1, PARTIES, 3), "round: got -1"),
    ],
)
def test_arguments_out_of_range_are_refused(request_, complaint):
    with pytest.raises(ConfigError, match=complaint):
        request_()
