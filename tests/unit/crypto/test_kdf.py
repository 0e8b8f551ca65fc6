from __future__ import annotations

from securefl.crypto.kdf import derive_key


def test_rfc_5869_a1():
    # RFC 5869, appendix A.1; its OKM has 42 bytes, of which HKDF with L = 32 gives the first 32.
    okm = "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    key = derive_key(
        bytes.fromhex("0b" * 22),
        salt=bytes.fromhex("000102030405060708090a0b0c"),
        info=bytes.fromhex("f0f1f2f3f4f5f6f7f8f9"),
    )
    assert key == bytes.fromhex(okm)[:32]


def test_secret_salt_and_info_each_change_the_key():
    keys = {
        derive_key(b"s" * 32, salt=b"ctx", info=b"pair"),
        derive_key(b"S" * 32, salt=b"ctx", info=b"pair"),
        derive_key(b"s" * 32, salt=b"CTX", info=b"pair"),
        derive_key(b"s" * 32, salt=b"ctx", info=b"share"),
    }
    assert len(keys) == 4
    assert {len(key) for key in keys} == {32}
