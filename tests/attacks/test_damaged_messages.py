"""Every truncation and every flipped bit of every message: a typed error, nothing moved, and the genuine message still counts.

Where whoever damages a message also holds the pen (the server seals what it likes, a malicious party signs its own), the seal is no
help and the body must be refused, or do no harm: the exact sum, or a typed abort.
"""

from __future__ import annotations

import msgspec
import numpy as np
import pytest

from attacks.harness import ACTIVE, DOWN, MODELS, STRUCTS, UP, Seats, Table, kind_of, order
from securefl import RemoteProtocolError, RoundAbortedError, SecureFLError
from securefl.secagg.context import pre_context
from securefl.types import ServerModel
from securefl.wire.envelope import Envelope, check_seal, parse
from securefl.wire.messages import Kind


def damaged(data: bytes, *, flips: int = 0, seed: int = 0) -> list[bytes]:
    """Every truncation, some additions, and every flipped bit (or `flips` of them, at random)."""
    cuts = [data[:size] for size in range(len(data))]
    grown = [data + b"\0", data + data, b"\0" + data, data[:1] + data]
    bits = range(8 * len(data))
    if flips and flips < len(bits):
        bits = np.random.default_rng(seed).choice(len(bits), flips, replace=False)
    flipped = []
    for bit in bits:
        copy = bytearray(data)
        copy[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(copy))
    return cuts + grown + flipped


@pytest.mark.parametrize("model", MODELS)
def test_no_damage_on_the_way_moves_anything_and_the_genuine_message_is_still_taken(model):
    """Success: an altered message is accepted, crashes its receiver with an untyped error, or makes it refuse the genuine one."""
    seats = Seats(3, server=model)
    mail = seats.server.start_round()
    done = 0
    while not seats.server.done:
        answers = []
        for name, data in mail:
            client = seats.clients[name]
            before = client.state
            for bad in damaged(data):
                with pytest.raises(SecureFLError):
                    client.receive(bad)
                done += 1
            assert client.state is before
            answers += [(name, answer) for answer in client.receive(data)]
        if mail and kind_of(mail[0][1]) is Kind.INVITE:
            seats.submit()
        mail = []
        for name, data in answers:
            before = seats.server.step, seats.server.waiting_for
            for bad in damaged(data):
                with pytest.raises(SecureFLError):
                    seats.server.receive(bad)
                done += 1
            assert (seats.server.step, seats.server.waiting_for) == before
            mail += seats.server.receive(data, party=name)
    result = seats.server.result()
    expected = np.mean([update["w"] for update in seats.updates.values()], axis=0)
    assert np.abs(result.mean["w"] - expected).max() <= seats.plan.encoding.error_bound
    assert done > 20_000


def resealed(table: Table, data: bytes, body: bytes) -> bytes:
    """The message with another body, sealed by whoever may seal it."""
    envelope = parse(data, parties=table.n)
    raw = msgspec.Raw(body)
    early = {"binding": pre_context(table.context)} if envelope.kind in {Kind.ADVERTISE, Kind.ROSTER} else {}
    if envelope.kind in DOWN:
        return table.forge(raw, kind=envelope.kind, **early)
    return table.write_as(envelope.sender, raw, kind=envelope.kind, **early)


LIAR = 3
CASES = [(model, kind) for model in MODELS for kind in order(model)]


def small(model: ServerModel) -> Table:
    """Four parties; under a semi-honest server one of them may be lost."""
    return Table(4, 3 if model is ACTIVE else 2, server=model, length=3)


@pytest.mark.parametrize(("model", "kind"), CASES, ids=[f"{model}-{kind.name}" for model, kind in CASES])
def test_damage_by_whoever_holds_the_pen_ends_in_the_exact_sum_or_a_typed_abort(model, kind):
    """Success: a body with some bit flipped, under a good seal, crashes the receiver or leads to a wrong sum of the others."""
    template = small(model)
    size = len(parse(template.play(kind)[LIAR][0], parties=4).body)
    rng = np.random.default_rng(kind.value)
    for bit in rng.choice(8 * size, min(40, 8 * size), replace=False):
        table = small(model)
        data = table.play(kind)[LIAR][0]
        body = bytearray(parse(data, parties=4).body)
        body[bit // 8] ^= 1 << int(bit) % 8
        table.mail[LIAR] = [resealed(table, data, bytes(body))]
        try:
            table.play()
        except RoundAbortedError:
            continue
        if kind is Kind.MASKED_INPUT and LIAR in table.server.result().survivors:
            continue  # its own vector is a party's own business
        table.assert_exact()


@pytest.mark.parametrize(("model", "kind"), CASES, ids=[f"{model}-{kind.name}" for model, kind in CASES])
def test_a_body_cut_short_under_a_good_seal_is_refused(model, kind):
    """Success: part of a message is taken for the whole."""
    table = small(model)
    data = table.play(kind)[LIAR][0]
    body = parse(data, parties=4).body
    for size in [0, 1, 2, *range(3, len(body), 7), len(body) - 1]:
        forged = resealed(table, data, body[:size])
        if kind in UP:
            with pytest.raises(SecureFLError):
                table.give(forged)
        else:
            fresh = small(model)
            fresh.play(kind)
            with pytest.raises(SecureFLError):
                fresh.hand(LIAR, resealed(fresh, data, body[:size]))
    if kind in UP:
        table.finish()
        table.assert_exact(range(4))


ENVELOPE = {"version": 0, "kind": 1, "session": 2, "round": 3, "sender": 4, "body": 5, "seal": 6}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("version", 0),
        ("version", 2),
        ("version", True),
        ("version", 1.0),
        ("kind", 10),
        ("kind", -1),
        ("kind", "4"),
        ("session", b"s" * 15),
        ("session", b"s" * 17),
        ("session", "s" * 16),
        ("round", -1),
        ("round", 1 << 32),
        ("round", 1 << 63),
        ("sender", -1),
        ("sender", 1 << 32),
        ("body", None),
        ("body", "text"),
        ("seal", b""),
        ("seal", b"x" * 15),
        ("seal", b"x" * 65),
        ("seal", None),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_an_envelope_with_a_field_out_of_bounds_is_refused(field, value):
    """Success: a header beyond its bounds or of another type gets through to the protocol."""
    table = Table(4, 3)
    data = table.play(Kind.SHARES)[0][0]
    fields = msgspec.msgpack.decode(data)
    fields[ENVELOPE[field]] = value
    with pytest.raises(SecureFLError):
        table.give(msgspec.msgpack.encode(fields))


@pytest.mark.parametrize(
    "wire",
    [
        "wide integer",
        "wide bytes",
        "wide array",
        "a field more",
        "a field less",
        "a map",
        "trailing",
        "a float",
        "an extension",
    ],
)
def test_another_form_of_the_same_message_is_refused(wire):
    """Success: one message has two forms, so that signed or hashed bytes and what was read differ."""
    table = Table(4, 3)
    data = table.play(Kind.SHARES)[0][0]
    fields = msgspec.msgpack.decode(data)
    names = dict(zip(ENVELOPE, fields, strict=True))
    forged = {
        "wide integer": data[:1] + b"\xcd\x00\x01" + data[2:],
        "wide bytes": data.replace(b"\xc4\x10" + fields[2], b"\xc5\x00\x10" + fields[2], 1),
        "wide array": b"\xdc\x00\x07" + data[1:],
        "a field more": msgspec.msgpack.encode([*fields, 0]),
        "a field less": msgspec.msgpack.encode(fields[:-1]),
        "a map": msgspec.msgpack.encode(names),
        "trailing": data + b"\xc0",
        "a float": data[:1] + b"\xca\x3f\x80\x00\x00" + data[2:],
        "an extension": b"\xc7\x01\x05\x00",
    }[wire]
    assert forged != data
    with pytest.raises(SecureFLError):
        table.give(forged)
    table.finish()
    table.assert_exact(range(4))


@pytest.mark.parametrize("name", ["Self_mask", "self mask", "", "x" * 17, "self_mask\x00"])
def test_a_label_outside_its_alphabet_is_refused(name):
    """Success: a label that is no label gets past the codec."""
    table = Table(4, 3)
    data = table.play(Kind.UNMASK_SHARES)[0][0]
    shares, next_keys = msgspec.msgpack.decode(parse(data, parties=4).body)
    shares[0][1] = name
    with pytest.raises(SecureFLError):
        table.give(resealed(table, data, msgspec.msgpack.encode([shares, next_keys])))
    bad = msgspec.msgpack.encode([shares, next_keys]).replace(msgspec.msgpack.encode(name), b"\xa2\xff\xfe", 1)
    with pytest.raises(SecureFLError):
        table.give(resealed(table, data, bad))


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("field", ["kind", "session", "round", "sender", "body", "seal", "binding", "key"])
def test_a_seal_covers_every_field_and_the_context(model, field):
    """Success: a sealed message is taken for one of another kind, session, round, sender, content or context."""
    table = Table(4, 3, server=model)
    for kind in order(model):
        envelope = parse(table.play(kind)[0][0], parties=4)
        early = kind in {Kind.ADVERTISE, Kind.ROSTER}
        binding = pre_context(table.context) if early else table.ctx
        key = table.keys[0].verify_key if model is ACTIVE and kind in UP else None
        check_seal(envelope, binding=binding, verify_key=key, suspect="")
        changes = {
            "kind": Kind((kind + 1) % 10),
            "session": bytes(16),
            "round": envelope.round + 1,
            "sender": envelope.sender ^ 1,
            "body": envelope.body + b"\0",
            "seal": bytes(len(envelope.seal)),
        }
        forged = msgspec.structs.replace(envelope, **{field: changes[field]}) if field in changes else envelope
        if field == "binding":
            binding = bytes(32)
        if field == "key":
            key = table.keys[1].verify_key
        with pytest.raises(RemoteProtocolError):
            check_seal(forged, binding=binding, verify_key=key, suspect="")


def test_every_message_is_frozen_and_strict():
    """Success: what was checked can be changed afterwards, or carries what nobody looks at."""
    envelope = parse(Table(4, 3).mail[0][0], parties=4)
    with pytest.raises(AttributeError):
        envelope.sender = 1
    for struct in (Envelope, *STRUCTS.values()):
        config = struct.__struct_config__
        assert config.frozen
        assert config.array_like
        assert config.forbid_unknown_fields
