from __future__ import annotations

import copy
import math
import pickle

import gmpy2
import pytest

from securefl.crypto.password import open_with_password, seal_with_password
from securefl.errors import CryptoError, SecretMisuseError
from securefl.paillier import Ciphertexts, PrivateKey, PublicKey, SmallKeyWarning

TEST = {"insecure_size_for_tests": True}
P, Q = 2**127 - 1, 2**128 - 159  # primes, 127 and 128 bits


def from_modulus(n, **kwargs):
    return PublicKey(n, **TEST, **kwargs)


def test_the_primes_are_as_djn_needs_them(key):
    p, q = key.primes
    assert p % 4 == q % 4 == 3
    assert math.gcd(p - 1, q - 1) == 2
    assert p < q
    assert p.bit_length() == q.bit_length() == 256
    assert (p * q).bit_length() == key.public_key.bits == 512
    assert key.public_key.n == p * q
    assert key.public_key.blum


def test_close_primes_are_not_taken():
    class Script:
        """Gives two candidates that are 8 apart again and again, and at last a distant one."""

        def __init__(self):
            base = (1 << 254) + (1 << 130)
            primes = [c for c in range(base | 3, base + 40_000, 4) if pow(3, (3 << 254 | c) - 1, 3 << 254 | c) == 1]
            self.draws = [primes[0], *primes[1:4], (1 << 250) + 12_345]
            self.asked = 0

        def token(self, size):
            draw = self.draws[min(self.asked, len(self.draws) - 1)]
            if self.asked >= len(self.draws):
                draw += 4 * (self.asked - len(self.draws))
            self.asked += 1
            return (draw & ((1 << 256) - 1)).to_bytes(size, "big")

    p, q = PrivateKey.generate(512, random=Script(), **TEST).primes
    assert q - p >= 1 << 156


def test_default_size_is_3072_without_a_warning():
    assert PrivateKey.generate().public_key.bits == 3072


def test_2048_bits_warn():
    with pytest.warns(SmallKeyWarning, match="less than 128 bits of security"):
        PrivateKey.generate(2048)


@pytest.mark.parametrize("bits", [0, 512, 1024, 2032, 2049, 3080, 16400])
def test_other_sizes_are_refused(bits):
    with pytest.raises(CryptoError, match=rf"{bits} bits, needs a multiple of 16 in 2048"):
        PrivateKey.generate(bits)


def test_a_small_modulus_is_refused_where_it_is_received(key):
    data = key.public_key.to_bytes()
    with pytest.raises(CryptoError, match="512 bits, needs"):
        PublicKey.from_bytes(data)
    with pytest.raises(CryptoError, match="512 bits, needs"):
        PublicKey(key.public_key.max_plaintext * 2 + 1)
    p, q = key.primes
    with pytest.raises(CryptoError, match="512 bits, needs"):
        PrivateKey(p, q)


def test_moduli_that_are_no_keys_are_refused(key):
    p, q = key.primes
    with pytest.raises(CryptoError, match="even"):
        from_modulus(p * q - 1)
    with pytest.raises(CryptoError, match="prime or a perfect power"):
        from_modulus(_prime_of_512_bits())
    with pytest.raises(CryptoError, match="prime or a perfect power"):
        from_modulus(q * q)
    small = 65_521
    rest = (1 << 511) // small | 1
    with pytest.raises(CryptoError, match="factor below"):
        from_modulus(small * (rest + 2))


def _prime_of_512_bits():
    candidate = (1 << 511) + 1
    while pow(3, candidate - 1, candidate) != 1:
        candidate += 2
    return candidate


def test_private_keys_are_checked(key):
    p, q = key.primes
    with pytest.raises(CryptoError, match="two different primes"):
        PrivateKey(p, p, **TEST)
    with pytest.raises(CryptoError, match="two different primes"):
        PrivateKey(p, q + 1, **TEST)  # even: q + 2 is a prime now and then
    with pytest.raises(CryptoError, match="two different primes"):
        PrivateKey(P, Q, **TEST)
    one = next(c for c in range((3 << 254) + 1, 1 << 256, 4) if pow(3, c - 1, c) == 1)
    with pytest.raises(CryptoError, match="not 3 modulo 4"):
        PrivateKey(one, q, **TEST)
    assert not PrivateKey(one, q, blum=False, **TEST).public_key.blum


def test_public_bytes_come_back(key):
    public = key.public_key
    again = PublicKey.from_bytes(public.to_bytes(), **TEST)
    assert again == public
    assert hash(again) == hash(public)
    assert again.key_id == public.key_id
    assert again.fingerprint == public.fingerprint
    assert len(public.key_id) == 32
    assert len(public.fingerprint.split()) == 8


def test_what_the_maker_says_of_the_primes_is_part_of_the_id(key):
    generic = PublicKey(int(key.public_key.n), **TEST)
    assert generic.key_id != key.public_key.key_id
    assert generic != key.public_key


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda d: b"", "no Paillier public key"),
        (lambda d: b"x" + d[1:], "no Paillier public key"),
        (lambda d: d[:24] + b"\2" + d[25:], "version 2"),
        (lambda d: d[:25] + b"\2" + d[26:], "kind 2"),
        (lambda d: d + b"\0", "bytes, came"),
        (lambda d: d[:-1], "bytes, came"),
        (lambda d: d[:28] + bytes([d[28] & 0x7F]) + d[29:], "511 bits|bits where 512"),
        (lambda d: d[:26] + (65520).to_bytes(2, "big") + d[28:], "65520 bits"),
    ],
)
def test_altered_public_bytes_are_refused(key, change, match):
    with pytest.raises(CryptoError, match=match):
        PublicKey.from_bytes(change(key.public_key.to_bytes()), **TEST)


def test_a_shorter_modulus_under_a_longer_header_is_not_canonical(key):
    short = PrivateKey.generate(496, **TEST).public_key.to_bytes()
    padded = short[:26] + (512).to_bytes(2, "big") + bytes(2) + short[28:]
    assert len(padded) == len(key.public_key.to_bytes())
    with pytest.raises(CryptoError, match="496 bits where 512"):
        PublicKey.from_bytes(padded, **TEST)


def test_sealed_private_keys_come_back_and_keep_their_secret(key, encryptor):
    data = key.to_bytes("correct horse")
    p, q = key.primes
    assert p.to_bytes(32, "big") not in data
    assert q.to_bytes(32, "big") not in data
    again = PrivateKey.from_bytes(data, "correct horse", **TEST)
    assert again.primes == key.primes
    assert again.public_key == key.public_key
    assert again.decrypt(encryptor.encrypt([-5])) == [-5]
    with pytest.raises(CryptoError, match="wrong password"):
        PrivateKey.from_bytes(data, "wrong", **TEST)
    with pytest.raises(CryptoError, match="wrong password"):
        PrivateKey.from_bytes(data[:-1] + bytes([data[-1] ^ 1]), "correct horse", **TEST)
    with pytest.raises(CryptoError, match="password is empty"):
        key.to_bytes("")


def test_sealed_for_something_else_or_of_another_version_is_refused(key):
    purpose = b"securefl paillier private key"
    with pytest.raises(CryptoError, match="another purpose"):
        PrivateKey.from_bytes(seal_with_password(b"x", "pw", purpose=b"snapshot"), "pw", **TEST)
    plain = open_with_password(key.to_bytes("pw"), "pw", purpose=purpose)
    for bad, match in (
        (b"", "no Paillier private key"),
        (plain[:28], "no Paillier private key"),
        (bytes(len(plain)), "no Paillier private key"),
        (plain[:25] + b"\2" + plain[26:], "version 2"),
        (plain[:26] + b"\2" + plain[27:], "kind 2"),
        (plain[:-1], "92 bytes"),
    ):
        with pytest.raises(CryptoError, match=match):
            PrivateKey.from_bytes(seal_with_password(bad, "pw", purpose=purpose), "pw", **TEST)


def test_a_private_key_shows_nothing_of_itself(key):
    p, q = (str(prime) for prime in key.primes)
    for shown in (repr(key), str(key), f"{key}", repr(key._halves)):
        assert "redacted" in shown
        assert p not in shown
        assert q not in shown
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(SecretMisuseError):
            attempt(key)


def test_a_public_key_says_what_it_is(key):
    assert "512 bits, INSECURE" in repr(key.public_key)
    assert key.public_key.fingerprint in repr(key.public_key)


def test_decryption_needs_ciphertexts_of_its_own_key(key, other, encryptor):
    with pytest.raises(CryptoError, match="under key"):
        other.decrypt(encryptor.encrypt([1]))
    with pytest.raises(AttributeError):
        key.decrypt([12345])


def test_secret_exponents_take_constant_time(key, encryptor, monkeypatch):
    encrypted, asked = encryptor.encrypt([5]), []
    real = gmpy2.powmod_sec
    monkeypatch.setattr(gmpy2, "powmod", None)
    monkeypatch.setattr(gmpy2, "powmod_sec", lambda b, e, m: asked.append(int(e)) or real(b, e, m))
    assert key.decrypt(encrypted, threads=1) == [5]
    assert asked == [prime - 1 for prime in key.primes]
    key.residue(7)
    assert len(asked) == 6
    monkeypatch.undo()
    assert key.decrypt(encrypted, threads=1, constant_time=False) == [5]


def test_the_key_holders_residues_are_the_publics(key):
    n = int(key.public_key.n)
    for r in (1, 2, n - 1, 0xDEADBEEF << 400):
        assert key.residue(r) == pow(r, n, n * n)
    assert key.decrypt(Ciphertexts(key.public_key, [int(key.residue(7))])) == [0]
