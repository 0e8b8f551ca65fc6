"""Page, "Encrypted aggregation": keys, slots, ciphertexts, shares of a key, and the messages of a round, in plain integers."""

import hashlib
import math
from functools import cache, reduce

from reference import bitmap, ed25519, messages, msgpack
from reference.digest import H
from reference.errors import Malformed, Refused
from reference.messages import blob, integer, struct

ENCRYPT, ENCRYPTED_INPUT, DECRYPT, DECRYPTED, PARTIAL_DECRYPTION = range(10, 15)
HOLDER = 2**32 - 2
CHUNK_BYTES = 2**20 - 2**14
CHUNK_VALUES = 2**17

_CHUNK = integer(2**32)
_CIPHERTEXTS = blob(CHUNK_BYTES + 64, 0)
BODIES = {
    ENCRYPT: struct(plan_digest=blob(32), model_digest=blob(32)),
    ENCRYPTED_INPUT: struct(chunk=_CHUNK, ciphertexts=_CIPHERTEXTS),
    DECRYPT: struct(survivors=messages.PARTY_SET, chunk=_CHUNK, ciphertexts=_CIPHERTEXTS),
    DECRYPTED: struct(chunk=_CHUNK, words=blob(8 * CHUNK_VALUES, 0)),
    PARTIAL_DECRYPTION: struct(chunk=_CHUNK, partials=blob(CHUNK_BYTES + 2**14, 0)),
}


def shake(size, *parts):
    return hashlib.shake_256(b"".join(parts)).digest(size)


def number(data):
    return int.from_bytes(data, "big")


# Keys


def public_key_bytes(n, *, blum=True):
    bits = n.bit_length()
    return b"securefl-paillier-public" + bytes([1, blum]) + bits.to_bytes(2, "big") + n.to_bytes(bits // 8, "big")


def key_id(n, *, blum=True):
    return H("paillier-key", public_key_bytes(n, blum=blum))


def fingerprint(identifier):
    text = identifier[:16].hex()
    return " ".join(text[i : i + 4] for i in range(0, 32, 4))


@cache
def base(n):
    """h_s."""
    size = n.bit_length() // 8
    x = number(shake(size + 32, b"securefl/h", n.to_bytes(size, "big"))) % n
    return pow(-x * x % n, n, n * n)


# Slots


def slot_bits(parties, most, weight=1, noise=0):
    bits = (2 * parties * weight * most).bit_length() + noise
    return 64 if bits > 57 else max(bits, 8)


class Slots:
    def __init__(self, key_bits, parties, most, weight=1, noise=0):
        self.fields = (key_bits, parties, most, weight, noise)
        self.bound = weight * most << noise
        self.bits = slot_bits(parties, most, weight, noise)
        self.count = (key_bits - 2) // self.bits
        self.digest = H("paillier-slots", *self.fields)

    def plaintexts(self, length):
        return -(-length // self.count)

    def pack(self, values):
        if any(abs(value) > self.bound for value in values):
            raise Refused("a value beyond its slot")
        rows = [values[at : at + self.count] for at in range(0, len(values), self.count)]
        return [sum(value + self.bound << i * self.bits for i, value in enumerate(row)) for row in rows]

    def unpack(self, plaintexts, length, vectors):
        mask, values = 2**self.bits - 1, []
        if len(plaintexts) != self.plaintexts(length):
            raise Refused("another number of plaintexts")
        for m in plaintexts:
            if not 0 <= m < 1 << self.count * self.bits:
                raise Refused("more than the slots hold")
            values += [m >> i * self.bits & mask for i in range(self.count)]
        if any(values[length:]) or any(value > 2 * vectors * self.bound for value in values[:length]):
            raise Refused("no sum of so many vectors")
        return [value - vectors * self.bound for value in values[:length]]


# Ciphertexts


def encrypt(n, plaintext, r, randomness="djn"):
    """`r`: the exponent of h_s, or under standard randomness a unit modulo n."""
    mask = pow(r, n, n * n) if randomness == "standard" else pow(base(n), r, n * n)
    return (1 + plaintext % n * n) * mask % (n * n)


def check(n, c):
    if not 0 < c < n * n or math.gcd(c, n) != 1:
        raise Refused("no ciphertext")
    return c


def add(n, columns):
    return [reduce(lambda a, b: a * b % (n * n), column) for column in columns]


def decrypt(p, q, c):
    n, order = p * q, math.lcm(p - 1, q - 1)
    m = (pow(c, order, n * n) - 1) // n * pow(order, -1, n) % n
    return m - n if m > n // 2 else m


def to_bytes(n, ciphertexts, *, blum=True):
    return key_id(n, blum=blum) + joined(n, ciphertexts)


def joined(n, residues):
    return b"".join(c.to_bytes(n.bit_length() // 4, "big") for c in residues)


def from_bytes(n, data, count):
    size = n.bit_length() // 4
    if len(data) != 32 + count * size or data[:32] != key_id(n):
        raise Refused("another number of ciphertexts, or another key")
    return [check(n, number(data[at : at + size])) for at in range(32, len(data), size)]


# A key in shares


class Dealing:
    """`coefficients`: a_1..a_(t-1) of the polynomial modulo n p' q'; `dealer`: the seed of an identity key."""

    def __init__(self, p, q, names, coefficients, dealer):
        self.n, self.names, self.threshold = p * q, names, len(coefficients) + 1
        m = p // 2 * (q // 2)
        order = self.n * m
        secret = m * pow(m, -1, self.n)
        self.shares = [
            (secret + sum(a * x ** (i + 1) for i, a in enumerate(coefficients))) % order
            for x in range(1, len(names) + 1)
        ]
        size = self.n.bit_length() // 8
        hashed = shake(2 * size + 32, b"securefl/v", self.n.to_bytes(size, "big"))
        self.squared, self.delta = self.n**2, math.factorial(len(names))
        self.v = pow(number(hashed), 2, self.squared)
        self.values = [pow(self.v, self.delta * share, self.squared) for share in self.shares]
        self.dealer = ed25519.public_key(dealer)
        self.id = H(
            "paillier-threshold-keys",
            key_id(self.n),
            self.threshold,
            len(names),
            *names,
            joined(self.n, self.values),
            self.dealer,
        )
        self.signature = ed25519.sign(dealer, self.id)

    def to_bytes(self):
        fields = [1, public_key_bytes(self.n), self.threshold, list(self.names), joined(self.n, self.values)]
        return msgpack.encode([*fields, self.dealer, self.signature])

    def partials(self, party, ciphertexts, ctx, token):
        """What a share-holder sends of these ciphertexts, its proof made with 32 random bytes."""
        n, squared, x = self.n, self.squared, self.delta * self.shares[party]
        values = [pow(c, 2 * x, squared) for c in ciphertexts]
        size = -(-(self.delta.bit_length() + 2 * n.bit_length()) // 8) + 32
        transcript = self._transcript(party, ciphertexts, values, ctx)
        nonce = number(shake(size, b"securefl/threshold-nonce", x.to_bytes(size, "big"), transcript, token))
        folded = pow(self._folded(transcript, ciphertexts), 4, squared)
        at = [pow(b, nonce, squared) for b in (self.v, folded)]
        challenge = H("paillier-partials-challenge", transcript, joined(n, at))[:16]
        response = (nonce + number(challenge) * x).to_bytes(size + 1, "big")
        return msgpack.encode([1, self.id, party, joined(n, values), challenge, response])

    def verify(self, data, party, ciphertexts, ctx):
        """The partials in what a party sent, if its proof holds."""
        kind = struct(
            version=integer(2, 1),
            dealing=blob(32),
            party=integer(65536),
            values=blob(2**20, 0),
            challenge=blob(16),
            response=blob(2**20, 0),
        )
        fields, squared, size = kind(msgpack.decode(data)), self.squared, self.n.bit_length() // 4
        if fields["dealing"] != self.id or fields["party"] != party or len(fields["values"]) != size * len(ciphertexts):
            raise Refused("partials of another party, dealing or number")
        values = [number(fields["values"][at : at + size]) for at in range(0, len(fields["values"]), size)]
        for value in values:
            check(self.n, value)
        transcript = self._transcript(party, ciphertexts, values, ctx)
        h, z = number(fields["challenge"]), number(fields["response"])
        folded = pow(self._folded(transcript, ciphertexts), 4, squared)
        raised = pow(self._folded(transcript, values), 2, squared)
        pairs = ((self.v, self.values[party]), (folded, raised))
        at = [pow(b, z, squared) * pow(to, -h, squared) % squared for b, to in pairs]
        if H("paillier-partials-challenge", transcript, joined(self.n, at))[:16] != fields["challenge"]:
            raise Refused("wrong partials")
        return values

    def combine(self, partials):
        """The plaintexts; `partials`: the values of t parties by party."""
        n, squared, points = self.n, self.squared, sorted(partials)[: self.threshold]
        plaintexts = []
        for column in zip(*(partials[party] for party in points), strict=True):
            product = 1
            for party, value in zip(points, column, strict=True):
                top, bottom = self.delta, 1
                for other in points:
                    if other != party:
                        top, bottom = top * (other + 1), bottom * (other - party)
                product = product * pow(value, 2 * (top // bottom), squared) % squared
            m = (product - 1) // n * pow(4 * self.delta**2, -1, n) % n
            plaintexts.append(m - n if m > n // 2 else m)
        return plaintexts

    def _transcript(self, party, ciphertexts, values, ctx):
        both = (to_bytes(self.n, ciphertexts), joined(self.n, values))
        return H("paillier-partials", self.id, party, ctx, len(values), *both)

    def _folded(self, transcript, values):
        drawn = shake(16 * len(values), b"securefl/threshold-coefficients", transcript)
        powers = [pow(v, number(drawn[16 * j : 16 * j + 16]), self.squared) for j, v in enumerate(values)]
        return reduce(lambda a, b: a * b % self.squared, powers, 1)


# Rounds


def ctx0(session, round_number, roster_digest):
    return H("ctx0", 1, session, round_number, roster_digest)


def ctx(context0, plan_digest, model_digest, identifier, dealing_id, slots_digest):
    return H("paillier ctx", context0, plan_digest, model_digest, identifier, dealing_id, slots_digest)


def partials_ctx(context, chunk):
    return H("paillier partials", context, chunk)


class Chunks:
    """How a vector of `length` values is cut into messages."""

    def __init__(self, slots, length):
        self.slots, self.length = slots, length
        self.ciphertexts = slots.plaintexts(length)
        self.each = max(1, min(CHUNK_BYTES // (slots.fields[0] // 4), CHUNK_VALUES // slots.count))
        self.messages = max(1, -(-self.ciphertexts // self.each))

    def ciphertexts_in(self, chunk):
        return min(self.each, self.ciphertexts - chunk * self.each)

    def values_in(self, chunk):
        values = self.each * self.slots.count
        return max(0, min(values, self.length - chunk * values))


def body_limit(kind):
    return {DECRYPTED: 8 * CHUNK_VALUES + 64, ENCRYPT: 256}.get(kind, 2**20)


def read(kind, data):
    """The fields of a message."""
    if len(data) > body_limit(kind):
        raise Malformed("body too long")
    return BODIES[kind](msgpack.decode(data))


def survivors_in(data, parties, floor):
    members = bitmap.unpack(data, parties)
    if len(members) < floor:
        raise Refused("fewer survivors than the floor")
    return members
