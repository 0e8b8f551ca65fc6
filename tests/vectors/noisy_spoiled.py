"""What must be refused of rounds with XNoise: each message takes the place of a good one."""

from reference import bitmap, messages, msgpack, protocol, shamir
from vectors.spoiled import ABORTED, MALFORMED, REFUSED, Spoiler, exchanged, flip
from vectors.streams import stream


def shares(s):
    """To the server: what it can see of a dealing, numbers and lengths."""
    commitments, sealed = s.body
    several = len(commitments)
    s.add_body("a commitment missing", s.changed(0, commitments[:-1]), MALFORMED)
    s.add_body("a commitment too many", s.changed(0, [*commitments, commitments[-1]]), MALFORMED)
    s.add_body("a digest missing", s.changed(1, 0, 2, sealed[0][2][:-32]), MALFORMED)
    s.add_body("a digest too many", s.changed(1, 0, 2, sealed[0][2] + bytes(32)), MALFORMED)
    s.add_body("a ciphertext a byte short", s.changed(1, 0, 1, sealed[0][1][:-1]), MALFORMED)
    s.add_body("a ciphertext a byte long", s.changed(1, 0, 1, sealed[0][1] + b"\x00"), MALFORMED)
    for what, noise in (("no seeds of noise", 0), ("a seed too few", several - 3), ("a seed too many", several - 1)):
        dealer = dealer_of(s, s.party, noise)
        s.add_body(what, dealer._deal(), MALFORMED)


def dealer_of(s, party, noise):
    """A party of the reference that has the key list, and deals as many seeds of noise as it is told."""
    case = s.case
    dealer = protocol.Party(case.round, party, case.draws[party], case.vectors[party])
    sent = case.transcript.messages
    dealer.share_keys(
        next(data for p, (up, to, data) in enumerate(sent) if (up, to) == (False, party) and case.kind(p) == "roster")
    )
    other = type(case.round)(**{**case.round.__dict__, "noise": noise})
    draws = case.draws[party]
    more = {label: [5] * len(draws.coefficients["self_mask"]) for label in other.labels}
    dealer.round = other
    dealer.draws = protocol.Draws(
        draws.mask_private,
        draws.share_private,
        draws.seed,
        {**more, **draws.coefficients},
        draws.nonces,
        (*draws.noise, stream("one seed more", 32))[:noise],
    )
    return dealer


def ciphertexts(s):
    """To a party: bundles that their dealer has sealed as it should, with other shares than it should."""
    (sealed,) = s.body
    source = sealed[0][0]
    dealer = dealer_of(s, source, s.case.round.noise)
    held = dealer_of(s, s.party, s.case.round.noise)
    held.ctx = dealer.ctx
    good = held._open_shares(dict(zip(("party", "ciphertext", "share_digests"), sealed[0], strict=True)))
    last = s.case.round.labels[-1]

    def dealt(what, bundle):
        _, ciphertext, digests = dealer._seal_shares(s.party, stream(f"{what} nonce", 12), bundle)
        s.add_body(what, s.changed(0, 0, [source, ciphertext, digests]), ABORTED)

    without = {label: share for label, share in good.items() if label != last}
    dealt("a bundle without its last seed", without)
    dealt("a bundle without noise", {label: good[label] for label in ("self_mask", "mask_key")})
    dealt("a bundle with a seed too many", {**good, f"noise_{s.case.round.noise + 1}": good[last]})
    dealt(
        "a bundle with noise_0", {"self_mask": good["self_mask"], "mask_key": good["mask_key"], "noise_0": good[last]}
    )
    dealt("a bundle with noise_02", {**without, "noise_02": good[last]})
    dealt("a bundle with its seeds in another order", exchange(good, "noise_1", "noise_2"))
    dealt("a bundle with noise before the mask key", exchange(good, "mask_key", "noise_1"))
    dealt("a share of p of a seed", {**good, last: shamir.P.to_bytes(33, "big")})
    dealt("a share of 32 bytes of a seed", {**good, last: good[last][1:]})
    s.add_body("another digest of a seed's share", s.changed(0, 0, 2, flip(sealed[0][2], 8 * 32 * 3)), ABORTED)


def exchange(shares, one, other):
    """The same shares under the same labels, two of them at each other's place."""
    place = {one: other, other: one}
    return {label: shares[label] for label in (place.get(label, label) for label in shares)}


def survivor_sets(s):
    """To a party: sets from which more are missing than there is noise for."""
    n, noise = s.case.round.parties, s.case.round.noise
    members = sorted({s.party} | set(s.case.transcript.survivors))
    fewer = bitmap.pack(members[: n - noise - 1], n)
    s.add_body(f"{noise + 1} missing, where there is noise for {noise}", s.changed(0, fewer), REFUSED)


def unmask_shares(s):
    """To the server: other seeds than it is owed, or other shares of them."""
    case, (rows, ahead) = s.case, s.body
    sender = dealer_of(s, s.party, case.round.noise)
    sent = case.transcript.messages
    sender.masked_input(
        next(d for p, (up, to, d) in enumerate(sent) if (up, to) == (False, s.party) and case.kind(p) == "ciphertexts")
    )
    missing = case.round.parties - len(case.transcript.survivors)
    there = next(owner for owner in sender.held if owner in case.transcript.survivors)
    at = [place for place, row in enumerate(rows) if row[0] == there]

    def answered(what, shares, error=REFUSED):
        s.add_body(what, [shares, ahead], error)

    def own(owner, label):
        return [owner, label, sender.held[owner][label]]

    answered("no seeds of noise", [row for row in rows if not row[1].startswith("noise_")])
    answered("a seed of one owner missing", rows[: at[-1]] + rows[at[-1] + 1 :])
    answered("a seed before its owner's self mask", [*rows[: at[0]], rows[at[1]], rows[at[0]], *rows[at[1] + 1 :]])
    answered("a seed twice", [*rows[: at[-1] + 1], *rows[at[-1] :]])
    answered("a lying share of a seed", exchanged(rows, [at[-1], 2], flip(rows[at[-1]][2], 200)))
    answered("the share of another secret for a seed's", exchanged(rows, [at[-1], 2], rows[at[0]][2]))
    answered("noise_0 for a seed", exchanged(rows, [at[-1], 1], "noise_0"))
    answered("the label noise_02", exchanged(rows, [at[-1], 1], "noise_02"))
    answered("the mask key beside the self mask", [*rows[: at[0] + 1], own(there, "mask_key"), *rows[at[0] + 1 :]])
    answered("a seed beyond the last", [*rows[: at[-1] + 1], [there, "noise_3", rows[at[-1]][2]], *rows[at[-1] + 1 :]])
    answered("a label of 17 characters for a seed's", exchanged(rows, [at[-1], 1], "noise_" + "1" * 11), MALFORMED)
    if missing:
        answered("a seed whose noise stays in the sum", [*rows[: at[0] + 1], own(there, "noise_1"), *rows[at[0] + 1 :]])
    if len(at) > 2:
        answered("two seeds in another order", [*rows[: at[1]], rows[at[2]], rows[at[1]], *rows[at[2] + 1 :]])
    gone = [place for place, row in enumerate(rows) if row[1] == "mask_key"]
    if gone:
        (place, *_), left = gone, rows[gone[0]][0]
        answered("a seed of a party that left", [*rows[: place + 1], own(left, "noise_2"), *rows[place + 1 :]])
        answered("both secrets of a party that left", [*rows[:place], own(left, "self_mask"), *rows[place:]])
    longest = messages.body_limit(messages.UNMASK_SHARES, case.round.parties, case.round.degree, case.round.noise)
    fit = next(i for i in range(10**4) if len(msgpack.encode([(rows * i)[: i + 1], ahead])) > longest)
    answered("as many shares as a body holds", (rows * fit)[:fit])
    answered("one share more than a body holds", (rows * fit)[: fit + 1], MALFORMED)


BODIES = {"shares": shares, "ciphertexts": ciphertexts, "survivors": survivor_sets, "unmask": survivor_sets}
ROUNDS = {
    "xnoise-5": {**BODIES, "unmask_shares": unmask_shares},
    "xnoise-5-one-missing": {"unmask_shares": unmask_shares},
    "xnoise-active-5": {**BODIES, "unmask_shares": unmask_shares},
    "xnoise-k-regular-8": {**BODIES, "unmask_shares": unmask_shares},
}


def negative(cases):
    rows = []
    for name, bodies in ROUNDS.items():
        for kind, spoil in bodies.items():
            if kind in cases[name].places():
                spoiler = Spoiler(cases[name], kind)
                spoil(spoiler)
                rows += spoiler.rows
    return rows


def late(cases):
    """A commitment to another seed than the one dealt: nobody sees it before the seed is rebuilt."""
    rows = []
    for name, liar, number in (("xnoise-5", 0, 1), ("xnoise-5-one-missing", 4, 2), ("xnoise-active-5", 3, 2)):
        case = cases[name]
        s = Spoiler(case, "shares")
        sent = enumerate(case.transcript.messages)
        s.place = next(p for p, (up, party, _) in sent if up and party == liar and case.kind(p) == "shares")
        s.party, s.fields = liar, case.fields(s.place)
        s.body = msgpack.decode(s.fields[5])
        s.identity = case.identities[liar] if case.identities else None
        lie = flip(s.body[0][1 + number], 5)
        s.add_body(f"a commitment to another noise_{number}", s.changed(0, 1 + number, lie), ABORTED)
        rows += [{**row, "at": "unmask"} for row in s.rows]
    return rows
