from __future__ import annotations

import itertools

import pytest

from securefl.crypto import shamir
from securefl.crypto.shamir import PRIME, LagrangeBasis, split
from securefl.errors import CryptoError

SECRET = bytes(range(32))
POINTS = [1, 2, 3, 5, 8]


def is_probable_prime(n: int, bases: range) -> bool:
    """Miller-Rabin (FIPS 186-5, appendix B.3.1); a composite passes one random base with probability 1/4 at most."""
    odd, twos = n - 1, 0
    while odd % 2 == 0:
        odd, twos = odd // 2, twos + 1
    for base in bases:
        x = pow(base, odd, n)
        if x not in {1, n - 1} and all((x := x * x % n) != n - 1 for _ in range(twos - 1)):
            return False
    return True


def test_the_modulus_is_the_least_prime_above_2_256():
    assert PRIME == 2**256 + 297
    assert is_probable_prime(PRIME, range(2, 66))
    assert not any(is_probable_prime(2**256 + i, range(2, 4)) for i in range(1, 297))


def test_known_polynomial(scripted):
    # f(x) = 7 x^2 + 5 x + 3, by hand.
    source = scripted(integers=[7, 5])
    shares = split((3).to_bytes(32, "big"), threshold=3, points=[1, 2, 10], random=source)
    assert {x: int.from_bytes(share, "big") for x, share in shares.items()} == {1: 15, 2: 41, 10: 753}
    assert {len(share) for share in shares.values()} == {shamir.SHARE_BYTES}


def test_coefficients_are_drawn_from_the_whole_field(scripted):
    source = scripted(integers=[0, PRIME - 1, 0])
    shares = split(SECRET, threshold=4, points=POINTS, random=source)
    assert source.bounds == [PRIME] * 3
    basis = LagrangeBasis(POINTS[:4])
    assert basis.combine([shares[x] for x in basis.points]) == SECRET


def test_any_t_of_n_recover():
    shares = split(SECRET, threshold=3, points=POINTS)
    for chosen in itertools.permutations(POINTS, 3):
        assert LagrangeBasis(chosen).combine([shares[x] for x in chosen]) == SECRET


def test_two_splits_of_one_secret_differ():
    assert split(SECRET, threshold=2, points=[1, 2]) != split(SECRET, threshold=2, points=[1, 2])


def test_fewer_than_t_shares_give_something_else():
    shares = split(SECRET, threshold=3, points=POINTS)
    # False-alarm rate about 2^-256; a value of 2^256 or more, as rare, would raise instead.
    assert LagrangeBasis([1, 2]).combine([shares[1], shares[2]]) != SECRET


@pytest.mark.parametrize("threshold", [-1, 0, 6])
def test_a_threshold_outside_the_number_of_shares_is_refused(threshold):
    with pytest.raises(CryptoError, match=r"needs 1\.\.5"):
        split(SECRET, threshold=threshold, points=POINTS)


@pytest.mark.parametrize("size", [0, 31, 33])
def test_a_secret_of_the_wrong_size_is_refused(size):
    with pytest.raises(CryptoError, match="needs 32"):
        split(bytes(size), threshold=1, points=[1])


@pytest.mark.parametrize(
    ("points", "message"),
    [([1, 0], "secret itself"), ([1, PRIME], "secret itself"), ([-1, 1], "secret itself"), ([2, 3, 2], "twice")],
)
def test_zero_and_duplicate_points_are_refused(points, message):
    with pytest.raises(CryptoError, match=message):
        split(SECRET, threshold=1, points=points)
    with pytest.raises(CryptoError, match=message):
        LagrangeBasis(points)


def test_a_basis_needs_a_point():
    with pytest.raises(CryptoError, match="at least one"):
        LagrangeBasis([])


def test_the_number_of_shares_must_be_that_of_the_points():
    shares = split(SECRET, threshold=2, points=POINTS)
    for count in (1, 3):
        with pytest.raises(CryptoError, match="2 points"):
            LagrangeBasis([1, 2]).combine([shares[x] for x in POINTS[:count]])


@pytest.mark.parametrize("share", [b"", bytes(32), bytes(34)])
def test_a_share_of_the_wrong_size_is_refused(share):
    with pytest.raises(CryptoError, match="point 7 has"):
        LagrangeBasis([7]).combine([share])


@pytest.mark.parametrize("value", [PRIME, PRIME + 1, 2**264 - 1])
def test_a_share_that_is_no_field_element_is_refused(value):
    with pytest.raises(CryptoError, match="no field element"):
        LagrangeBasis([7]).combine([value.to_bytes(33, "big")])


@pytest.mark.parametrize("value", [2**256, PRIME - 1])
def test_a_rebuilt_value_of_2_256_or_more_is_refused(value):
    with pytest.raises(CryptoError, match=r"2\^256 or more"):
        LagrangeBasis([7]).combine([value.to_bytes(33, "big")])


def test_the_largest_secret_is_rebuilt():
    assert LagrangeBasis([7]).combine([(2**256 - 1).to_bytes(33, "big")]) == b"\xff" * 32


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [(9, 4, "not in"), (1, 2, "already"), (1, 1, "already"), (1, 0, "secret itself"), (1, PRIME + 2, "secret itself")],
)
def test_impossible_replacements_are_refused(old, new, message):
    with pytest.raises(CryptoError, match=message):
        LagrangeBasis([1, 2, 3]).replace(old, new)


def test_a_basis_takes_one_inversion(monkeypatch):
    inversions = []

    def counting(base, exponent, modulus):
        inversions.append(exponent)
        return pow(base, exponent, modulus)

    monkeypatch.setattr(shamir, "pow", counting, raising=False)
    basis = LagrangeBasis(range(1, 64))
    assert inversions == [-1]
    basis.replace(5, 100)
    assert inversions == [-1, -1]


@pytest.mark.parametrize("threshold", [31, 32, 33, 64, 65, 100])
def test_polynomials_longer_than_the_steps_between_reductions(threshold, scripted):
    coefficients = [PRIME - 1 - i for i in range(threshold - 1)]
    points = [*range(1, threshold + 1), 65536, PRIME - 1]
    shares = split(SECRET, threshold=threshold, points=points, random=scripted(integers=coefficients))
    ascending = [int.from_bytes(SECRET, "big"), *reversed(coefficients)]
    assert {x: int.from_bytes(share, "big") for x, share in shares.items()} == {
        x: sum(a * pow(x, i, PRIME) for i, a in enumerate(ascending)) % PRIME for x in points
    }
    chosen = points[-threshold:]
    assert LagrangeBasis(chosen).combine([shares[x] for x in chosen]) == SECRET
