"""Write paillier/paillier.json with the reference alone: `python tests/vectors/paillier_rounds.py`. Nothing comes from the library."""

import functools
import json
import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [] if str(HERE.parent) in sys.path else [str(HERE.parent)]

from reference import bitmap, ed25519, encoding, messages, msgpack, words  # noqa: E402
from reference import paillier as ref  # noqa: E402
from reference import plan as plans  # noqa: E402
from vectors.streams import Tape, below, stream  # noqa: E402

FILE = HERE / "paillier" / "paillier.json"
NAMES = [f"party-{i}" for i in range(4)]
BOUND, VALUE_BITS = 4.0, 16
MODEL = bytes(32)
PLAIN = {"holder": "separate", "audited": False, "randomness": "djn", "max_weight": 1, "drops": {}}
SHAPES = {
    "separate": PLAIN,
    "separate-audited-weights": {**PLAIN, "audited": True, "max_weight": 9},
    "separate-standard-drop": {**PLAIN, "randomness": "standard", "drops": {2: "masked_input"}},
    "clients-drop": {**PLAIN, "holder": "clients", "drops": {0: "masked_input"}},
    "threshold-drop": {**PLAIN, "holder": "threshold", "drops": {3: "unmask"}},
    "threshold-audited": {**PLAIN, "holder": "threshold", "audited": True},
    "separate-too-few": {**PLAIN, "drops": {0: "masked_input", 1: "masked_input"}},
}
PROVENANCE = {
    "generator": "tests/vectors/paillier_rounds.py",
    "source": "tests/reference/paillier.py: an independent implementation that imports nothing from securefl",
    "specification": "docs/wire-format.md, Encrypted aggregation",
    "format_version": 1,
    "keys": "tests/conformance/keys.json: `safe` where shares are dealt, else `ordinary`",
    "randomness": "SHA-256(label || counter as u32), see tests/vectors/streams.py",
    "encoding": "bytes are hex, residues are hex integers, errors are named by their class in securefl.errors",
}


@functools.cache
def primes(name):
    stored = json.loads((HERE.parent / "conformance" / "keys.json").read_text())[name]
    return tuple(sorted(int(prime, 16) for prime in stored))


@functools.cache
def dealing():
    p, q = primes("safe")
    coefficients = [below(f"coefficient-{i}", p * q) for i in range(2)]
    return ref.Dealing(p, q, NAMES, coefficients, stream("dealer", 32))


class Case:
    """One round, all its messages made by the reference."""

    def __init__(self, name):
        self.name, shape = name, SHAPES[name]
        self.holder, self.audited, self.randomness = shape["holder"], shape["audited"], shape["randomness"]
        self.max_weight, self.drops = shape["max_weight"], shape["drops"]
        self.p, self.q = primes("safe" if self.holder == "threshold" else "ordinary")
        self.n = self.p * self.q
        self.dealing = dealing() if self.holder == "threshold" else None
        self.identities = [stream(f"identity-{i}", 32) for i in range(4)] if self.audited else []
        self.session = stream(f"{name}-session", 16)
        self.most = encoding.most(VALUE_BITS)
        bits = (2 * 4 * self.max_weight * self.most).bit_length()
        self.plan = plans.Plan(
            server="active" if self.audited else "semi-honest",
            parties=4,
            threshold=self.dealing.threshold if self.dealing else 1,
            max_colluders=1 if self.dealing or self.holder == "separate" else 0,
            min_survivors=3,
            ring_bits=bits,
            value_bits=VALUE_BITS,
            bound=BOUND,
            max_weight=self.max_weight,
            metrics=(),
            leaves=(("b", (2,), "int64"), ("w", (3,), "float32")),
        )
        key = self.dealing.to_bytes() if self.dealing else ref.public_key_bytes(self.n)
        fields = self.plan.fields()
        fields[1] = "paillier"
        self.plan_bytes = msgpack.encode([*fields, [key, self.holder, self.audited, self.randomness]])
        self.slots = ref.Slots(self.n.bit_length(), 4, self.most, self.max_weight)
        self.chunks = ref.Chunks(self.slots, self.plan.length)
        keys = [ed25519.public_key(seed) for seed in self.identities]
        self.roster = plans.roster_digest(NAMES, keys or None)
        self.ctx0 = ref.ctx0(self.session, 1, self.roster)
        self.plan_digest = plans.plan_digest(self.plan_bytes)
        dealt = self.dealing.id if self.dealing else b""
        self.ctx = ref.ctx(self.ctx0, self.plan_digest, MODEL, ref.key_id(self.n), dealt, self.slots.digest)
        self.messages, self.parties, self.aborted, self.words = [], [], "", []
        self.rerandomising = []
        self._play()

    def leaves(self, party):
        ints = [below(f"{self.name}-int-{party}-{i}", 9) - 4 for i in range(2)]
        floats = [(below(f"{self.name}-float-{party}-{i}", 2**16) - 2**15) / 2**13 for i in range(3)]
        return [ints, floats]

    def weight(self, party):
        return 1 + below(f"{self.name}-weight-{party}", self.max_weight)

    def mask(self, label):
        """What the library draws for a mask, and the exponent or unit that this gives."""
        if self.randomness == "standard":
            drawn = below(f"{self.name}-{label}", self.n - 1)
            return drawn, drawn + 1
        data = stream(f"{self.name}-{label}", self.n.bit_length() // 16)
        return data, ref.number(data)

    def _send(self, kind, body, *, up, other, binding=None):
        sender = (ref.HOLDER if other == 4 else other) if up else messages.SERVER
        identity = self.identities[other] if up and other < 4 and self.identities else None
        binding = binding or self.ctx
        data = messages.envelope(kind, body, self.session, 1, sender, binding, identity)
        self.messages.append((up, other, data))
        return data

    def _play(self):
        told = [0, 1, 2, 3, *([4] if self.holder == "separate" else [])]
        for other in told:
            self._send(messages.INVITE, [self.plan_bytes, self.roster], up=False, other=other, binding=self.ctx0)
        for other in told:
            self._send(ref.ENCRYPT, [self.plan_digest, MODEL], up=False, other=other, binding=self.ctx0)
        vectors, sent = {}, {}
        for party in range(4):
            rounding = Tape(stream(f"{self.name}-rounding-{party}", 64))
            coded = encoding.encode_vector(self.plan, self.leaves(party), self.weight(party), {}, rounding)
            values = encoding.centre(coded, self.plan.ring_bits)
            plain = self.slots.pack(values)
            drawn = [self.mask(f"mask-{party}-{i}") for i in range(len(plain))]
            made = [ref.encrypt(self.n, m, r, self.randomness) for m, (_, r) in zip(plain, drawn, strict=True)]
            self.parties.append(
                {
                    "leaves": self.leaves(party),
                    "weight": self.weight(party),
                    "identity": self.identities[party] if self.identities else b"",
                    "rounding": rounding.used,
                    "masks": [d if isinstance(d, bytes) else hex(d) for d, _ in drawn],
                    "values": values,
                    "plaintexts": [hex(m) for m in plain],
                    "proof": stream(f"{self.name}-proof-{party}", 32) if self.dealing else b"",
                }
            )
            if self.drops.get(party) != "masked_input":
                vectors[party] = made
                body = [0, ref.to_bytes(self.n, made)]
                sent[party] = self._send(ref.ENCRYPTED_INPUT, body, up=True, other=party)
        self.survivors = sorted(vectors)
        if len(vectors) < 3:
            self.aborted = "masked_input"
            return
        total = ref.add(self.n, zip(*vectors.values(), strict=True))
        if not self.audited:
            drawn = [self.mask(f"sum-{i}") for i in range(len(total))]
            self.rerandomising = [d if isinstance(d, bytes) else hex(d) for d, _ in drawn]
            masks = [ref.encrypt(self.n, 0, r, self.randomness) for _, r in drawn]
            total = ref.add(self.n, zip(total, masks, strict=True))
        holders = {"separate": [4], "clients": self.survivors[:1], "threshold": self.survivors}[self.holder]
        members = bitmap.pack(self.survivors, 4)
        for holder in holders:
            for party in self.survivors if self.audited else ():
                self.messages.append((False, holder, sent[party]))
            data = b"" if self.audited else ref.to_bytes(self.n, total)
            self._send(ref.DECRYPT, [members, 0, data], up=False, other=holder)
        plain = self._decrypted(holders, total)
        values = self.slots.unpack(plain, self.plan.length, len(self.survivors))
        self.words = [value % 2**self.plan.ring_bits for value in values]
        if not self.dealing:
            body = [0, words.pack(self.words, self.plan.ring_bits)]
            self._send(ref.DECRYPTED, body, up=True, other=holders[0])
        self.centred = encoding.centre(self.words, self.plan.ring_bits)

    def _decrypted(self, holders, total):
        if not self.dealing:
            return [ref.decrypt(self.p, self.q, c) for c in total]
        bound, opened = ref.partials_ctx(self.ctx, 0), {}
        for party in holders:
            if self.drops.get(party) == "unmask":
                continue
            data = self.dealing.partials(party, total, bound, self.parties[party]["proof"])
            opened[party] = self.dealing.verify(data, party, total, bound)
            self._send(ref.PARTIAL_DECRYPTION, [0, data], up=True, other=party)
        return self.dealing.combine(opened)

    def described(self):
        """The round for JSON."""
        fields = (
            "name",
            "holder",
            "audited",
            "randomness",
            "max_weight",
            "session",
            "plan_bytes",
            "plan_digest",
            "roster",
        )
        row = {
            field: getattr(self, field) for field in (*fields, "ctx0", "ctx", "survivors", "rerandomising", "aborted")
        }
        row |= {"drops": self.drops, "slots": self.slots.fields, "slots_digest": self.slots.digest}
        row |= {"dealing": self.dealing.to_bytes() if self.dealing else b"", "parties": self.parties}
        row["shares"] = [hex(share) for share in self.dealing.shares] if self.dealing else []
        row["messages"] = [{"up": up, "party": other, "data": data} for up, other, data in self.messages]
        return row | ({} if self.aborted else {"words": self.words, "sum": self.centred})

    # What must be refused.

    def place(self, kind, *, last=False):
        """The first, or last, message of a kind, and who takes it."""
        places = [i for i, (_, _, data) in enumerate(self.messages) if msgpack.decode(data)[1] == kind]
        at = places[-1 if last else 0]
        up, other, _ = self.messages[at]
        return at, "server" if up else other

    def spoiled(self, kind, what, error, body, *, key=None, **changes):
        """A row: a message with a good seal in place of a good one; `body` changes the list of its fields."""
        at, receiver = self.place(kind)
        up, other, data = self.messages[at]
        fields = msgpack.decode(data)
        inner = body(msgpack.decode(fields[5]))
        identity = self.identities[other] if up and other < 4 and self.identities else None
        header = {"session": self.session, "number": 1, "sender": fields[4], "binding": self.ctx, **changes}
        binding = self.ctx0 if kind == ref.ENCRYPT and "binding" not in changes else header["binding"]
        made = messages.envelope(
            kind, inner, header["session"], header["number"], header["sender"], binding, key or identity
        )
        row = {"round": self.name, "instead_of": at, "receiver": receiver, "what": what, "data": made, "error": error}
        return [row]


REFUSED, MALFORMED = "RemoteProtocolError", "MalformedMessageError"


def negative(cases):
    """Messages that are no part of their round."""
    rows, plain, audited, shared = [], cases["separate"], cases["separate-audited-weights"], cases["threshold-drop"]
    n, size = plain.n, plain.n.bit_length() // 4
    identifier = ref.key_id(n)

    def holding(value):
        return lambda body: [body[0], identifier + value.to_bytes(size, "big")]

    for what, value in {
        "zero": 0,
        "n": n,
        "p": plain.p,
        "3 q": 3 * plain.q,
        "n^2 - n": n * n - n,
        "n^2": n * n,
    }.items():
        rows += plain.spoiled(ref.ENCRYPTED_INPUT, f"a ciphertext that is {what}", REFUSED, holding(value))
    other = ref.key_id(shared.n)
    for what, change in {
        "another key's id": lambda body: [0, other + body[1][32:]],
        "one byte short": lambda body: [0, body[1][:-1]],
        "two ciphertexts": lambda body: [0, body[1] + body[1][32:]],
        "none": lambda _body: [0, identifier],
        "a chunk too far": lambda body: [1, body[1]],
    }.items():
        rows += plain.spoiled(ref.ENCRYPTED_INPUT, what, REFUSED, change)
    rows += plain.spoiled(ref.ENCRYPTED_INPUT, "another session", REFUSED, list, session=bytes(16))
    rows += plain.spoiled(ref.ENCRYPTED_INPUT, "another round", REFUSED, list, number=2)
    rows += plain.spoiled(ref.ENCRYPTED_INPUT, "under ctx0", MALFORMED, list, binding=plain.ctx0)
    rows += plain.spoiled(ref.ENCRYPTED_INPUT, "the holder's index", REFUSED, list, sender=ref.HOLDER)
    rows += plain.spoiled(ref.ENCRYPTED_INPUT, "a field too many", MALFORMED, lambda body: [*body, 0])
    rows += audited.spoiled(ref.ENCRYPTED_INPUT, "another's signature", REFUSED, list, key=stream("nobody", 32))
    rows += plain.spoiled(ref.ENCRYPT, "another plan", REFUSED, lambda body: [bytes(32), body[1]])
    rows += plain.spoiled(ref.ENCRYPT, "a party's index", REFUSED, list, sender=1)
    for case in (plain, shared):
        low, strange = bitmap.pack([0, 1], 4), b"\x1f"
        rows += case.spoiled(ref.DECRYPT, "a sum of two", REFUSED, lambda body, low=low: [low, *body[1:]])
        rows += case.spoiled(ref.DECRYPT, "a stranger in the sum", MALFORMED, lambda body, s=strange: [s, *body[1:]])
        rows += case.spoiled(ref.DECRYPT, "a chunk too far", REFUSED, lambda body: [body[0], 1, body[2]])
        rows += case.spoiled(ref.DECRYPT, "no sum", REFUSED, lambda body: [*body[:2], b""])
    zero = plain.slots.pack([0] * plain.plan.length)
    huge = ref.to_bytes(n, [ref.encrypt(n, 9 * m, 1) for m in zero])
    rows += plain.spoiled(ref.DECRYPT, "no sum of four vectors", REFUSED, lambda body: [*body[:2], huge])
    rows += audited.spoiled(ref.DECRYPT, "a sum of the server's own", REFUSED, lambda body: [*body[:2], huge])
    rows += plain.spoiled(ref.DECRYPTED, "a word too few", REFUSED, lambda body: [0, body[1][:-3]])
    wide = words.pack([2**19 - 1], 20)
    rows += plain.spoiled(ref.DECRYPTED, "a word beyond the ring", REFUSED, lambda body: [0, b"\xff" * 3 + body[1][3:]])
    assert len(wide) == 3
    return rows


def build():
    cases = {name: Case(name) for name in SHAPES}
    n = cases["separate"].n
    keys = [
        {
            "n": hex(case.n),
            "bytes": ref.public_key_bytes(case.n),
            "id": ref.key_id(case.n),
            "fingerprint": ref.fingerprint(ref.key_id(case.n)),
            "h_s": hex(ref.base(case.n)),
        }
        for case in (cases["separate"], cases["threshold-drop"])
    ]
    slots = []
    for fields in (
        (3072, 10, 2**15 - 1, 1, 0),
        (3072, 100, 2**15 - 1, 1, 0),
        (2048, 3, 1, 1, 0),
        (3072, 7, 2**49, 1, 3),
        (3072, 4, 2**20, 100, 5),
    ):
        layout = ref.Slots(*fields)
        values = [below(f"slots-{fields}-{i}", 2 * layout.bound + 1) - layout.bound for i in range(layout.count + 2)]
        values[0], values[-1] = layout.bound, -layout.bound
        packed = layout.pack(values)
        row = {"fields": fields, "slot_bits": layout.bits, "slots": layout.count, "bound": layout.bound}
        slots.append({**row, "digest": layout.digest, "values": values, "plaintexts": [hex(m) for m in packed]})
    chunks = []
    for fields, length in (
        ((3072, 10, 2**15 - 1, 1, 0), 10**6),
        ((3072, 10, 2**15 - 1, 1, 0), 0),
        ((2048, 3, 1, 1, 0), 300000),
        ((16384, 9, 2**40, 1, 0), 10**7),
    ):
        cut = ref.Chunks(ref.Slots(*fields), length)
        each = [(cut.ciphertexts_in(c), cut.values_in(c)) for c in range(cut.messages)]
        chunks.append(
            {
                "fields": fields,
                "length": length,
                "per_message": cut.each,
                "messages": cut.messages,
                "first": each[0],
                "last": each[-1],
            }
        )
    encryptions = []
    for randomness in ("djn", "standard", "short"):
        for m in (0, 1, -1, n // 2, -(n // 2)):
            r = below(f"r-{randomness}-{m % 97}", 2**448)
            c = ref.encrypt(n, m, r, randomness)
            encryptions.append({"randomness": randomness, "plaintext": hex(m), "r": hex(r), "ciphertext": hex(c)})
    rounds = [case.described() for case in cases.values()]
    return {
        "provenance": PROVENANCE,
        **hexed(
            {
                "keys": keys,
                "slots": slots,
                "chunks": chunks,
                "encryptions": encryptions,
                "rounds": rounds,
                "negative": negative(cases),
            }
        ),
    }


def hexed(value):
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): hexed(item) for key, item in value.items()}
    return [hexed(item) for item in value] if isinstance(value, list | tuple) else value


def text(content):
    """One vector a line, so that a difference shows which."""
    parts = []
    for section, rows in content.items():
        lines = ",\n".join("  " + json.dumps(row) for row in rows) if isinstance(rows, list) else ""
        parts.append(f' "{section}": [\n{lines}\n ]' if lines else f' "{section}": {json.dumps(rows)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


if __name__ == "__main__":
    FILE.write_text(text(build()), encoding="utf-8")
    print(FILE.name)
