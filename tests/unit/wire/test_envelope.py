from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.signing import SigningKey
from securefl.errors import MalformedMessageError, ProtocolError, RemoteProtocolError
from securefl.wire import codec
from securefl.wire.envelope import (
    OVERHEAD,
    SERVER_INDEX,
    Envelope,
    body_limit,
    check_seal,
    message_limit,
    parse,
    seal,
)
from securefl.wire.messages import (
    CHUNK_CIPHERTEXT_BYTES,
    CHUNK_VALUES,
    MAX_ADVERTISE,
    MAX_PATH,
    PAILLIER_KINDS,
    SECAGG_KINDS,
    Advertise,
    Ciphertexts,
    Consistency,
    Decrypt,
    Decrypted,
    Encrypt,
    EncryptedInput,
    KeyEntry,
    KeyProof,
    Kind,
    MaskedInput,
    OwnedShare,
    PartialDecryption,
    Roster,
    SealedShares,
    Shares,
    Survivors,
    SurvivorSignature,
    Unmask,
    UnmaskShares,
)

KEY = SigningKey.from_bytes(bytes(range(32)))
SESSION, BINDING = b"s" * 16, b"b" * 32


def sealed(*, identity=None, **changes):
    fields = {"session": SESSION, "round_number": 3, "sender": 1, "binding": BINDING, **changes}
    return seal(Kind.SURVIVORS, Survivors(b"\x07"), identity=identity, **fields)


@pytest.mark.parametrize("identity", [None, KEY], ids=["checksum", "signature"])
def test_an_envelope_opens_as_it_was_sealed(identity):
    data = sealed(identity=identity)
    envelope = parse(data, parties=3)
    assert (envelope.kind, envelope.session, envelope.round, envelope.sender) == (Kind.SURVIVORS, SESSION, 3, 1)
    assert codec.decode(Survivors, envelope.body, limit=100) == Survivors(b"\x07")
    assert len(data) - len(envelope.body) < OVERHEAD
    check_seal(envelope, binding=BINDING, verify_key=identity and KEY.verify_key, suspect="party")


@pytest.mark.parametrize("identity", [None, KEY], ids=["checksum", "signature"])
@pytest.mark.parametrize(
    "change",
    [
        {"session": b"t" * 16},
        {"round": 4},
        {"sender": 2},
        {"kind": Kind.CONSISTENCY},
        {"body": b"\x91\xc4\x01\x06"},
        {"seal": bytes(64)},
        {"seal": bytes(16)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_the_seal_covers_every_field(identity, change):
    whole = parse(sealed(identity=identity), parties=3)
    fields = {name: getattr(whole, name) for name in whole.__struct_fields__}
    with pytest.raises(ProtocolError) as caught:
        check_seal(
            Envelope(**{**fields, **change}),
            binding=BINDING,
            verify_key=identity and KEY.verify_key,
            suspect="party",
        )
    assert "party" in caught.value.suspects


@pytest.mark.parametrize("identity", [None, KEY], ids=["checksum", "signature"])
def test_the_seal_binds_the_context(identity):
    envelope = parse(sealed(identity=identity), parties=3)
    with pytest.raises(RemoteProtocolError):
        check_seal(envelope, binding=b"c" * 32, verify_key=identity and KEY.verify_key, suspect="party")


def test_a_checksum_is_no_signature_and_the_other_way_round():
    unsigned, signed = parse(sealed(), parties=3), parse(sealed(identity=KEY), parties=3)
    with pytest.raises(RemoteProtocolError, match="signature"):
        check_seal(unsigned, binding=BINDING, verify_key=KEY.verify_key, suspect="party")
    with pytest.raises(MalformedMessageError, match="checksum"):
        check_seal(signed, binding=BINDING, verify_key=None, suspect="party")
    with pytest.raises(RemoteProtocolError, match="signature"):
        check_seal(signed, binding=BINDING, verify_key=SigningKey.generate().verify_key, suspect="party")


@pytest.mark.parametrize(
    "change",
    [
        {"version": 0},
        {"version": 2},
        {"session": bytes(15)},
        {"session": bytes(17)},
        {"round": -1},
        {"round": 1 << 32},
        {"sender": 1 << 32},
        {"seal": bytes(15)},
        {"seal": bytes(65)},
    ],
    ids=str,
)
def test_an_envelope_out_of_bounds_is_refused(change):
    whole = parse(sealed(), parties=3)
    fields = {name: getattr(whole, name) for name in whole.__struct_fields__}
    with pytest.raises(MalformedMessageError):
        parse(codec.encode(Envelope(**{**fields, **change})), parties=3)


def test_an_unknown_kind_is_refused():
    data = sealed()
    assert data[1:3] == bytes([1, Kind.SURVIVORS])
    for kind in (10, 127):
        with pytest.raises(MalformedMessageError):
            parse(data[:2] + bytes([kind]) + data[3:], parties=3)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_envelope_or_a_malformed_message(data):
    try:
        envelope = parse(data, parties=3)
    except MalformedMessageError:
        return
    assert codec.encode(envelope) == data


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("parties", [3, 200])
def test_a_body_beyond_the_limit_of_its_kind_is_refused(kind, parties):
    limit = body_limit(kind, parties)

    def envelope(size):
        return codec.encode(Envelope(1, kind, SESSION, 1, SERVER_INDEX, bytes(size), bytes(64)))

    kinds = SECAGG_KINDS if kind in SECAGG_KINDS else PAILLIER_KINDS
    assert len(parse(envelope(limit), parties=parties, kinds=kinds).body) == limit
    with pytest.raises(MalformedMessageError, match="at most"):
        parse(envelope(limit + 1), parties=parties, kinds=kinds)
    if kind is not Kind.INVITE:
        with pytest.raises(MalformedMessageError, match="no kind of this protocol"):
            parse(envelope(limit), parties=parties, kinds=frozenset(Kind) - kinds)
    assert len(envelope(limit)) <= message_limit(parties)
    with pytest.raises(MalformedMessageError, match="at most"):
        parse(bytes(message_limit(parties) + 1), parties=parties)


def test_where_neighbours_are_known_a_body_holds_no_more_than_theirs():
    near = {Kind.ROSTER, Kind.SHARES, Kind.CIPHERTEXTS, Kind.UNMASK_SHARES}
    for kind in Kind:
        known, unknown = body_limit(kind, 1000, 34), body_limit(kind, 1000)
        assert (known < unknown) is (kind in near)
        assert known == (body_limit(kind, 35) if kind in near else unknown)
        assert body_limit(kind, 200, 199) == body_limit(kind, 200)
    assert message_limit(1000, 34) < message_limit(1000)
    long = codec.encode(
        Envelope(1, Kind.SHARES, SESSION, 1, 0, bytes(body_limit(Kind.SHARES, 1000, 34) + 1), bytes(64))
    )
    assert parse(long, parties=1000)
    with pytest.raises(MalformedMessageError, match="at most"):
        parse(long, parties=1000, neighbours=34)


@pytest.mark.parametrize("parties", [3, 200, 1000])
def test_the_largest_honest_message_of_each_kind_fits_its_limit(parties):
    everybody = bytes((parties + 7) // 8)
    bundle = bytes(28 + 2 * 50)
    largest = {
        Kind.ADVERTISE: Advertise(bytes(32), bytes(32), bytes(64)),
        Kind.ROSTER: Roster(
            bytes(32),
            bytes(32),
            bytes(32),
            parties,
            [KeyEntry(p, bytes(32), bytes(32), bytes(64)) for p in range(parties)],
            [KeyProof(p, bytes(32 * MAX_PATH)) for p in range(parties)],
        ),
        Kind.SHARES: Shares([bytes(32)] * 2, [SealedShares(p, bundle, bytes(64)) for p in range(parties)]),
        Kind.CIPHERTEXTS: Ciphertexts([SealedShares(p, bundle, bytes(64)) for p in range(parties)]),
        Kind.MASKED_INPUT: MaskedInput(2**20, everybody, bytes(8 * CHUNK_VALUES)),
        Kind.SURVIVORS: Survivors(everybody),
        Kind.CONSISTENCY: Consistency(bytes(64)),
        Kind.UNMASK: Unmask(everybody, [SurvivorSignature(p, bytes(64)) for p in range(parties)]),
        Kind.UNMASK_SHARES: UnmaskShares(
            [OwnedShare(p, "self_mask", bytes(33)) for p in range(parties)], bytes(MAX_ADVERTISE)
        ),
    }
    part = bytes(CHUNK_CIPHERTEXT_BYTES + 32)
    encrypted = {
        Kind.ENCRYPT: Encrypt(bytes(32), bytes(32)),
        Kind.ENCRYPTED_INPUT: EncryptedInput(2**32 - 1, part),
        Kind.DECRYPT: Decrypt(everybody, 2**32 - 1, part),
        Kind.DECRYPTED: Decrypted(2**32 - 1, bytes(8 * CHUNK_VALUES)),
        Kind.PARTIAL_DECRYPTION: PartialDecryption(2**32 - 1, bytes(CHUNK_CIPHERTEXT_BYTES + 8192)),
    }
    assert set(largest) | set(encrypted) == set(Kind) - {Kind.INVITE}
    for kind, message in {**largest, **encrypted}.items():
        kinds = PAILLIER_KINDS if kind in encrypted else SECAGG_KINDS
        data = seal(kind, message, session=SESSION, round_number=2**32 - 1, sender=0, binding=BINDING, identity=KEY)
        assert parse(data, parties=parties, kinds=kinds).kind is kind
