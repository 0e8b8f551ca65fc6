"""The library against paillier/paillier.json: equal bytes for what is right, the named error for what is wrong."""

import functools
import json

import numpy as np
import pytest

import securefl.errors
from reference import paillier as ref
from reference.errors import Malformed, Refused
from securefl import PaillierClient, PaillierKeyHolder, PaillierServer
from securefl.crypto.signing import SigningKey
from securefl.errors import BelowThresholdError, CryptoError, EncodingError, LocalProtocolError, SecureFLError
from securefl.paillier import Ciphertexts, Encryptor, PrivateKey, PublicKey, SlotLayout
from securefl.paillier.masks import _h_s
from securefl.paillier.rounds import PaillierContext
from securefl.paillier.threshold import KeyShare, VerificationKeys, safe_private_key
from securefl.paillier.threshold.verification import dealer_of
from securefl.plan import Plan, Roster
from securefl.plan.roster import Member
from securefl.policy import ClientPolicy
from securefl.types import KEY_HOLDER, KeyModel, RoundContext, ServerModel
from vectors import paillier_rounds as made
from vectors.replay import Scripted


@functools.cache
def load():
    return json.loads(made.FILE.read_text(encoding="utf-8"))


def named(row):
    return row["name"]


def whole(text):
    return int(text, 16)


@pytest.mark.parametrize("name", ["separate", "separate-audited-weights"])
def test_the_file_has_the_rounds_that_the_reference_makes(name):
    row = made.hexed(made.Case(name).described())
    assert json.loads(json.dumps(row)) in load()["rounds"]


@pytest.mark.heavy
@pytest.mark.timeout(900)  # minutes of Python's own integers, where others use the processor as well
def test_the_file_is_what_the_reference_makes():
    assert made.FILE.read_text(encoding="utf-8") == made.text(made.build())


@pytest.mark.parametrize("row", load()["keys"], ids=lambda row: row["fingerprint"])
def test_keys_have_these_bytes_ids_and_bases(row):
    key = PublicKey(whole(row["n"]), blum=True)
    assert key.to_bytes().hex() == row["bytes"]
    assert PublicKey.from_bytes(bytes.fromhex(row["bytes"])) == key
    assert key.key_id.hex() == row["id"]
    assert key.fingerprint == row["fingerprint"]
    assert _h_s(key) == whole(row["h_s"])


@pytest.mark.parametrize("row", load()["slots"], ids=lambda row: str(row["fields"]))
def test_values_lie_in_these_plaintexts_and_come_back(row):
    layout, values = SlotLayout(*row["fields"]), np.array(row["values"], np.int64)
    assert (layout.slot_bits, layout.slots, layout.bound) == (row["slot_bits"], row["slots"], row["bound"])
    assert layout.digest().hex() == row["digest"]
    packed = layout.pack(values)
    assert packed == list(map(whole, row["plaintexts"]))
    vectors = layout.parties
    assert layout.unpack([vectors * m for m in packed], len(values), vectors=vectors).tolist() == [
        vectors * v for v in row["values"]
    ]
    with pytest.raises(EncodingError):
        layout.pack(np.append(values, layout.bound + 1))
    with pytest.raises(CryptoError):
        layout.unpack([2 * m for m in packed], len(values), vectors=1)


@pytest.mark.parametrize("row", load()["chunks"], ids=lambda row: f"{row['fields']} {row['length']}")
def test_vectors_are_cut_into_these_messages(row):
    layout = SlotLayout(*row["fields"])

    class Sized:
        """As much of a key as cutting needs."""

        bits, ciphertext_bytes = layout.key_bits, layout.key_bits // 4

    common = RoundContext(
        **dict.fromkeys(("session", "roster_digest", "plan_digest", "model_digest"), bytes(32)),
        round=1,
        parties=layout.parties,
        threshold=1,
        max_colluders=0,
        min_survivors=3,
        server=ServerModel.SEMI_HONEST,
        ring_bits=64,
        length=row["length"],
    )
    context = PaillierContext(common, Sized(), layout, KeyModel.SEPARATE)
    assert (context.per_message, context.messages) == (row["per_message"], row["messages"])
    for chunk, name in ((0, "first"), (context.messages - 1, "last")):
        assert [context.ciphertexts_in(chunk), max(0, context.values_in(chunk))] == row[name]


@pytest.mark.parametrize("row", load()["encryptions"], ids=lambda row: row["randomness"])
def test_a_plaintext_and_its_randomness_give_this_ciphertext(row):
    p, q = made.primes("ordinary")
    key = PrivateKey(p, q)
    r = whole(row["r"])
    size = {"djn": key.public_key.bits // 16, "short": 56}.get(row["randomness"], 0)
    random = Scripted(r.to_bytes(size, "big") if size else b"", () if size else [r - 1])
    encryptor = Encryptor(key.public_key, row["randomness"], window=4, random=random)
    plaintext = whole(row["plaintext"])
    made_here = encryptor.encrypt([plaintext], threads=1)
    assert made_here.values == (whole(row["ciphertext"]),)
    assert key.decrypt(Ciphertexts(key.public_key, [whole(row["ciphertext"])]), threads=1) == [plaintext]
    assert ref.decrypt(p, q, whole(row["ciphertext"])) == plaintext


class Replay:
    """A round of the file, played by the library's sessions; `until` stops before a message is delivered."""

    def __init__(self, row):
        self.row = row
        self.plan = Plan.from_bytes(bytes.fromhex(row["plan_bytes"]))
        keys = [SigningKey.from_bytes(bytes.fromhex(p["identity"])) if p["identity"] else None for p in row["parties"]]
        members = [Member(name, key.verify_key if key else b"") for name, key in zip(made.NAMES, keys, strict=True)]
        self.roster = Roster(tuple(members))
        policy = ClientPolicy.matching(self.plan)
        masks = row["rerandomising"]
        integers = [whole(m) for m in masks] if row["randomness"] == "standard" else []
        tokens = "" if integers else "".join(masks)
        self.random = Scripted(bytes.fromhex(row["session"] + tokens), integers)
        self.server = PaillierServer(self.plan, roster=self.roster, random=self.random, threads=1)
        dealt = bytes.fromhex(row["dealing"])
        verification = VerificationKeys.from_bytes(dealt, dealer=dealer_of(dealt)) if dealt else None
        private = None if dealt else PrivateKey(*made.primes("ordinary"))
        self.drawn, self.answering = [], {}
        for i, (name, party) in enumerate(zip(made.NAMES, row["parties"], strict=True)):
            standard = row["randomness"] == "standard"
            tail = "" if standard else "".join(party["masks"])
            data = bytes.fromhex(party["rounding"] + tail + party["proof"])
            random = Scripted(data, [whole(m) for m in party["masks"]] if standard else [])
            share = KeyShare(verification, i, whole(row["shares"][i])) if verification else None
            key = private if row["holder"] == "clients" else share
            client = PaillierClient(
                name, roster=self.roster, policy=policy, identity=keys[i], key=key, random=random, threads=1
            )
            b, w = party["leaves"]
            client.submit({"b": np.array(b, np.int64), "w": np.array(w, np.float32)}, weight=party["weight"])
            self.drawn.append(random)
            self.answering[name] = client
        if row["holder"] == "separate":
            self.answering[KEY_HOLDER] = PaillierKeyHolder(private, roster=self.roster, policy=policy, threads=1)
        self.seen = []

    def name(self, other):
        return KEY_HOLDER if other == 4 else made.NAMES[other]

    def play(self, until=None):
        """Every message that sessions make is the file's; returns whether the round has ended."""
        expected = [(m["up"], self.name(m["party"]), bytes.fromhex(m["data"])) for m in self.row["messages"]]
        queue = [(False, name, data) for name, data in self.server.start_round()]
        while True:
            for item in queue:
                assert len(self.seen) < len(expected), "more messages than in the file"
                assert item == expected[len(self.seen)], f"message {len(self.seen)}"
                self.seen.append(item)
            down = [item for item in queue if not item[0]]
            answers, queue = [], []
            for _, name, data in down:
                if until is not None and expected.index((False, name, data)) >= until:
                    return
                dropped = self.row["drops"].get(str(made.NAMES.index(name)) if name in made.NAMES else "")
                if dropped and dropped == self.server.step:
                    continue
                answers += [(True, name, answer) for answer in self.answering[name].receive(data)]
            for item in answers:
                assert item == expected[len(self.seen)], f"message {len(self.seen)}"
                self.seen.append(item)
            for _, name, data in answers:
                if until is not None and expected.index((True, name, data)) >= until:
                    return
                queue += [(False, to, sent) for to, sent in self.server.receive(data, party=name)]
            if not self.server.done and not queue:
                queue = [(False, to, sent) for to, sent in self.server.close_phase()]
            if self.server.done:
                assert len(self.seen) == len(expected)
                return


@pytest.mark.parametrize("row", load()["rounds"], ids=named)
def test_a_whole_round_has_these_bytes_and_this_sum(row):
    replay = Replay(row)
    assert replay.plan.to_bytes().hex() == row["plan_bytes"]
    assert replay.plan.digest().hex() == row["plan_digest"]
    assert replay.roster.digest().hex() == row["roster"]
    if row["aborted"]:
        with pytest.raises(BelowThresholdError):
            replay.play()
        with pytest.raises(LocalProtocolError):
            replay.server.result()
        return
    replay.play()
    assert replay.server._current.context.ctx0.hex() == row["ctx0"]
    assert replay.server._current.binding.hex() == row["ctx"]
    result = replay.server.result()
    assert result.integers.tolist() == row["sum"]
    assert result.survivors == tuple(made.NAMES[party] for party in row["survivors"])
    assert replay.random.spent
    summed = [sum(row["parties"][party]["values"][i] for party in row["survivors"]) for i in range(len(row["sum"]))]
    assert row["sum"] == summed


@pytest.mark.parametrize("row", load()["negative"], ids=lambda row: f"{row['round']}: {row['what']}")
def test_what_is_no_part_of_its_round_is_refused(row):
    replay = Replay(next(r for r in load()["rounds"] if r["name"] == row["round"]))
    replay.play(until=row["instead_of"])
    data = bytes.fromhex(row["data"])
    error = getattr(securefl.errors, row["error"])
    receiver = replay.server if row["receiver"] == "server" else replay.answering[replay.name(row["receiver"])]
    with pytest.raises(error) as refused:
        receiver.receive(data)
    assert isinstance(refused.value, SecureFLError)


def test_the_reference_refuses_what_is_no_ciphertext_no_sum_and_no_partial():
    p, q = safe_private_key(256, insecure_size_for_tests=True).primes
    dealing = ref.Dealing(p, q, made.NAMES, [5, 7], bytes(32))
    n = dealing.n
    for value in (0, p, n, n * n, n * n + 1):
        with pytest.raises(Refused):
            ref.from_bytes(n, ref.key_id(n) + value.to_bytes(n.bit_length() // 4, "big"), 1)
    slots = ref.Slots(256, 4, 100)
    packed = slots.pack([1] * 5)
    with pytest.raises(Refused):
        slots.unpack([9 * m for m in packed], 5, 4)
    with pytest.raises(Refused):
        slots.pack([slots.bound + 1])
    encrypted = [ref.encrypt(n, m, 12345) for m in packed]
    sent = [dealing.partials(party, encrypted, b"ctx", bytes(32)) for party in range(4)]
    held = {party: dealing.verify(sent[party], party, encrypted, b"ctx") for party in (0, 1, 3)}
    assert slots.unpack(dealing.combine(held), 5, 1) == [1] * 5
    wrong = [(sent[0], 1, encrypted, b"ctx"), (sent[0], 0, encrypted, b"other"), (sent[0], 0, [1 + n], b"ctx")]
    for data, party, ciphertexts, ctx in wrong:
        with pytest.raises(Refused):
            dealing.verify(data, party, ciphertexts, ctx)
    with pytest.raises(Malformed):
        ref.read(ref.DECRYPT, made.msgpack.encode([b"", 0]))
