"""The samplers against vectors that the slow reference made, and against the reference itself where draws are rejected."""

import json
from fractions import Fraction

import pytest

from securefl.crypto.seeded import SeededRandom
from securefl.dp.samplers import discrete_gaussian, discrete_laplace, skellam
from unit.dp import samplers_reference as reference

SAMPLERS = {"gaussian": discrete_gaussian, "laplace": discrete_laplace, "skellam": skellam}
ROWS = json.loads(reference.FILE.read_text(encoding="utf-8"))["positive"]


def test_the_file_is_what_the_reference_makes():
    assert reference.FILE.read_text(encoding="utf-8") == reference.text()


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row['distribution']}-{row['parameter']}")
def test_the_same_seed_gives_the_same_draws(row):
    source = SeededRandom(bytes.fromhex(row["seed"]))
    drawn = SAMPLERS[row["distribution"]](Fraction(row["parameter"]), len(row["draws"]), source)
    assert drawn.tolist() == row["draws"]


@pytest.mark.parametrize(
    ("name", "parameter", "count"), [("gaussian", 40_000, 1500), ("laplace", 64, 400), ("skellam", 16_384, 2000)]
)
def test_draws_of_which_some_are_rejected_are_those_of_the_reference(name, parameter, count):
    """Some 5 to 20 candidates are rejected on the way; a wrong decision shifts all draws that follow."""
    seed = bytes(range(32))
    assert SAMPLERS[name](parameter, count, SeededRandom(seed)).tolist() == reference.draw(
        name, Fraction(parameter), count, seed
    )
