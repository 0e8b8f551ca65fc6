"""The (k, t) finder against every cell of the published table."""

import math

import pytest

from securefl.errors import UnsafePlanError
from securefl.secagg.k_regular import choose_degree

TABLE = {
    (100, 0.05, 0.05): (12, 6),
    (100, 0.1, 0.1): (22, 11),
    (100, 0.2, 0.1): (32, 21),
    (1_000, 0.05, 0.05): (34, 18),
    (1_000, 0.1, 0.1): (52, 28),
    (1_000, 0.2, 0.1): (76, 47),
    (10_000, 0.05, 0.05): (38, 21),
    (10_000, 0.1, 0.1): (60, 32),
    (10_000, 0.2, 0.1): (90, 55),
    (100_000, 0.05, 0.05): (40, 22),
    (100_000, 0.1, 0.1): (66, 35),
    (100_000, 0.2, 0.1): (98, 59),
}


@pytest.mark.parametrize(("case", "expected"), TABLE.items())
def test_finder_gives_every_cell_of_the_table(case, expected):
    parties, corrupted, dropped = case
    degree = choose_degree(parties, math.floor(corrupted * parties), math.floor(dropped * parties))
    assert (degree.neighbours, degree.threshold) == expected


def test_infeasible_parameters_are_refused_by_name():
    with pytest.raises(UnsafePlanError, match="no k-regular graph on 10 parties"):
        choose_degree(10, 5, 4)
