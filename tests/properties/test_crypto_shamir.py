from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.shamir import PRIME, LagrangeBasis, split
from securefl.errors import CryptoError

secrets_ = st.binary(min_size=32, max_size=32)
points_ = st.lists(st.integers(1, 500) | st.integers(1, PRIME - 1), min_size=1, max_size=9, unique=True)


class Coefficients:
    """A random source whose integers are given; highest degree first, as `split` draws them."""

    def __init__(self, values):
        self._values = iter(values)

    def below(self, bound):
        assert bound == PRIME
        return next(self._values)

    def token(self, size):
        raise NotImplementedError


def combine_or_none(points, shares):
    try:
        return LagrangeBasis(points).combine(shares)
    except CryptoError:
        return None


@given(secrets_, points_, st.data())
def test_any_t_of_n_shares_recover_the_secret(secret, points, data):
    threshold = data.draw(st.integers(1, len(points)))
    shares = split(secret, threshold=threshold, points=points)
    chosen = data.draw(st.permutations(points))[:threshold]
    assert LagrangeBasis(chosen).combine([shares[x] for x in chosen]) == secret


@given(secrets_, points_, st.data())
def test_more_shares_than_t_recover_the_same_secret(secret, points, data):
    shares = split(secret, threshold=data.draw(st.integers(1, len(points))), points=points)
    assert LagrangeBasis(points).combine([shares[x] for x in points]) == secret


@given(secrets_, secrets_, points_, st.data())
def test_t_minus_1_shares_are_consistent_with_every_secret(secret, other, points, data):
    """For every other secret there is exactly one choice of coefficients under which t - 1 holders see the same."""
    threshold = data.draw(st.integers(1, len(points)))
    seen = points[: threshold - 1]
    field = st.integers(0, PRIME - 1)
    coefficients = data.draw(st.lists(field, min_size=threshold - 1, max_size=threshold - 1))
    # (other - secret) * prod_j (1 - x / x_j) vanishes at every point seen; lowest degree first.
    shift = [int.from_bytes(other, "big") - int.from_bytes(secret, "big")]
    for x in seen:
        inverse = pow(x, -1, PRIME)
        shift = [(low - high * inverse) % PRIME for low, high in zip([*shift, 0], [0, *shift], strict=True)]
    moved = [(c + s) % PRIME for c, s in zip(coefficients, reversed(shift[1:]), strict=True)]

    ours = split(secret, threshold=threshold, points=points, random=Coefficients(coefficients))
    theirs = split(other, threshold=threshold, points=points, random=Coefficients(moved))
    assert [ours[x] for x in seen] == [theirs[x] for x in seen]
    full = points[:threshold]
    assert LagrangeBasis(full).combine([theirs[x] for x in full]) == other


@given(secrets_, points_, st.data())
def test_a_corrupted_share_changes_the_secret(secret, points, data):
    threshold = data.draw(st.integers(1, len(points)))
    shares = split(secret, threshold=threshold, points=points)
    chosen = points[:threshold]
    victim = data.draw(st.sampled_from(chosen))
    error = data.draw(st.integers(1, PRIME - 1))
    shares[victim] = ((int.from_bytes(shares[victim], "big") + error) % PRIME).to_bytes(33, "big")
    assert combine_or_none(chosen, [shares[x] for x in chosen]) != secret


@given(secrets_, points_.filter(lambda p: len(p) > 1), st.data())
def test_replacing_a_point_equals_building_anew(secret, points, data):
    *kept, new = points
    old = data.draw(st.sampled_from(kept))
    replaced = LagrangeBasis(kept).replace(old, new)
    anew = LagrangeBasis([new if x == old else x for x in kept])
    assert replaced.points == anew.points
    assert replaced._weights == anew._weights
    shares = split(secret, threshold=len(kept), points=points)
    assert replaced.combine([shares[x] for x in replaced.points]) == secret
