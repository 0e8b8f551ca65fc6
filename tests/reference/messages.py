"""Page, "Envelope" and "Messages": every struct in the order in which it travels, with the bounds of its fields."""

import re

from reference import ed25519, msgpack
from reference.digest import H
from reference.errors import Malformed, Refused

SERVER = 2**32 - 1
VERSION = 1

INVITE, ADVERTISE, ROSTER, SHARES, CIPHERTEXTS, MASKED_INPUT, SURVIVORS, CONSISTENCY, UNMASK, UNMASK_SHARES = range(10)
NAMES = (
    "invite",
    "advertise",
    "roster",
    "shares",
    "ciphertexts",
    "masked_input",
    "survivors",
    "consistency",
    "unmask",
    "unmask_shares",
)


# A type is a function that gives back a decoded value, or raises Malformed when it is not of the type.


def integer(below, low=0):
    def check(value):
        if type(value) is not int or not low <= value < below:
            raise Malformed(f"{value!r} is no integer in {low}..{below - 1}")
        return value

    return check


def blob(most, least=None):
    """Bytes; of exactly `most` unless `least` is given."""

    def check(value):
        if type(value) is not bytes or not (most if least is None else least) <= len(value) <= most:
            raise Malformed("no bytes, or of another length")
        return value

    return check


def label(value):
    if type(value) is not str or not re.fullmatch("[a-z0-9_]{1,16}", value):
        raise Malformed("no label")
    return value


def listed(item, most, least=0):
    def check(value):
        if type(value) is not list or not least <= len(value) <= most:
            raise Malformed("no list, or of another length")
        return [item(part) for part in value]

    return check


def boolean(value):
    if type(value) is not bool:
        raise Malformed("no boolean")
    return value


def struct(**fields):
    def check(value):
        if type(value) is not list or len(value) != len(fields):
            raise Malformed(f"no array of {len(fields)} fields")
        return {name: kind(part) for (name, kind), part in zip(fields.items(), value, strict=True)}

    return check


PARTY = integer(65536)
PARTY_SET = blob(8192, 0)

KEY_ENTRY = struct(party=PARTY, mask_key=blob(32), share_key=blob(32), signature=blob(64, 0))
KEY_PROOF = struct(place=PARTY, path=blob(512, 0))
SEALED_SHARES = struct(party=PARTY, ciphertext=blob(3612, 0), share_digests=blob(2048, 32))
LABELLED_SHARE = struct(label=label, share=blob(33))
OWNED_SHARE = struct(owner=PARTY, label=label, share=blob(33))
SURVIVOR_SIGNATURE = struct(party=PARTY, signature=blob(64))

SHARE_BUNDLE = struct(shares=listed(LABELLED_SHARE, 64, 1))

BODIES = {
    INVITE: struct(plan=blob(2**20, 0), roster_digest=blob(32)),
    ADVERTISE: struct(mask_key=blob(32), share_key=blob(32), signature=blob(64, 0)),
    ROSTER: struct(
        plan_digest=blob(32),
        model_digest=blob(32),
        root=blob(32),
        attending=integer(65537),
        entries=listed(KEY_ENTRY, 65536),
        proofs=listed(KEY_PROOF, 65536),
    ),
    SHARES: struct(commitments=listed(blob(32), 64, 1), sealed=listed(SEALED_SHARES, 65536)),
    CIPHERTEXTS: struct(sealed=listed(SEALED_SHARES, 65536)),
    MASKED_INPUT: struct(chunk=integer(2**32), neighbours=PARTY_SET, words=blob(2**20, 0)),
    SURVIVORS: struct(survivors=PARTY_SET),
    CONSISTENCY: struct(signature=blob(64)),
    UNMASK: struct(survivors=PARTY_SET, signatures=listed(SURVIVOR_SIGNATURE, 65536)),
    UNMASK_SHARES: struct(shares=listed(OWNED_SHARE, 65536 * 64), next_keys=blob(512, 0)),
}

ENVELOPE = struct(
    version=integer(VERSION + 1, VERSION),
    kind=integer(10),
    session=blob(16),
    round=integer(2**32),
    sender=integer(2**32),
    body=blob(2**32, 0),
    seal=blob(64, 16),
)


def body_limit(kind, parties, degree=0, noise=0):
    """`degree`: k on the k-regular graph, 0 on the complete one or where it is not known; `noise`: J."""
    if kind == INVITE:
        return 2**20 + 64
    if kind == MASKED_INPUT:
        return 8 * 2**17 + 8256
    near = degree + 1 if degree else parties
    each = {ROSTER: 720, SHARES: 7000, CIPHERTEXTS: 7000, UNMASK_SHARES: 64 + 64 * noise}.get(kind, 0) * near
    each += {SURVIVORS: 1, UNMASK: 80}.get(kind, 0) * parties
    return 256 + each + {SHARES: 2048, UNMASK_SHARES: 512}.get(kind, 0)


def message_limit(parties, degree=0, noise=0):
    return 128 + max(body_limit(kind, parties, degree, noise) for kind in BODIES)


def sealed_data(binding, kind, session, number, sender, body):
    return H("envelope", binding, kind, session, number, sender, body)


def envelope(kind, body, session, number, sender, binding, identity=None):
    """A message: `body` is the list of its fields, or bytes that are taken as they are; `identity` is the seed of a key."""
    data = body if isinstance(body, bytes) else msgpack.encode(body)
    covered = sealed_data(binding, kind, session, number, sender, data)
    seal = ed25519.sign(identity, covered) if identity else covered[:16]
    return msgpack.encode([VERSION, kind, session, number, sender, data, seal])


def parse(data, parties, degree=0, noise=0):
    """The fields of an envelope; its seal is still to be checked."""
    if len(data) > message_limit(parties, degree, noise):
        raise Malformed("too long")
    fields = ENVELOPE(msgpack.decode(data))
    if len(fields["body"]) > body_limit(fields["kind"], parties, degree, noise):
        raise Malformed("body too long")
    return fields


def check_seal(fields, binding, verify_key=None):
    """A checksum, or a signature under `verify_key` where one is given."""
    names = ("kind", "session", "round", "sender", "body")
    covered = sealed_data(binding, *(fields[name] for name in names))
    if verify_key is None:
        if fields["seal"] != covered[:16]:
            raise Malformed("the checksum does not match")
    elif not ed25519.verify(verify_key, fields["seal"], covered):
        raise Refused("the signature of the envelope does not verify")


def read(kind, body):
    """The fields of a message."""
    return BODIES[kind](msgpack.decode(body))
