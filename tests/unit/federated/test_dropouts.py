from __future__ import annotations

import pytest

from securefl.errors import ConfigError
from securefl.federated import DropoutSchedule, counted
from securefl.types import Step

PARTIES = [f"party-{i}" for i in range(100)]


@pytest.mark.parametrize(("fraction", "count"), [(0.0, 0), (0.009, 0), (0.1, 10), (0.29, 29), (0.999, 99)])
def test_floor_of_the_fraction_as_written_drops(fraction, count):
    assert len(DropoutSchedule(fraction).for_round(1, PARTIES)) == count


def test_rounds_and_seeds_drop_different_parties():
    schedule = DropoutSchedule(0.1)
    assert schedule.for_round(1, PARTIES).keys() != schedule.for_round(2, PARTIES).keys()
    assert schedule.for_round(1, PARTIES).keys() != DropoutSchedule(0.1, seed=1).for_round(1, PARTIES).keys()


def test_who_drops_after_the_masked_input_is_still_in_the_sum():
    dropped = dict(zip("abcde", Step, strict=True))
    assert counted(dropped, "abcdef") == ("d", "e", "f")


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"fraction": 1.0}, "got 1.0"),
        ({"fraction": -0.1}, "got -0.1"),
        ({"steps": ()}, "steps: got none"),
        ({"seed": -1}, "seed: got -1"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, complaint):
    with pytest.raises(ConfigError, match=complaint):
        DropoutSchedule(**arguments)
