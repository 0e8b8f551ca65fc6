"""Vectors of each derivation by itself, from the reference."""

from reference import bitmap, ed25519, gcm, keys, merkle, messages, msgpack, shamir, words, x25519
from reference import plan as plans
from reference.digest import H, checksum
from reference.keys import LABELS
from vectors.streams import below, stream


def digests():
    cases = [("x", []), ("x", [b""]), ("x", [b"", b""]), ("x", ["", 0]), ("label", [b"\x00\x01", 2**64 - 1, "Grüße"])]
    cases += [("x", ["ab", "c"]), ("x", ["a", "bc"]), ("xa", ["bc"]), ("x", [stream("digest", 300)])]
    typed = {bytes: "bytes", int: "int", str: "text"}
    rows = [
        {
            "label": label,
            "fields": [{typed[type(field)]: field} for field in fields],
            "digest": H(label, *fields),
            "checksum": checksum(label, *fields),
        }
        for label, fields in cases
    ]
    refused = [
        {"label": "x", "fields": [{"int": 2**64}], "error": "ValueError"},
        {"label": "x", "fields": [{"int": -1}], "error": "ValueError"},
    ]
    return {"positive": rows, "negative": refused}


def contexts():
    rows = []
    for n in (1, 2, 3, 4, 5, 8, 11):
        session, number = stream(f"context session {n}", 16), n * 1000
        roster, plan, model = (stream(f"context {what} {n}", 32) for what in ("roster", "plan", "model"))
        entries = [(2 * i, stream(f"mask {n} {i}", 32), stream(f"share {n} {i}", 32)) for i in range(n)]
        ctx0, root = keys.ctx0(session, number, roster), keys.key_list_root(entries)
        rows.append(
            {
                "session": session,
                "round": number,
                "roster_digest": roster,
                "plan_digest": plan,
                "model_digest": model,
                "entries": [{"party": party, "mask_key": mask, "share_key": share} for party, mask, share in entries],
                "leaves": [keys.key_leaf(*entry) for entry in entries],
                "ctx0": ctx0,
                "tree_root": merkle.root([keys.key_leaf(*entry) for entry in entries]),
                "root": root,
                "ctx": keys.ctx(ctx0, plan, model, root),
            }
        )
    return {"positive": rows}


def derived_keys():
    ctx = stream("keys ctx", 32)
    agreements, pairs, shares, selves = [], [], [], []
    for u, v in ((0, 1), (7, 3), (65535, 256)):
        one, other = stream(f"private {u}", 32), stream(f"private {v}", 32)
        agreed = x25519.agree(one, x25519.public_key(other))
        agreements.append(
            {"private": one, "public": x25519.public_key(one), "peer": x25519.public_key(other), "agreed": agreed}
        )
        pairs.append({"ctx": ctx, "agreed": agreed, "parties": [u, v], "key": keys.pair_key(ctx, agreed, u, v)})
        for source, destination in ((u, v), (v, u)):
            key = keys.share_key(ctx, agreed, source, destination)
            shares.append({"ctx": ctx, "agreed": agreed, "source": source, "destination": destination, "key": key})
        seed = stream(f"seed {u}", 32)
        selves.append({"ctx": ctx, "seed": seed, "party": u, "key": keys.self_key(ctx, seed, u)})
    small = [0, 1, 2**255 - 20, 2**255 - 19, 2**255 - 18]
    bad = [point.to_bytes(32, "little") for point in small] + [bytes(31), bytes(33)]
    refused = [{"private": stream("private 0", 32), "peer": peer, "error": "CryptoError"} for peer in bad]
    return {"agreement": agreements, "pair": pairs, "share": shares, "self": selves, "negative": refused}


def masks():
    rows = []
    for bits in (8, 20, 23, 32, 33, 64):
        for offset in (0, 1, 3, 4, 13, 2**20 - 2, 2**20):
            key = stream(f"mask {bits}", 32)
            rows.append({"key": key, "bits": bits, "offset": offset, "words": words.mask_words(key, 6, bits, offset)})
    vectors = []
    for bits in (8, 23, 33, 64):
        vector = [below(f"vector {bits} {i}", 2**bits) for i in range(5)]
        signed = [(stream(f"signed {bits} {i}", 32), -1 if i % 2 else 1) for i in range(3)]
        vectors.append(
            {
                "bits": bits,
                "vector": vector,
                "masks": [{"key": key, "sign": sign} for key, sign in signed],
                "masked": words.add_masks(vector, signed, bits),
            }
        )
    return {"words": rows, "masked": vectors}


def sharing():
    rows = []
    for t, points in ((1, [1, 2]), (2, [1, 2, 3]), (3, [1, 2, 4, 65536]), (5, [9, 1, 5, 2, 3, 8])):
        secret = stream(f"secret {t}", 32) if t > 1 else b"\xff" * 32
        coefficients = [below(f"coefficient {t} {i}", shamir.P) for i in range(t - 1)]
        shares = shamir.split(secret, coefficients, points)
        chosen = points[-t:]
        rows.append(
            {
                "threshold": t,
                "secret": secret,
                "coefficients": [a.to_bytes(33, "big") for a in coefficients],
                "shares": [{"point": x, "share": share} for x, share in shares.items()],
                "rebuilt_from": chosen,
                "rebuilt": shamir.combine([(x, shares[x]) for x in chosen]),
            }
        )
    good = shamir.split(stream("secret 2", 32), [5], [1, 2])
    element = (shamir.P - 1).to_bytes(33, "big")
    bad = [
        ("a point twice", [(1, good[1]), (1, good[1])]),
        ("the point zero", [(0, good[1]), (2, good[2])]),
        ("a share of p", [(1, shamir.P.to_bytes(33, "big")), (2, good[2])]),
        ("the largest share", [(1, b"\xff" * 33), (2, good[2])]),
        ("a short share", [(1, good[1][1:]), (2, good[2])]),
        ("a long share", [(1, b"\x00" + good[1]), (2, good[2])]),
        ("a secret of 2^256 + 296", [(1, element), (2, element)]),
        ("a secret of 2^256", [(1, (2**256).to_bytes(33, "big"))]),
        ("no shares", []),
    ]
    refused = [
        {"what": what, "shares": [{"point": x, "share": share} for x, share in shares], "error": "CryptoError"}
        for what, shares in bad
    ]
    return {"positive": rows, "negative": refused}


def dealing():
    ctx, commitments, sealed = stream("dealing ctx", 32), [], []
    for owner, holder in ((0, 1), (40, 7)):
        secrets = {label: stream(f"dealt {label} {owner}", 32) for label in LABELS}
        for label, secret in secrets.items():
            share = shamir.split(secret, [owner + 11], [keys.point(holder)])[keys.point(holder)]
            commitments.append(
                {
                    "ctx": ctx,
                    "owner": owner,
                    "holder": holder,
                    "label": label,
                    "secret": secret,
                    "commitment": keys.commitment(ctx, owner, label, secret),
                    "share": share,
                    "share_digest": keys.share_digest(ctx, owner, holder, label, share),
                }
            )
        key, nonce = stream(f"sealing {owner}", 32), stream(f"nonce {owner}", 12)
        shares = [[row["label"], row["share"]] for row in commitments[-2:]]
        bundle, aad = msgpack.encode([shares]), keys.sealing_aad(ctx, owner, holder)
        ciphertext = nonce + gcm.encrypt(key, nonce, bundle, aad)
        row = {"key": key, "nonce": nonce, "aad": aad, "plaintext": bundle, "sealed": ciphertext}
        sealed.append({"ctx": ctx, "source": owner, "destination": holder, **row})
    flipped = bytearray(ciphertext)
    flipped[40] ^= 1
    bad = [
        ("a flipped bit", key, bytes(flipped), aad),
        ("truncated", key, ciphertext[:-1], aad),
        ("shorter than nonce and tag", key, ciphertext[:27], aad),
        ("another nonce", key, bytes([ciphertext[0] ^ 1]) + ciphertext[1:], aad),
        ("another key", stream("sealing 0", 32), ciphertext, aad),
        ("source and destination exchanged", key, ciphertext, keys.sealing_aad(ctx, holder, owner)),
        ("another context", key, ciphertext, keys.sealing_aad(stream("other ctx", 32), owner, holder)),
    ]
    refused = [{"what": what, "key": k, "sealed": s, "aad": a, "error": "CryptoError"} for what, k, s, a in bad]
    return {"commitments": commitments, "sealed": sealed, "negative": refused}


def signatures():
    seed, ctx = stream("identity", 32), stream("signature ctx", 32)
    public = ed25519.public_key(seed)
    mask_key, share_key, session = stream("signed mask", 32), stream("signed share", 32), stream("session", 16)
    body = msgpack.encode([b"body"])
    data = [
        ("advertise", {"ctx0": ctx, "party": 5, "mask_key": mask_key, "share_key": share_key}),
        ("survivors", {"ctx": ctx, "survivors": [0, 2, 300]}),
        ("survivors", {"ctx": ctx, "survivors": []}),
        ("envelope", {"binding": ctx, "kind": 3, "session": session, "round": 7, "sender": 5, "body": body}),
        ("roster-owner", {"roster_digest": stream("owned roster", 32)}),
    ]
    make = {
        "advertise": keys.advertise_data,
        "survivors": keys.survivors_data,
        "envelope": messages.sealed_data,
        "roster-owner": plans.owner_data,
    }
    rows = [
        {"what": what, **fields, "seed": seed, "verify_key": public, "signed": make[what](*fields.values())}
        for what, fields in data
    ]
    rows = [{**row, "signature": ed25519.sign(seed, row["signed"])} for row in rows]
    signed, signature = rows[0]["signed"], rows[0]["signature"]
    above = signature[:32] + (int.from_bytes(signature[32:], "little") + ed25519.L).to_bytes(32, "little")
    bad = [
        ("another message", public, signature, rows[1]["signed"]),
        ("another key", ed25519.public_key(stream("other identity", 32)), signature, signed),
        ("a flipped bit", public, bytes([signature[0] ^ 1]) + signature[1:], signed),
        ("S of the group's order or more", public, above, signed),
        ("truncated", public, signature[:-1], signed),
        ("extended", public, signature + b"\x00", signed),
        ("empty", public, b"", signed),
        ("a key that is no point", b"\x02" + bytes(31), signature, signed),
        ("a short key", public[:-1], signature, signed),
    ]
    names = ("what", "verify_key", "signature", "signed")
    refused = [{**dict(zip(names, row, strict=True)), "error": "CryptoError"} for row in bad]
    return {"positive": rows, "negative": refused}


def packed():
    rows, refused = [], []
    for bits in (8, 9, 16, 20, 23, 24, 32, 33, 40, 56, 63, 64):
        vector = [0, 1, 2**bits - 1, 2 ** (bits - 1), *(below(f"packed {bits} {i}", 2**bits) for i in range(4))]
        data = words.pack(vector, bits)
        rows.append({"bits": bits, "words": vector, "bytes": data})
        refused.append({"what": "a byte short", "bits": bits, "count": 8, "bytes": data[:-1]})
        refused.append({"what": "a byte long", "bits": bits, "count": 8, "bytes": data + b"\x00"})
        if bits % 8:
            beyond = words.pack([2**bits], -(-bits // 8) * 8)
            refused.append({"what": "a word of 2^b", "bits": bits, "count": 8, "bytes": data[: -len(beyond)] + beyond})
    rows.append({"bits": 23, "words": [], "bytes": b""})
    refused = [{**row, "error": "EncodingError"} for row in refused]
    sets = [(3, []), (3, [0, 2]), (8, [0, 7]), (9, [8]), (20, list(range(20))), (300, [0, 15, 16, 299])]
    maps = [{"parties": n, "members": members, "bytes": bitmap.pack(members, n)} for n, members in sets]
    bad = [(3, b""), (3, b"\x01\x00"), (3, b"\x08"), (8, b"\x01\x01"), (9, b"\x00\x02"), (9, b"\xff")]
    bad_maps = [{"parties": n, "bytes": data, "error": "MalformedMessageError"} for n, data in bad]
    return {"words": rows, "words_negative": refused, "sets": maps, "sets_negative": bad_maps}
