"""The reference's primitives against the published vectors of their standards."""

import ast
from pathlib import Path

import pytest

from reference import aes, ed25519, gcm, hkdf, k_regular, merkle, msgpack, shamir, x25519
from reference.digest import sha256
from reference.errors import Malformed, Refused


def unhex(text):
    return bytes.fromhex(text.replace(" ", ""))


def test_it_imports_nothing_but_the_standard_library_and_itself():
    allowed = {
        "reference",
        "hashlib",
        "hmac",
        "struct",
        "functools",
        "dataclasses",
        "math",
        "re",
        "fractions",
        "itertools",
    }
    for path in Path(__file__).parent.glob("*.py"):
        if path.name.startswith("test_"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) else []
            assert {name.partition(".")[0] for name in names} <= allowed, path


# X25519


@pytest.mark.parametrize(
    ("scalar", "u", "output"),
    [
        (
            "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4",
            "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c",
            "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552",
        ),
        (
            "4b66e9d4d1b4673c5ad22691957d6af5c11b6421e0ea01d42ca4169e7918ba0d",
            "e5210f12786811d3f4b7959d0538ae2c31dbe7106fc03c3efc4cd549c715a493",
            "95cbde9476e8907d7aade45cb4b873f88b595a68799fa152e6f8f7647aac7957",
        ),
    ],
)
def test_x25519_rfc_7748_5_2(scalar, u, output):
    assert x25519.x25519(unhex(scalar), unhex(u)).hex() == output


def test_x25519_rfc_7748_5_2_iterated():
    k = u = unhex("0900000000000000000000000000000000000000000000000000000000000000")
    after = {
        1: "422c8e7a6227d7bca1350b3e2bb7279f7897b87bb6854b783c60e80311ae3079",
        1000: "684cf59ba83309552800ef566f2f4d3c1c3887c49360e3875f2eb94d99532c51",
    }
    for iteration in range(1, 1001):
        k, u = x25519.x25519(k, u), k
        if iteration in after:
            assert k.hex() == after[iteration]


def test_x25519_rfc_7748_6_1():
    alice = unhex("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a")
    bob = unhex("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb")
    assert x25519.public_key(alice).hex() == "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a"
    assert x25519.public_key(bob).hex() == "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f"
    shared = "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742"
    assert x25519.agree(alice, x25519.public_key(bob)).hex() == shared
    assert x25519.agree(bob, x25519.public_key(alice)).hex() == shared


@pytest.mark.parametrize("u", [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18])
def test_x25519_refuses_points_of_small_order(u):
    with pytest.raises(Refused):
        x25519.agree(bytes(range(32)), u.to_bytes(32, "little"))


# Ed25519


@pytest.mark.parametrize(
    ("seed", "public", "message", "signature"),
    [
        (
            "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
            "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
            "",
            (
                "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe246"
                "55141438e7a100b"
            ),
        ),
        (
            "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
            "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
            "72",
            (
                "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb"
                "00d291612bb0c00"
            ),
        ),
        (
            "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
            "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
            "af82",
            (
                "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc"
                "027beceea1ec40a"
            ),
        ),
    ],
)
def test_ed25519_rfc_8032_7_1(seed, public, message, signature):
    assert ed25519.public_key(unhex(seed)).hex() == public
    assert ed25519.sign(unhex(seed), unhex(message)).hex() == signature
    assert ed25519.verify(unhex(public), unhex(signature), unhex(message))


def test_ed25519_refuses_other_messages_keys_and_signatures():
    seed = bytes(range(32))
    public, signature = ed25519.public_key(seed), ed25519.sign(seed, b"message")
    above = signature[:32] + (int.from_bytes(signature[32:], "little") + ed25519.L).to_bytes(32, "little")
    assert ed25519.verify(public, signature, b"message")
    assert not ed25519.verify(public, signature, b"massage")
    assert not ed25519.verify(public, above, b"message")
    assert not ed25519.verify(ed25519.public_key(bytes(32)), signature, b"message")
    assert not ed25519.verify(public, signature[:-1], b"message")
    assert not ed25519.verify(b"\xff" * 32, signature, b"message")


# AES, CTR, GCM


def test_aes_fips_197_c_3():
    round_keys = aes.expand_key(bytes(range(32)))
    block = unhex("00112233445566778899aabbccddeeff")
    assert aes.encrypt_block(round_keys, block).hex() == "8ea2b7ca516745bfeafc49904b496089"


def test_aes_fips_197_a_3_key_expansion():
    round_keys = aes.expand_key(unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"))
    assert round_keys[2].hex() == "9ba354118e6925afa51a8b5f2067fcde"
    assert round_keys[14].hex() == "fe4890d1e6188d0b046df344706c631e"


def test_ctr_sp_800_38a_f_5_5():
    key = unhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    plaintext = unhex(
        "6bc1bee22e409f96e93d7e117393172a ae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52ef f69f2445df4f9b17ad2b417be66c3710"
    )
    ciphertext = unhex(
        "601ec313775789a5b7a7f504bbf3d228 f443e3ca4d62b59aca84e990cacaf5c5"
        "2b0930daa23de94ce87017ba2d84988d dfc9c58db67aada613c2dd08457941a6"
    )
    stream = aes.ctr_stream(key, 64, counter=0xF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF)
    assert bytes(a ^ b for a, b in zip(plaintext, stream, strict=True)) == ciphertext
    assert aes.ctr_stream(key, 23, counter=0xF0F1F2F3F4F5F6F7F8F9FAFBFCFDFEFF, skip=19) == stream[19:42]


@pytest.mark.parametrize(
    ("key", "block", "plaintext", "ciphertext"),
    [
        (
            "776beff2851db06f4c8a0542c8696f6c6a81af1eec96b4d37fc1d689e6c1c104",
            "00000060db5672c97aa8f0b200000001",
            b"Single block msg".hex(),
            "145ad01dbf824ec7560863dc71e3e0c0",
        ),
        (
            "f6d66d6bd52d59bb0796365879eff886c66dd51a5b6a99744b50590c87a23884",
            "00faac24c1585ef15a43d87500000001",
            bytes(range(32)).hex(),
            "f05e231b3894612c49ee000b804eb2a9b8306b508f839d6a5530831d9344af1c",
        ),
        (
            "ff7a617ce69148e4f1726e2f43581de2aa62d9f805532edff1eed687fb54153d",
            "001cc5b751a51d70a1c1114800000001",
            bytes(range(36)).hex(),
            "eb6c52821d0bbbf7ce7594462aca4faab407df866569fd07f48cc0b583d6071f1ec0e6b8",
        ),
    ],
)
def test_ctr_rfc_3686(key, block, plaintext, ciphertext):
    stream = aes.ctr_stream(unhex(key), len(plaintext) // 2, counter=int(block, 16))
    assert bytes(a ^ b for a, b in zip(unhex(plaintext), stream, strict=True)).hex() == ciphertext


GCM_KEY = "feffe9928665731c6d6a8f9467308308" * 2
GCM_PLAINTEXT = (
    "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
    "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b391aafd255"
)
GCM_CIPHERTEXT = (
    "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
    "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662898015ad"
)


@pytest.mark.parametrize(
    ("key", "nonce", "plaintext", "aad", "sealed"),
    [
        ("00" * 32, "00" * 12, "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        ("00" * 32, "00" * 12, "00" * 16, "", "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"),
        (GCM_KEY, "cafebabefacedbaddecaf888", GCM_PLAINTEXT, "", GCM_CIPHERTEXT + "b094dac5d93471bdec1a502270e3cc6c"),
        (
            GCM_KEY,
            "cafebabefacedbaddecaf888",
            GCM_PLAINTEXT[:120],
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            GCM_CIPHERTEXT[:120] + "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ],
    ids=["case 13", "case 14", "case 15", "case 16"],
)
def test_gcm_mcgrew_viega(key, nonce, plaintext, aad, sealed):
    assert gcm.encrypt(unhex(key), unhex(nonce), unhex(plaintext), unhex(aad)).hex() == sealed
    assert gcm.decrypt(unhex(key), unhex(nonce), unhex(sealed), unhex(aad)).hex() == plaintext
    with pytest.raises(Refused):
        gcm.decrypt(unhex(key), unhex(nonce), unhex(sealed), unhex(aad) + b"\x00")


# HKDF


@pytest.mark.parametrize(
    ("secret", "salt", "info", "output"),
    [
        (
            "0b" * 22,
            bytes(range(13)).hex(),
            bytes(range(0xF0, 0xFA)).hex(),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        ),
        (
            bytes(range(0x50)).hex(),
            bytes(range(0x60, 0xB0)).hex(),
            bytes(range(0xB0, 0x100)).hex(),
            (
                "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09"
                "da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"
            ),
        ),
        (
            "0b" * 22,
            "",
            "",
            "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8",
        ),
    ],
    ids=["A.1", "A.2", "A.3"],
)
def test_hkdf_rfc_5869(secret, salt, info, output):
    assert hkdf.hkdf(unhex(secret), unhex(salt), unhex(info), len(output) // 2).hex() == output


# Merkle, Shamir, MessagePack


def test_merkle_certificate_transparency_roots():
    # The tree of the Certificate Transparency project's own tests (RFC 6962 and 9162 share the definition).
    leaves = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
    roots = {
        0: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    }
    for size, root in roots.items():
        assert merkle.root([unhex(leaf) for leaf in leaves[:size]]).hex() == root


def test_merkle_paths_of_rfc_9162_2_1_5():
    # The tree of seven entries there: PATH(0) = [b, h, l], PATH(3) = [c, g, l], PATH(4) = [f, j, k], PATH(6) = [i, k].
    leaves = [bytes([i]) for i in range(7)]
    a, b, c, d, e, f, j = (merkle.root([leaf]) for leaf in leaves)
    g, h, i = (sha256(b"\x01" + left + right) for left, right in ((a, b), (c, d), (e, f)))
    k, l = sha256(b"\x01" + g + h), sha256(b"\x01" + i + j)
    paths = {0: b + h + l, 3: c + g + l, 4: f + j + k, 6: i + k}
    for place, path in paths.items():
        assert merkle.path(leaves, place) == path
        assert merkle.root_from_path(leaves[place], place, 7, path) == merkle.root(leaves)


# The table of the protocol note: n, then (k, t) for gamma = delta = .05, for .1, and for gamma .2, delta .1.
TABLE = {
    100: [(12, 6), (22, 11), (32, 21)],
    1000: [(34, 18), (52, 28), (76, 47)],
    10_000: [(38, 21), (60, 32), (90, 55)],
    100_000: [(40, 22), (66, 35), (98, 59)],
}


@pytest.mark.parametrize("n", TABLE)
def test_degrees_and_thresholds_of_the_protocol_note(n):
    fractions = [(20, 20), (10, 10), (5, 10)]
    assert [k_regular.choose(n, n // gamma, n // delta) for gamma, delta in fractions] == TABLE[n]


def test_shamir_field_is_prime():
    # Miller-Rabin: 2^256 + 297 passes for 40 bases, and no number between 2^256 and it passes for 3. (For 2 the Fermat number
    # 2^256 + 1 would.)
    def passes(n, base):
        d, s = n - 1, 0
        while d % 2 == 0:
            d, s = d // 2, s + 1
        x = pow(base, d, n)
        return x in {1, n - 1} or any(pow(x, 2**i, n) == n - 1 for i in range(1, s))

    assert all(passes(shamir.P, base) for base in range(2, 42))
    assert not any(passes(2**256 + k, 3) for k in range(1, 297, 2))


def test_shamir_by_hand():
    # f(x) = 5 + 3x + 2x^2: f(1) = 10, f(2) = 19, f(3) = 32, f(4) = 49.
    secret = (5).to_bytes(32, "big")
    shares = shamir.split(secret, [3, 2], [1, 2, 3, 4])
    assert [int.from_bytes(share, "big") for share in shares.values()] == [10, 19, 32, 49]
    for chosen in ((1, 2, 3), (4, 2, 1), (2, 3, 4)):
        assert shamir.combine([(x, shares[x]) for x in chosen]) == secret


@pytest.mark.parametrize(
    ("value", "data"),
    [
        (0, "00"),
        (127, "7f"),
        (128, "cc80"),
        (255, "ccff"),
        (256, "cd0100"),
        (65535, "cdffff"),
        (65536, "ce00010000"),
        (2**32, "cf0000000100000000"),
        (2**64 - 1, "cfffffffffffffffff"),
        (b"", "c400"),
        (bytes(256), "c50100" + "00" * 256),
        ("", "a0"),
        ("a" * 31, "bf" + "61" * 31),
        ("a" * 32, "d920" + "61" * 32),
        (1.5, "cb3ff8000000000000"),
        ([], "90"),
        ([1, [b"\x02"]], "920191c40102"),
        ([0] * 16, "dc0010" + "00" * 16),
        (True, "c3"),
        (False, "c2"),
    ],
)
def test_msgpack_specification(value, data):
    # https://github.com/msgpack/msgpack/blob/master/spec.md, "Formats".
    assert msgpack.encode(value).hex() == data
    assert msgpack.decode(unhex(data)) == value
    assert type(msgpack.decode(unhex(data))) is type(value)


@pytest.mark.parametrize(
    "data",
    [
        "",
        "cc7f",
        "cd00ff",
        "ce0000ffff",
        "cf00000000ffffffff",
        "c50001ff",
        "d90161",
        "da000161",
        "dc000100",
        "dd0000000100",
        "80",
        "8100",
        "d0ff",
        "ff",
        "ca3fc00000",
        "d40000",
        "0000",
        "9201",
        "c402ff",
        "a1ff",
        "91" * 40 + "00",
    ],
)
def test_msgpack_takes_nothing_but_the_canonical_form(data):
    with pytest.raises(Malformed):
        msgpack.decode(unhex(data))
