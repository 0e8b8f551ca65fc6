from __future__ import annotations

import random

import gmpy2
import pytest

from securefl.errors import CryptoError
from securefl.paillier import Encryptor
from securefl.paillier.threshold import safe_primes, safe_private_key
from securefl.paillier.threshold.safe_primes import _Candidates, is_safe_prime, safe_prime_pair


class Repeatable:
    def __init__(self, seed):
        self.state = random.Random(seed)

    def below(self, bound):
        return self.state.randrange(bound)


@pytest.mark.parametrize("bits", [256, 400, 512])
def test_the_primes_are_safe_and_fill_their_bits(bits):
    p, q = safe_private_key(bits, insecure_size_for_tests=True).primes
    for prime in (p, q):
        assert gmpy2.is_prime(prime)
        assert gmpy2.is_prime((prime - 1) // 2)
        assert prime.bit_length() == bits // 2
    assert (p * q).bit_length() == bits
    assert p < q


def test_keys_of_safe_primes_serve_every_randomness():
    key = safe_private_key(512, insecure_size_for_tests=True)
    for mode in ("standard", "djn", "short"):
        assert key.decrypt(Encryptor(key.public_key, mode, window=4).encrypt([-3])) == [-3]


@pytest.mark.parametrize("bits", [0, 512, 2032, 3080])
def test_small_and_odd_sizes_are_refused(bits):
    with pytest.raises(CryptoError, match=f"{bits} bits, needs a multiple of 16 in 2048"):
        safe_private_key(bits)


def test_safe_primes_are_told_from_others():
    safe = [p for p in range(2000) if is_safe_prime(p)]
    assert safe[:12] == [7, 11, 23, 47, 59, 83, 107, 167, 179, 227, 263, 347]
    assert all(gmpy2.is_prime(p) and gmpy2.is_prime(p // 2) for p in safe)
    assert len(safe) == sum(gmpy2.is_prime(p) and p % 4 == 3 and gmpy2.is_prime(p // 2) for p in range(2000))


def test_candidates_are_all_admissible_numbers_and_each_comes_once(monkeypatch):
    """Every choice that can be drawn, for primes of 16 bits and sieving by 2, 3, 5 and 7."""
    monkeypatch.setattr(safe_primes, "_FREE_BITS", 4)
    candidates = _Candidates(16)
    assert candidates._modulus == 2 * 3 * 5 * 7

    class Script:
        def __init__(self, *draws):
            self.draws = list(draws)

        def below(self, bound):
            assert self.draws[0] < bound
            return self.draws.pop(0)

    drawn = [
        candidates.draw(Script(choice, block))
        for choice in range(candidates._choices)
        for block in range(candidates._blocks)
    ]
    start, end = candidates._start, candidates._start + candidates._blocks * 210
    assert start >= 3 << 13
    assert end <= 1 << 15
    admissible = {2 * h + 1 for h in range(start, end) if gmpy2.gcd(h * (2 * h + 1), 210) == 1}
    assert set(drawn) == admissible
    assert len(drawn) == len(admissible)


def test_close_primes_are_not_taken():
    """A source that starts over when the first prime is found gives the same prime again."""
    source = Repeatable(1)
    told = []

    def progress(found, tried):
        if found == 1 and not told:
            source.state.seed(1)
        told.append((found, tried))

    p, q = safe_prime_pair(256, source, progress=progress)
    assert q - p >= 1 << 28
    first = next(tried for found, tried in told if found == 1)
    assert told[-1][0] == 2
    assert told[-1][1] > 2 * first


def test_progress_is_told_every_64_candidates():
    told = []
    safe_prime_pair(512, Repeatable(3), progress=lambda *now: told.append(now))
    found = [next(tried for count, tried in told if count == n) for n in (1, 2)]
    assert {tried for _, tried in told} == {*range(64, found[1] + 1, 64), *found}
    assert told == sorted(told)
