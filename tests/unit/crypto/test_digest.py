from __future__ import annotations

import hashlib

import pytest

from securefl.crypto import digest as d


def test_fields_are_framed_by_their_length_after_the_domain():
    # Written out from the definition: u64 length, then bytes, for the label and for each field.
    label = b"securefl/v1/ctx"
    framed = (
        len(label).to_bytes(8, "big") + label
        + (2).to_bytes(8, "big") + b"ab"
        + (8).to_bytes(8, "big") + (7).to_bytes(8, "big")
        + (2).to_bytes(8, "big") + "é".encode()
    )  # fmt: skip
    assert d.digest("ctx", b"ab", 7, "é") == hashlib.sha256(framed).digest()


def test_bare_sha256_vector():
    # NIST FIPS 180-4 example "abc" (CSRC, SHA256.pdf).
    expected = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert d.sha256(b"a", b"bc").hex() == expected


@pytest.mark.parametrize("wrap", [bytearray, memoryview, lambda b: memoryview(b).cast("I")])
def test_buffers_hash_as_their_bytes(wrap):
    assert d.digest("x", wrap(b"12345678")) == d.digest("x", b"12345678")


@pytest.mark.parametrize("i", [-1, 2**64])
def test_integers_beyond_64_bits_are_refused(i):
    with pytest.raises(ValueError, match="64-bit"):
        d.digest("x", i)


def test_the_largest_integer_is_eight_bytes():
    assert d.digest("x", 2**64 - 1) == d.digest("x", b"\xff" * 8)


def test_checksum_is_a_prefix():
    assert d.checksum("x", b"a") == d.digest("x", b"a")[:16]


def test_equal_compares_in_constant_time(monkeypatch):
    calls = []
    monkeypatch.setattr(d.hmac, "compare_digest", lambda a, b: calls.append((a, b)) or a == b)
    assert d.equal(b"a", b"a")
    assert not d.equal(b"a", b"b")
    assert len(calls) == 2


def test_u32_is_big_endian_and_bounded():
    assert d.u32(0x01020304) == b"\x01\x02\x03\x04"
    for i in (-1, 2**32):
        with pytest.raises(ValueError, match="32-bit"):
            d.u32(i)
