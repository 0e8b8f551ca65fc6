from __future__ import annotations

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from securefl.crypto import password as module
from securefl.crypto.password import open_with_password, seal_with_password
from securefl.errors import CryptoError

PURPOSE = b"client snapshot"
HEADER = 35
SHORTEST = HEADER + 28


@pytest.fixture
def cheap(monkeypatch):
    """scrypt at 1/32 of its cost, for tests that try many files."""
    monkeypatch.setattr(module, "_LOG2_N", 10)


def test_what_was_sealed_opens():
    for plain in (b"", b"secret", bytes(100_000)):
        sealed = seal_with_password(plain, "correct horse", purpose=PURPOSE)
        assert open_with_password(sealed, "correct horse", purpose=PURPOSE) == plain


def test_the_format_is_as_described(scripted):
    """Rebuilt from the docstring with Python's own scrypt."""
    salt, nonce = bytes(range(16)), bytes(range(12))
    source = scripted(tokens=[salt, nonce])
    header = b"securefl-sealed" + bytes([1, 15, 8, 1]) + salt
    key = hashlib.scrypt(b"pw", salt=salt, n=2**15, r=8, p=1, maxmem=1 << 26, dklen=32)
    expected = header + nonce + AESGCM(key).encrypt(nonce, b"plain", header + PURPOSE)
    assert seal_with_password(b"plain", "pw", purpose=PURPOSE, random=source) == expected
    assert source.sizes == [16, 12]


def test_salt_and_nonce_are_fresh_and_the_plaintext_does_not_show(cheap):
    one, other = (seal_with_password(b"secret" * 10, "pw", purpose=PURPOSE) for _ in range(2))
    assert one[19:HEADER] != other[19:HEADER]
    assert one[HEADER:] != other[HEADER:]
    assert b"secret" not in one


def test_text_is_a_password_as_its_utf8_bytes(cheap):
    sealed = seal_with_password(b"x", "pässword", purpose=PURPOSE)
    assert open_with_password(sealed, "pässword".encode(), purpose=PURPOSE) == b"x"


def test_text_that_is_no_unicode_works_and_is_not_quoted(cheap):
    sealed = seal_with_password(b"x", "a\udcff", purpose=PURPOSE)
    assert open_with_password(sealed, "a\udcff", purpose=PURPOSE) == b"x"


@pytest.mark.parametrize("empty", ["", b""])
def test_an_empty_password_is_refused(cheap, empty):
    with pytest.raises(CryptoError, match="password is empty"):
        seal_with_password(b"x", empty, purpose=PURPOSE)
    with pytest.raises(CryptoError, match="password is empty"):
        open_with_password(seal_with_password(b"x", "pw", purpose=PURPOSE), empty, purpose=PURPOSE)


@pytest.mark.parametrize(
    ("password", "purpose"),
    [("pW", PURPOSE), ("pw ", PURPOSE), ("pw", b"server snapshot"), ("pw", b""), ("pw", PURPOSE + b"x")],
)
def test_another_password_or_purpose_is_refused(cheap, password, purpose):
    sealed = seal_with_password(b"x", "pw", purpose=PURPOSE)
    with pytest.raises(CryptoError, match=r"^wrong password, or the file was altered.*Remedy: check the password"):
        open_with_password(sealed, password, purpose=purpose)


def test_every_bit_flip_is_refused(cheap):
    sealed = seal_with_password(b"plain", "pw", purpose=PURPOSE)
    for position in range(8 * len(sealed)):
        # Asking for more of scrypt is tried below; here it would only take its time.
        if 16 <= position // 8 < 19:
            continue
        altered = bytearray(sealed)
        altered[position // 8] ^= 1 << position % 8
        with pytest.raises(CryptoError):
            open_with_password(bytes(altered), "pw", purpose=PURPOSE)


def test_every_truncation_is_refused(cheap):
    sealed = seal_with_password(b"plain", "pw", purpose=PURPOSE)
    for size in range(len(sealed)):
        with pytest.raises(CryptoError) as caught:
            open_with_password(sealed[:size], "pw", purpose=PURPOSE)
        expected = "nothing that securefl sealed" if size < 15 else "truncated" if size < SHORTEST else "wrong password"
        assert expected in caught.value.message, size


def test_a_file_that_was_never_sealed_is_named():
    with pytest.raises(CryptoError, match="9 bytes are nothing that securefl sealed"):
        open_with_password(b"{a: 1234}", "pw", purpose=PURPOSE)


def with_header(version=1, log2_n=10, r=8, p=1):
    sealed = b"securefl-sealed" + bytes([version, log2_n, r, p]) + bytes(16)
    return sealed + bytes(28)


def test_another_version_is_named():
    with pytest.raises(CryptoError, match="version 2, this library reads version 1"):
        open_with_password(with_header(version=2), "pw", purpose=PURPOSE)


@pytest.mark.parametrize(
    "asked",
    [
        {"log2_n": 18},
        {"log2_n": 255},
        {"log2_n": 0},
        {"r": 9},
        {"r": 7},
        {"r": 0},
        {"r": 255},
        {"p": 5},
        {"p": 255},
        {"p": 0},
    ],
)
def test_a_hostile_file_gets_no_memory_and_no_time(monkeypatch, asked):
    def never(**_):
        raise AssertionError("scrypt ran")

    monkeypatch.setattr(module, "Scrypt", never)
    with pytest.raises(CryptoError, match="asks for scrypt with"):
        open_with_password(with_header(**asked), "pw", purpose=PURPOSE)


def test_the_most_that_a_file_may_ask_for_is_bounded():
    assert 128 * (1 << module._MAX_LOG2_N) * module._R <= 256 << 20
    assert module._MAX_P <= 4


def test_a_file_made_at_another_cost_opens(monkeypatch):
    monkeypatch.setattr(module, "_LOG2_N", 16)
    monkeypatch.setattr(module, "_P", 2)
    sealed = seal_with_password(b"x", "pw", purpose=PURPOSE)
    monkeypatch.undo()
    assert open_with_password(sealed, "pw", purpose=PURPOSE) == b"x"


def test_altered_costs_are_refused_though_they_are_allowed(monkeypatch):
    """The key differs, and the header is authenticated besides."""
    monkeypatch.setattr(module, "_LOG2_N", 10)
    sealed = bytearray(seal_with_password(b"x", "pw", purpose=PURPOSE))
    for place, value in ((16, 11), (18, 2)):
        altered = sealed[:place] + bytes([value]) + sealed[place + 1 :]
        with pytest.raises(CryptoError, match="wrong password, or the file was altered"):
            open_with_password(bytes(altered), "pw", purpose=PURPOSE)


def test_the_header_is_authenticated(monkeypatch):
    """With the key held fixed, nothing but the associated data can notice another salt."""
    monkeypatch.setattr(module, "_key", lambda header, password: bytes(32))
    sealed = bytearray(seal_with_password(b"x", "pw", purpose=PURPOSE))
    sealed[20] ^= 1
    with pytest.raises(CryptoError, match="altered"):
        open_with_password(bytes(sealed), "pw", purpose=PURPOSE)
