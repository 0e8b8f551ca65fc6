"""What must be refused: each message takes the place of a good one in a round of the reference."""

from reference import bitmap, ed25519, keys, merkle, messages, msgpack, protocol, shamir, x25519
from reference.errors import Refused
from vectors.rounds import kind_of
from vectors.streams import stream

MALFORMED, REFUSED, ABORTED = "MalformedMessageError", "RemoteProtocolError", "RoundAbortedError"


class Spoiler:
    """Makes bad messages out of the first good one of its kind."""

    def __init__(self, case, kind):
        self.case, self.kind = case, kind
        self.place = case.places()[kind]
        self.up, self.party, self.good = case.transcript.messages[self.place]
        self.fields = case.fields(self.place)
        self.body = msgpack.decode(self.fields[5])
        early = kind in {"invite", "advertise", "roster"}
        self.binding = case.round.ctx0 if early else case.transcript.ctx
        self.identity = case.identities[self.party] if self.up and case.identities else None
        self.rows = []

    def add(self, what, data, error):
        self.rows.append(
            {
                "round": self.case.name,
                "kind": self.kind,
                "instead_of": self.place,
                "receiver": "server" if self.up else self.party,
                "what": what,
                "data": data,
                "error": error,
            }
        )

    def sealed(self, body=None, identity=None, binding=None, **changes):
        """A message with a good seal; its body is a list of fields, or bytes as they are."""
        names = ("version", "kind", "session", "round", "sender")
        values = {**dict(zip(names, self.fields, strict=False)), **changes}
        version = values.pop("version")
        session, number, sender = values["session"], values["round"], values["sender"]
        sent = self.body if body is None else body
        signer = identity or self.identity
        data = messages.envelope(values["kind"], sent, session, number, sender, binding or self.binding, signer)
        return data if version == 1 else b"\x97" + msgpack.encode(version) + data[2:]

    def add_body(self, what, body, error):
        self.add(what, self.sealed(body), error)

    def changed(self, *path_and_value):
        """The body with one value exchanged."""
        *path, value = path_and_value
        return exchanged(self.body, path, value)


def exchanged(tree, path, value):
    """A copy of nested lists with the value at `path` exchanged; None takes it away."""
    head, *rest = path
    copy = list(tree)
    if rest:
        copy[head] = exchanged(tree[head], rest, value)
    elif value is None:
        del copy[head]
    else:
        copy[head] = value
    return copy


def flip(data, bit):
    changed = bytearray(data)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def envelopes(spoiler):
    """What no message may be, whatever its kind."""
    good, fields, case = spoiler.good, spoiler.fields, spoiler.case
    body, seal = fields[5], fields[6]
    start = good.index(body) if body else 0
    end = MALFORMED if spoiler.identity is None else REFUSED
    spoiler.add("empty", b"", MALFORMED)
    spoiler.add("truncated by one byte", good[:-1], MALFORMED)
    spoiler.add("truncated in the middle", good[: len(good) // 2], MALFORMED)
    spoiler.add("extended by one byte", good + b"\x00", MALFORMED)
    # The last byte of an invitation's body is of the roster digest, which is compared before the seal.
    flipped = REFUSED if spoiler.kind == "invite" else end
    spoiler.add("a flipped bit of the body", flip(good, 8 * (start + len(body) - 1)), flipped)
    spoiler.add("a flipped bit of the seal", flip(good, 8 * len(good) - 1), end)
    spoiler.add("version 0", spoiler.sealed(version=0), MALFORMED)
    spoiler.add("version 2", spoiler.sealed(version=2), MALFORMED)
    spoiler.add("kind 10", spoiler.sealed(kind=10), MALFORMED)
    spoiler.add("an unneeded byte for the version", b"\x97\xcc\x01" + good[2:], MALFORMED)
    spoiler.add("an unneeded byte for the kind", good[:2] + b"\xcc" + good[2:], MALFORMED)
    spoiler.add("an unneeded byte for the round", good[:21] + b"\xcc" + good[21:], MALFORMED)
    spoiler.add("a wide array header", b"\xdc\x00\x07" + good[1:], MALFORMED)
    spoiler.add("a field too many", b"\x98" + good[1:] + b"\x00", MALFORMED)
    spoiler.add("a field too few", msgpack.encode(fields[:6]), MALFORMED)
    spoiler.add("a map", b"\x81\x00" + good, MALFORMED)
    spoiler.add("a session of 15 bytes", msgpack.encode(exchanged(fields, [2], fields[2][:15])), MALFORMED)
    spoiler.add("round 2^32", msgpack.encode(exchanged(fields, [3], 2**32)), MALFORMED)
    spoiler.add("a negative round", good[:21] + b"\xff" + good[22:], MALFORMED)
    spoiler.add("sender 2^32", msgpack.encode(exchanged(fields, [4], 2**32)), MALFORMED)
    spoiler.add("body as text", msgpack.encode(exchanged(fields, [5], "text")), MALFORMED)
    spoiler.add("no seal", msgpack.encode(exchanged(fields, [6], b"")), MALFORMED)
    spoiler.add("a seal of 65 bytes", msgpack.encode(exchanged(fields, [6], seal + bytes(65 - len(seal)))), MALFORMED)
    longest = messages.body_limit(fields[1], case.round.parties)
    if longest < 5000:
        spoiler.add("a body beyond its limit", spoiler.sealed(bytes(longest + 1)), MALFORMED)
    spoiler.add("a body with a field too many", spoiler.sealed([*spoiler.body, 0]), MALFORMED)
    spoiler.add("a body with a field too few", spoiler.sealed(spoiler.body[:-1]), MALFORMED)
    spoiler.add("a body extended by one byte", spoiler.sealed(body + b"\x00"), MALFORMED)
    spoiler.add("a body truncated by one byte", spoiler.sealed(body[:-1]), MALFORMED)
    spoiler.add("an empty body", spoiler.sealed(b""), MALFORMED)
    wide = b"\xdc\x00" + bytes([body[0] & 0x0F]) + body[1:]
    spoiler.add("a body with a wide array header", spoiler.sealed(wide), MALFORMED)
    if spoiler.kind != "invite":
        spoiler.add("of another session", spoiler.sealed(session=stream("another", 16)), REFUSED)
        spoiler.add("of another round", spoiler.sealed(round=2), REFUSED)
        spoiler.add("sealed for another context", spoiler.sealed(binding=stream("another", 32)), end)
    other = case.places()["advertise" if spoiler.kind != "advertise" else "shares"]
    spoiler.add("a kind that may not come", spoiler.sealed(case.fields(other)[5], kind=case.fields(other)[1]), REFUSED)
    if spoiler.up:
        spoiler.add("a sender off the roster", spoiler.sealed(sender=case.round.parties), REFUSED)
        spoiler.add("the server as sender", spoiler.sealed(sender=messages.SERVER), REFUSED)
        if case.identities:
            spoiler.add("signed by another party", spoiler.sealed(identity=case.identities[spoiler.party + 1]), REFUSED)
            plain = messages.sealed_data(spoiler.binding, *fields[1:6])[:16]
            spoiler.add("a checksum for a signature", msgpack.encode(exchanged(fields, [6], plain)), REFUSED)
    else:
        spoiler.add("a party as sender", spoiler.sealed(sender=0), REFUSED)


def invites(s):
    plan, bad = s.case.plan.fields(), stream("other roster", 32)
    theirs = keys.ctx0(s.case.round.session, s.case.round.number, bad)
    s.add("another roster", s.sealed(s.changed(1, bad), binding=theirs), REFUSED)
    s.add("sealed for another roster", s.sealed(binding=theirs), MALFORMED)
    s.add_body("a roster digest of 31 bytes", s.changed(1, bad[:31]), MALFORMED)
    s.add_body("a plan that is none", s.changed(0, b"plan"), MALFORMED)

    def spoil(what, path, value, error):
        s.add_body(what, s.changed(0, msgpack.encode(exchanged(plan, path, value))), error)

    s.add_body("a plan with bytes after its end", s.changed(0, msgpack.encode(plan) + b"\x00"), MALFORMED)
    spoil("a plan of version 2", [0], 2, MALFORMED)
    spoil("a plan of another protocol", [1], "plain", MALFORMED)
    spoil("a plan with a field too few", [18], None, MALFORMED)
    spoil("a bound that is an integer", [12], 1, MALFORMED)
    spoil("a prefetch that is an integer", [9], 1, MALFORMED)
    spoil("an unknown server model", [2], "honest", REFUSED)
    spoil("an unknown graph", [3], "star", REFUSED)
    spoil("a plan for other parties", [4], s.case.round.parties + 1, REFUSED)
    spoil("threshold 1", [5], 1, REFUSED)
    spoil("a threshold of all", [5], s.case.round.parties, REFUSED)
    spoil("as many colluders as the threshold", [6], s.case.round.threshold, REFUSED)
    spoil("two survivors", [7], 2, REFUSED)
    spoil("more survivors than parties", [7], s.case.round.parties + 1, REFUSED)
    spoil("a ring that overflows", [10], 8, REFUSED)
    spoil("a neighbour too few", [8], plan[8] - 1, REFUSED)
    if s.case.round.parties > 3:  # three parties on a ring are a complete graph, and that plan can be made
        spoil("the other graph", [3], "complete" if s.case.round.degree else "k-regular", REFUSED)
    if s.case.round.degree:
        spoil("a k-regular graph under an active server", [2], "active", REFUSED)
        spoil("a degree at which the honest may fall apart", [8], 2, REFUSED)
        spoil("a degree of all", [8], s.case.round.parties, REFUSED)
        spoil("a threshold that does not live", [5], 3, REFUSED)
        spoil("colluders who could open a secret", [6], 2, REFUSED)
        spoil("a floor that lets the honest fall apart", [7], 5, REFUSED)
    if plan[15]:
        two = [["loss", 0.0, 1.0], ["accuracy", 0.0, 1.0]]
        spoil("metrics out of order", [15], two, MALFORMED)
        spoil("a metric twice", [15], [two[0], two[0]], MALFORMED)


def advertises(s):
    mask_key, share_key, signature = s.body
    for size in (0, 31, 33):
        s.add_body(f"a mask key of {size} bytes", s.changed(0, bytes(size)), MALFORMED)
        s.add_body(f"a share key of {size} bytes", s.changed(1, bytes(size)), MALFORMED)
    s.add_body("a signature of 65 bytes", s.changed(2, bytes(65)), MALFORMED)

    def signed(*pair, signer=0, party=0):
        data = keys.advertise_data(s.case.round.ctx0, party, *pair)
        return [*pair, ed25519.sign(s.case.identities[signer], data) if s.case.identities else b""]

    s.add_body("one key twice", signed(mask_key, mask_key), REFUSED)
    if s.case.identities:
        s.add_body("no signature", s.changed(2, b""), REFUSED)
        s.add_body("a truncated signature", s.changed(2, signature[:63]), REFUSED)
        s.add_body("another party's signature", signed(mask_key, share_key, signer=1), REFUSED)
        s.add_body("a signature for another party", signed(mask_key, share_key, party=1), REFUSED)
        s.add_body("the keys exchanged", [share_key, mask_key, signature], REFUSED)
    else:
        s.add_body("a signature that nobody would check", s.changed(2, bytes(64)), REFUSED)


def rosters(s):
    plan, model, _, attending, entries, _ = s.body

    def listed(what, changed, error, root=None):
        correct = keys.key_list_root([row[:3] for row in changed])
        s.add_body(what, [plan, model, root or correct, len(changed), changed, []], error)

    def signed(row):
        data = keys.advertise_data(s.case.round.ctx0, *row[:3])
        return [*row[:3], ed25519.sign(s.case.identities[row[0]], data) if s.case.identities else b""]

    s.add_body("another plan", s.changed(0, stream("other plan", 32)), REFUSED)
    s.add_body("another root", s.changed(2, stream("other root", 32)), REFUSED)
    s.add_body("a root of 31 bytes", s.changed(2, bytes(31)), MALFORMED)
    tree_root = merkle.root([keys.key_leaf(*row[:3]) for row in entries])
    s.add_body("the root of the tree alone", s.changed(2, tree_root), REFUSED)
    s.add_body("a root for one party more", s.changed(2, keys.sized_root(tree_root, attending + 1)), REFUSED)
    s.add_body("a party index of 65536", s.changed(4, 2, 0, 65536), MALFORMED)
    s.add_body("a mask key of 31 bytes", s.changed(4, 1, 1, bytes(31)), MALFORMED)
    for number in (0, attending - 1, attending + 1, 65536):
        s.add_body(f"{number} attending", s.changed(3, number), REFUSED)
    s.add_body("65537 attending", s.changed(3, 65537), MALFORMED)
    leaves = [keys.key_leaf(*row[:3]) for row in entries]
    proofs = [[place, merkle.path(leaves, place)] for place in range(len(leaves))]
    s.add_body("proofs on the complete graph", s.changed(5, proofs), REFUSED)
    s.add_body("one empty proof on the complete graph", s.changed(5, [[0, b""]]), REFUSED)
    listed("out of order", [entries[0], entries[2], entries[1]], REFUSED)
    listed("a party twice", [*entries, entries[2]], REFUSED)
    listed("a party that is not on the roster", [*entries, [3, bytes(32), stream("x", 32), entries[2][3]]], REFUSED)
    listed("too few parties", entries[:2], REFUSED)
    listed("nobody", [], REFUSED)
    listed("the receiver missing", entries[1:], REFUSED)
    listed(
        "the receiver's mask key exchanged",
        [signed(exchanged(entries[0], [1], stream("k", 32))), *entries[1:]],
        REFUSED,
    )
    listed("another party's key twice", [*entries[:2], signed(exchanged(entries[2], [1], entries[1][1]))], REFUSED)
    listed("a share key of small order", [*entries[:2], signed(exchanged(entries[2], [2], bytes(32)))], REFUSED)
    wide = (int.from_bytes(entries[2][2], "little") | 1 << 255).to_bytes(32, "little")
    listed("a share key with its top bit set", [*entries[:2], signed(exchanged(entries[2], [2], wide))], REFUSED)
    if s.case.identities:
        listed("keys with no signature", exchanged(entries, [1, 3], b""), REFUSED)
        listed("keys with another party's signature", exchanged(entries, [1, 3], entries[2][3]), REFUSED)
        listed("a key exchanged under the signature", exchanged(entries, [1, 1], stream("k", 32)), REFUSED)
    else:
        listed("a signature that nobody would check", exchanged(entries, [1, 3], bytes(64)), REFUSED)


def ring_rosters(s):
    """The part of the key list that a party sees on the k-regular graph."""
    *_, root, attending, entries, proofs = s.body
    seen = {row[0] for row in entries}
    rows, leaves = advertised(s.case)
    strangers = [(row, [place, merkle.path(leaves, place)]) for place, row in enumerate(rows) if row[0] not in seen]

    def shown(what, pairs, error=REFUSED):
        pairs = list(pairs)
        s.add_body(what, [*s.body[:4], [row for row, _ in pairs], [proof for _, proof in pairs]], error)

    good = list(zip(entries, proofs, strict=True))
    shown("a neighbour missing", good[:-1])
    shown("a neighbour too many, with a good proof", sorted([*good, strangers[0]]))
    shown("everybody, with good proofs", sorted([*good, *strangers]))
    shown("the receiver missing, for another", sorted([*good[1:], strangers[0]]))
    shown("the receiver alone", good[:1])
    shown("nobody", [])
    shown("out of order", [good[0], good[2], good[1], *good[3:]])
    shown("a neighbour twice", [*good[:2], good[1], *good[3:]])
    s.add_body("no proofs", s.changed(5, []), REFUSED)
    s.add_body("a proof missing", s.changed(5, proofs[:-1]), REFUSED)
    s.add_body("a proof too many", s.changed(5, [*proofs, proofs[0]]), REFUSED)
    s.add_body("two proofs exchanged", s.changed(5, [proofs[0], proofs[2], proofs[1], *proofs[3:]]), REFUSED)
    place, path = proofs[1]
    s.add_body("a proof of another place", s.changed(5, 1, 0, place ^ 1), REFUSED)
    s.add_body("a proof of a place beyond the last", s.changed(5, 1, 0, attending), REFUSED)
    s.add_body("a proof of place 65536", s.changed(5, 1, 0, 65536), MALFORMED)
    s.add_body("a flipped bit of a path", s.changed(5, 1, 1, flip(path, 77)), REFUSED)
    s.add_body("a node of a path missing", s.changed(5, 1, 1, path[32:]), REFUSED)
    s.add_body("a node of a path too many", s.changed(5, 1, 1, path + bytes(32)), REFUSED)
    s.add_body("a path a byte short", s.changed(5, 1, 1, path[:-1]), REFUSED)
    s.add_body("an empty path", s.changed(5, 1, 1, b""), REFUSED)
    s.add_body("a path of 17 nodes", s.changed(5, 1, 1, bytes(17 * 32)), MALFORMED)
    s.add_body("the nodes of a path exchanged", s.changed(5, 1, 1, path[32:64] + path[:32] + path[64:]), REFUSED)
    s.add_body("another root", s.changed(2, flip(root, 0)), REFUSED)
    s.add_body("a neighbour's key exchanged", s.changed(4, 1, 1, x25519.public_key(stream("k", 32))), REFUSED)
    s.add_body("a neighbour's key of small order", s.changed(4, 1, 1, bytes(32)), REFUSED)
    s.add_body("a neighbour under another name", s.changed(4, 4, 0, 7 if entries[4][0] != 7 else 6), REFUSED)
    s.add_body("a signature that nobody would check", s.changed(4, 1, 3, bytes(64)), REFUSED)
    for number in (0, attending - 3, attending - 2, attending - 1, attending + 1, 65536):
        s.add_body(f"{number} attending", s.changed(3, number), REFUSED)
    s.add_body("the root of the tree alone", s.changed(2, merkle.root(leaves)), REFUSED)
    for number in (attending - 1, attending + 1):
        s.add_body(f"a root for {number}", s.changed(2, keys.sized_root(merkle.root(leaves), number)), REFUSED)
    s.add_body("65537 attending", s.changed(3, 65537), MALFORMED)
    s.add_body("another plan", s.changed(0, stream("other plan", 32)), REFUSED)

    def ordered(what, listed):
        """A whole list in another order than the roster's, with its own root and good proofs."""
        mixed = [keys.key_leaf(*row[:3]) for row in listed]
        places = [listed.index(row) for row in entries]
        changed = {2: keys.sized_root(merkle.root(mixed), attending), 5: [[i, merkle.path(mixed, i)] for i in places]}
        s.add_body(what, [changed.get(field, value) for field, value in enumerate(s.body)], REFUSED)

    apart = [row for row, _ in strangers]
    exchange = {entries[-1][0]: entries[-2], entries[-2][0]: entries[-1]}
    ordered("two neighbours at each other's places", [exchange.get(row[0], row) for row in rows])
    ordered("a list that begins with its last stranger", [apart[-1], *(row for row in rows if row != apart[-1])])
    ordered("a list that ends with its first stranger", [*(row for row in rows if row != apart[0]), apart[0]])


def advertised(case):
    """Everybody's rows of the key list, and its leaves."""
    rows = {}
    for place, (up, party, _) in enumerate(case.transcript.messages):
        if up and case.kind(place) == "advertise":
            rows[party] = [party, *msgpack.decode(case.fields(place)[5])]
    rows = [rows[party] for party in sorted(rows)]
    return rows, [keys.key_leaf(*row[:3]) for row in rows]


def stranger(s):
    """A party that is not the sender's or receiver's neighbour."""
    return min(set(range(s.case.round.parties)) - s.case.transcript.graph[s.party] - {s.party})


def ring_shares(s):
    _, sealed = s.body
    other = stranger(s)
    s.add_body("a neighbour missing", s.changed(1, sealed[:-1]), MALFORMED)
    s.add_body("a stranger too many", s.changed(1, sorted([*sealed, [other, *sealed[0][1:]]])), MALFORMED)
    s.add_body("a stranger for a neighbour", s.changed(1, sorted([*sealed[1:], [other, *sealed[0][1:]]])), MALFORMED)
    s.add_body("shares for itself", s.changed(1, sorted([*sealed[1:], [s.party, *sealed[0][1:]]])), MALFORMED)
    s.add_body("nobody", s.changed(1, []), MALFORMED)


def ring_ciphertexts(s):
    (sealed,) = s.body
    s.add_body("of a stranger", [sorted([*sealed, [stranger(s), *sealed[0][1:]]])], REFUSED)
    s.add_body("from itself", [sorted([*sealed, [s.party, *sealed[0][1:]]])], REFUSED)
    s.add_body("fewer than t", [sealed[: s.case.round.threshold - 1]], REFUSED)
    s.add_body("none", [[]], REFUSED)
    s.add_body("a flipped bit", s.changed(0, 0, 1, flip(sealed[0][1], 300)), ABORTED)
    s.add_body(
        "the dealers exchanged",
        [[[sealed[0][0], *sealed[1][1:]], [sealed[1][0], *sealed[0][1:]], *sealed[2:]]],
        ABORTED,
    )


def ring_masked_inputs(s):
    n, around = s.case.round.parties, s.case.transcript.graph[s.party]
    s.add_body("A_u with a stranger", s.changed(1, bitmap.pack(around | {stranger(s)}, n)), REFUSED)
    s.add_body("A_u with itself", s.changed(1, bitmap.pack(around | {s.party}, n)), REFUSED)
    s.add_body("A_u too small", s.changed(1, bitmap.pack(sorted(around)[1:], n)), REFUSED)
    s.add_body("A_u of everybody else", s.changed(1, bitmap.pack(set(range(n)) - {s.party}, n)), REFUSED)


def ring_unmasks(s):
    n, floor = s.case.round.parties, s.case.round.min_survivors
    s.add_body("without the receiver", s.changed(0, bitmap.pack(set(range(n)) - {s.party}, n)), REFUSED)
    s.add_body("below the floor", s.changed(0, bitmap.pack(range(floor - 1), n)), REFUSED)
    s.add_body(
        "the neighbourhood alone", s.changed(0, bitmap.pack(s.case.transcript.graph[s.party] | {s.party}, n)), REFUSED
    )
    s.add_body("nobody", s.changed(0, bytes(1)), REFUSED)
    s.add_body("in two bytes", s.changed(0, s.body[0] + b"\x00"), MALFORMED)
    s.add_body("in no byte", s.changed(0, b""), MALFORMED)
    s.add_body("a signature that nobody would check", s.changed(1, [[0, bytes(64)]]), REFUSED)


def ring_unmask_shares(s):
    rows, ahead = s.body
    s.add_body("a neighbour missing", [rows[:-1], ahead], REFUSED)
    s.add_body("a share of a stranger", [sorted([*rows, [stranger(s), *rows[0][1:]]]), ahead], REFUSED)
    s.add_body(
        "a share of a stranger for a neighbour's", [sorted([*rows[1:], [stranger(s), *rows[0][1:]]]), ahead], REFUSED
    )
    s.add_body("the wrong label", s.changed(0, 0, 1, "mask_key"), REFUSED)
    s.add_body("a lying share", s.changed(0, 0, 2, flip(rows[0][2], 200)), REFUSED)
    ahead_of_no_round(s)


def shares(s):
    commitments, sealed = s.body
    s.add_body("a holder missing", s.changed(1, sealed[:1]), MALFORMED)
    s.add_body("a holder twice", s.changed(1, [sealed[0], *sealed]), MALFORMED)
    s.add_body("holders out of order", s.changed(1, sealed[::-1]), MALFORMED)
    s.add_body("shares for itself", s.changed(1, [exchanged(sealed[0], [0], 0), *sealed]), MALFORMED)
    s.add_body("a stranger as holder", s.changed(1, 1, 0, 3), MALFORMED)
    s.add_body("no commitment", s.changed(0, []), MALFORMED)
    s.add_body("one commitment", s.changed(0, commitments[:1]), MALFORMED)
    s.add_body("three commitments", s.changed(0, [*commitments, commitments[0]]), MALFORMED)
    s.add_body("a commitment of 31 bytes", s.changed(0, 0, bytes(31)), MALFORMED)
    s.add_body("digests of 31 bytes", s.changed(1, 0, 2, bytes(31)), MALFORMED)
    s.add_body("one digest", s.changed(1, 0, 2, bytes(32)), MALFORMED)
    s.add_body("digests of 65 bytes", s.changed(1, 0, 2, bytes(65)), MALFORMED)
    s.add_body("a ciphertext of 3613 bytes", s.changed(1, 0, 1, bytes(3613)), MALFORMED)
    s.add_body("a holder as text", s.changed(1, 0, 0, "1"), MALFORMED)


def ciphertexts(s):
    (sealed,) = s.body
    s.add_body("a flipped bit", s.changed(0, 0, 1, flip(sealed[0][1], 300)), ABORTED)
    s.add_body("a truncated ciphertext", s.changed(0, 0, 1, sealed[0][1][:-1]), ABORTED)
    s.add_body("an empty ciphertext", s.changed(0, 0, 1, b""), ABORTED)
    s.add_body("another digest", s.changed(0, 0, 2, flip(sealed[0][2], 0)), ABORTED)
    s.add_body("the digests exchanged", s.changed(0, 0, 2, sealed[0][2][32:] + sealed[0][2][:32]), ABORTED)
    crossed = [[sealed[0][0], *sealed[1][1:]], [sealed[1][0], *sealed[0][1:]]]
    s.add_body("the dealers exchanged", [crossed], ABORTED)
    s.add_body("out of order", [sealed[::-1]], REFUSED)
    s.add_body("a dealer twice", [[*sealed, sealed[1]]], REFUSED)
    s.add_body("from itself", [[exchanged(sealed[0], [0], 0), *sealed]], REFUSED)
    s.add_body("too few", [sealed[:1]], REFUSED)
    s.add_body("none", [[]], REFUSED)
    # What a dealer, who has the key, can do: bundles that are sealed as they should be.
    roster = next(d for up, party, d in s.case.transcript.messages if not up and party == 1 and kind_of(d) == "roster")
    dealer = protocol.Party(s.case.round, 1, s.case.draws[1], s.case.vectors[1])
    dealer.share_keys(roster)
    held = protocol.Party(s.case.round, 0, s.case.draws[0], s.case.vectors[0])
    own = next(d for up, party, d in s.case.transcript.messages if not up and party == 0 and kind_of(d) == "roster")
    held.share_keys(own)
    good = held._open_shares(dict(zip(("party", "ciphertext", "share_digests"), sealed[0], strict=True)))

    def dealt(what, bundle):
        nonce = stream(f"{what} nonce", 12)
        _, ciphertext, digests = dealer._seal_shares(0, nonce, bundle)
        s.add_body(what, s.changed(0, 0, [1, ciphertext, digests]), ABORTED)

    dealt("a bundle in another order", dict(reversed(good.items())))
    dealt("a bundle with one share", {"self_mask": good["self_mask"]})
    dealt("a bundle with an unknown label", {"self_mask": good["self_mask"], "noise_0": good["mask_key"]})
    dealt("a share of 32 bytes", {**good, "mask_key": good["mask_key"][1:]})
    dealt("a share of p", {**good, "mask_key": shamir.P.to_bytes(33, "big")})


def masked_inputs(s):
    chunk, neighbours, data = s.body
    bits, n = s.case.round.bits, s.case.round.parties
    width = -(-bits // 8)
    s.add_body("a word of 2^b", s.changed(2, (2**bits).to_bytes(width, "little") + data[width:]), MALFORMED)
    s.add_body("a word short", s.changed(2, data[width:]), MALFORMED)
    s.add_body("a word long", s.changed(2, data + bytes(width)), MALFORMED)
    s.add_body("a byte short", s.changed(2, data[1:]), MALFORMED)
    s.add_body("a chunk that is not due", s.changed(0, chunk + 1), REFUSED)
    s.add_body("chunk 2^32", s.changed(0, 2**32), MALFORMED)
    s.add_body("A_u with itself", s.changed(1, bitmap.pack(range(n), n)), REFUSED)
    s.add_body("A_u too small", s.changed(1, bitmap.pack([1], n)), REFUSED)
    s.add_body("A_u with a party beyond the last", s.changed(1, bytes([neighbours[0] | 1 << n])), MALFORMED)
    s.add_body("A_u in two bytes", s.changed(1, neighbours + b"\x00"), MALFORMED)
    s.add_body("no A_u", s.changed(1, b""), MALFORMED)


def survivor_sets(s):
    n = s.case.round.parties
    s.add_body("without the receiver", s.changed(0, bitmap.pack(range(1, n), n)), REFUSED)
    s.add_body("below the floor", s.changed(0, bitmap.pack(range(n - 1), n)), REFUSED)
    s.add_body("nobody", s.changed(0, bytes(1)), REFUSED)
    s.add_body("a party beyond the last", s.changed(0, bytes([2 ** (n + 1) - 1])), MALFORMED)
    s.add_body("in two bytes", s.changed(0, s.body[0] + b"\x00"), MALFORMED)
    s.add_body("in no byte", s.changed(0, b""), MALFORMED)


def survivors(s):
    survivor_sets(s)


def consistencies(s):
    seed, ctx = s.case.identities[0], s.case.transcript.ctx
    s.add_body("a signature of 63 bytes", [s.body[0][:63]], MALFORMED)
    s.add_body("a signature of 65 bytes", [s.body[0] + b"\x00"], MALFORMED)
    s.add_body("of other survivors", [ed25519.sign(seed, keys.survivors_data(ctx, [0, 1]))], REFUSED)
    other = ed25519.sign(seed, keys.survivors_data(stream("other ctx", 32), [0, 1, 2]))
    s.add_body("of another context", [other], REFUSED)
    other = ed25519.sign(s.case.identities[1], keys.survivors_data(ctx, [0, 1, 2]))
    s.add_body("of another party", [other], REFUSED)


def unmasks(s):
    survivor_sets(s)
    if not s.case.identities:
        s.add_body("a signature that nobody would check", s.changed(1, [[0, bytes(64)]]), REFUSED)
        return
    rows = s.body[1]
    s.add_body("too few signatures", s.changed(1, rows[:1]), REFUSED)
    s.add_body("no signatures", s.changed(1, []), REFUSED)
    s.add_body("a signature twice", s.changed(1, [rows[0], rows[0]]), REFUSED)
    s.add_body("signatures out of order", s.changed(1, rows[::-1]), REFUSED)
    s.add_body("a stranger's signature", s.changed(1, [*rows, [3, rows[0][1]]]), REFUSED)
    s.add_body("a signature under another name", s.changed(1, [rows[0], [2, rows[1][1]]]), REFUSED)
    s.add_body("one bad signature among enough", s.changed(1, 2, 1, flip(rows[2][1], 9)), REFUSED)
    s.add_body("a signature of 63 bytes", s.changed(1, 0, 1, rows[0][1][:63]), MALFORMED)


def unmask_shares(s):
    rows, ahead = s.body
    s.add_body("an owner missing", [rows[:1], ahead], REFUSED)
    s.add_body("no shares", [[], ahead], REFUSED)
    s.add_body("an owner twice", [[rows[0], *rows], ahead], REFUSED)
    s.add_body("owners out of order", [rows[::-1], ahead], REFUSED)
    s.add_body("a share of itself", [[[0, *rows[0][1:]], *rows], ahead], REFUSED)
    s.add_body("a lying share", s.changed(0, 0, 2, flip(rows[0][2], 200)), REFUSED)
    s.add_body("another owner's share", s.changed(0, 0, 2, rows[1][2]), REFUSED)
    s.add_body("the wrong label", s.changed(0, 0, 1, "mask_key"), REFUSED)
    s.add_body("an unknown label", s.changed(0, 0, 1, "noise_0"), REFUSED)
    s.add_body("a label with a capital", s.changed(0, 0, 1, "Self_mask"), MALFORMED)
    s.add_body("an empty label", s.changed(0, 0, 1, ""), MALFORMED)
    s.add_body("a label of 17 characters", s.changed(0, 0, 1, "a" * 17), MALFORMED)
    s.add_body("a share of 32 bytes", s.changed(0, 0, 2, rows[0][2][1:]), MALFORMED)
    s.add_body("a share of 34 bytes", s.changed(0, 0, 2, b"\x00" + rows[0][2]), MALFORMED)
    s.add_body("an owner of 65536", s.changed(0, 0, 0, 65536), MALFORMED)
    ahead_of_no_round(s)
    s.add_body("next keys of 513 bytes", s.changed(1, bytes(513)), MALFORMED)
    s.add_body("next keys as text", s.changed(1, "keys"), MALFORMED)
    s.add_body("next keys of nil", msgpack.encode([rows, b""])[:-2] + b"\xc0", MALFORMED)


BODIES = {
    "invite": invites,
    "advertise": advertises,
    "roster": rosters,
    "shares": shares,
    "ciphertexts": ciphertexts,
    "masked_input": masked_inputs,
    "survivors": survivors,
    "consistency": consistencies,
    "unmask": unmasks,
    "unmask_shares": unmask_shares,
}
RING_BODIES = {
    "invite": invites,
    "roster": ring_rosters,
    "shares": ring_shares,
    "ciphertexts": ring_ciphertexts,
    "masked_input": ring_masked_inputs,
    "unmask": ring_unmasks,
    "unmask_shares": ring_unmask_shares,
}


def other_sizes(cases):
    """Lists said to be longer or shorter than they are, in rosters whose every path leads to the tree's root all the same.

    With the path alone such a lie would pass: a leaf's siblings are the same in trees of more than one size.
    """
    rows = []
    for case in cases.values():
        if not case.round.degree or case.transcript.aborted:
            continue
        tree_root = merkle.root(advertised(case)[1])
        for place, (up, party, _) in enumerate(case.transcript.messages):
            if up or case.kind(place) != "roster":
                continue
            s = Spoiler(case, "roster")
            s.place, s.party, s.fields = place, party, case.fields(place)
            s.body = msgpack.decode(s.fields[5])
            *_, attending, entries, _ = s.body
            for number in (attending - 1, attending + 1):
                fitting = case.round.quorum <= number <= case.round.parties
                if fitting and case.round.neighbours(number) == len(entries) - 1 and lead_to(tree_root, number, s.body):
                    what = f"{number} attending where {attending} are, to {party}, with paths that fit"
                    s.add_body(what, s.changed(3, number), REFUSED)
            rows += s.rows
    assert rows
    return rows


def lead_to(tree_root, size, body):
    """Whether all paths of a roster lead to the root of the tree, were there as many leaves as `size`."""
    try:
        return all(
            merkle.root_from_path(keys.key_leaf(*row[:3]), place, size, path) == tree_root
            for row, (place, path) in zip(body[4], body[5], strict=True)
        )
    except Refused:
        return False


def ahead_of_no_round(s):
    """Keys of the next round under a plan without prefetch: with a good seal, or just anything."""
    r, later = s.case.round, s.case.round.number + 1
    context = keys.ctx0(r.session, later, r.roster_digest)
    pair = [x25519.public_key(stream(f"unasked {which}", 32)) for which in ("mask key", "share key")]
    signature = ed25519.sign(s.identity, keys.advertise_data(context, s.party, *pair)) if s.identity else b""
    good = messages.envelope(messages.ADVERTISE, [*pair, signature], r.session, later, s.party, context, s.identity)
    s.add_body("keys of the next round without prefetch", s.changed(1, good), REFUSED)
    s.add_body("one byte as next keys without prefetch", s.changed(1, b"\x00"), REFUSED)
    s.add_body("512 bytes as next keys without prefetch", s.changed(1, bytes(512)), REFUSED)


RING_SHAPES = ("k-regular-8-drops-at-advertise", "k-regular-8-drops-at-share-keys")


def larger_rounds(cases):
    """Survivor sets that no floor refuses, so that each has to be refused for what it is."""
    case = cases["semi-honest-5-drops"]  # A_0 = {1, 2, 4}, U3 = {0, 2, 4}
    s = Spoiler(case, "unmask")
    s.add_body("without the receiver", s.changed(0, bitmap.pack([1, 2, 4], 5)), REFUSED)
    s.add_body("with a party that dealt nothing", s.changed(0, bitmap.pack([0, 2, 3, 4], 5)), REFUSED)
    rows = s.rows

    case = cases["active-5-drop"]  # A_0 = {1, 2, 3, 4}, U3 = {0, 1, 2, 4}
    s = Spoiler(case, "survivors")
    s.add_body("without the receiver", s.changed(0, bitmap.pack([1, 2, 3, 4], 5)), REFUSED)
    rows += s.rows
    s = Spoiler(case, "unmask")
    shown = [0, 1, 2, 3]
    data = keys.survivors_data(case.transcript.ctx, shown)
    colluders = [[party, ed25519.sign(case.identities[party], data)] for party in (1, 2, 3)]
    s.add_body("another set than the one signed, with good signatures", [bitmap.pack(shown, 5), colluders], REFUSED)
    rows += s.rows

    for name in RING_SHAPES:
        case = cases[name]
        n, heard = case.round.parties, set(case.transcript.survivors)
        s = Spoiler(case, "unmask")
        s.add_body(
            "without the receiver",
            s.changed(0, bitmap.pack(heard - {s.party} | {min(set(range(n)) - heard)}, n)),
            REFUSED,
        )
        gone = sorted(party for party, step in case.shape["drops"].items() if step in {"advertise", "share_keys"})
        near = [party for party in gone if party in case.transcript.graph.get(s.party, ())]
        if near:
            s.add_body("with a neighbour that dealt nothing", s.changed(0, bitmap.pack(heard | {near[0]}, n)), REFUSED)
        if case.attending < n:
            more = heard | set(gone)
            s.add_body("more than advertised", s.changed(0, bitmap.pack(more, n)), REFUSED)
        rows += s.rows
    return rows


def negative(cases):
    """Envelopes are spoiled in one round, bodies in one of each server model and on the k-regular graph."""
    rows = []
    for name, bodies in (("active-3", BODIES), ("semi-honest-3", BODIES), ("k-regular-8", RING_BODIES)):
        for kind, spoil in bodies.items():
            if kind not in cases[name].places():
                continue
            spoiler = Spoiler(cases[name], kind)
            if name == "active-3" or kind == "masked_input":
                envelopes(spoiler)
            spoil(spoiler)
            rows += spoiler.rows
    return rows + larger_rounds(cases) + other_sizes(cases)


def late(cases):
    """Dealers whose lie nobody can see before a secret is rebuilt: the message is taken, the round ends at its last step."""
    rows = []
    lies = (
        ("semi-honest-3", 0, 0, "a commitment to another self mask"),
        ("active-3", 2, 0, "a commitment to another self mask"),
        ("k-regular-8", 5, 0, "a commitment to another self mask"),
        ("semi-honest-5-drops", 1, 1, "a commitment to another mask key, by a party that leaves"),
        ("k-regular-8-drops-at-masked-input", 7, 1, "a commitment to another mask key, by a party that leaves"),
    )
    for name, liar, label, what in lies:
        case = cases[name]
        s = Spoiler(case, "shares")
        sent = enumerate(case.transcript.messages)
        s.place = next(p for p, (up, party, _) in sent if up and party == liar and case.kind(p) == "shares")
        s.party, s.fields = liar, case.fields(s.place)
        s.body = msgpack.decode(s.fields[5])
        s.identity = case.identities[liar] if case.identities else None
        s.add_body(what, s.changed(0, label, flip(s.body[0][label], 5)), ABORTED)
        rows += [{**row, "at": "unmask"} for row in s.rows]
    return rows


def prefetched(cases):
    """Keys that came with the answers of the round before and are not used: their party is invited like everybody else."""
    rows = []
    for name in ("active-5-prefetch-2", "k-regular-7-prefetch-2"):
        case = cases[name]
        ahead = case.before.transcript.prefetched
        party, r = 1, case.round
        fields = msgpack.decode(ahead[party])
        mask_key, share_key, _ = body = msgpack.decode(fields[5])
        identity = case.identities[party] if case.identities else None

        def sealed(body, number=2, binding=None, sender=1, kind=messages.ADVERTISE, r=r, identity=identity):
            return messages.envelope(kind, body, r.session, number, sender, binding or r.ctx0, identity)

        def signed(*pair, ctx0=None, r=r, identity=identity):
            return [*pair, ed25519.sign(identity, keys.advertise_data(ctx0 or r.ctx0, 1, *pair)) if identity else b""]

        later = keys.ctx0(r.session, 3, r.roster_digest)
        bad = [
            ("no message", b"keys"),
            ("truncated", ahead[party][:-1]),
            ("a flipped bit", flip(ahead[party], 600)),
            ("of another party", ahead[2]),
            ("in the name of another party", sealed(body, sender=2)),
            ("in the name of the server", sealed(body, sender=messages.SERVER)),
            ("for the round before", sealed(signed(mask_key, share_key), number=1)),
            ("for the round after the next", sealed(signed(mask_key, share_key, ctx0=later), number=3, binding=later)),
            ("for another context", sealed(body, binding=stream("another", 32))),
            ("of another kind", sealed([b"", bytes(32)], kind=messages.INVITE)),
            ("one key twice", sealed(signed(mask_key, mask_key))),
            ("a key of small order", sealed(signed(mask_key, bytes(32)))),
            ("a key of the party before", sealed(signed(msgpack.decode(msgpack.decode(ahead[0])[5])[0], share_key))),
        ]
        if identity:
            unsigned = messages.envelope(messages.ADVERTISE, body, r.session, 2, 1, r.ctx0)
            bad += [
                ("keys without a signature", sealed([mask_key, share_key, b""])),
                ("a checksum for a seal", unsigned),
            ]
        rows += [{"round": name, "party": party, "what": what, "data": data} for what, data in bad]
    return rows
