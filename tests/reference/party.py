"""Page, "Messages": one party's side of a round, a method a step; each takes the bytes that arrived and gives those that leave."""

import itertools

from reference import bitmap, ed25519, gcm, keys, merkle, messages, msgpack, shamir, words, x25519
from reference.agreed import check_keys
from reference.errors import Aborted, Malformed, Refused
from reference.messages import (
    ADVERTISE,
    CIPHERTEXTS,
    CONSISTENCY,
    INVITE,
    MASKED_INPUT,
    ROSTER,
    SERVER,
    SHARES,
    SURVIVORS,
    UNMASK,
    UNMASK_SHARES,
)
from reference.plan import plan_digest
from reference.plan import read as read_plan


class Party:
    """One party. `vector` is x_u, integers mod 2^b; `following` is the party in the next round, where its keys are to be prefetched."""

    def __init__(self, round_, index, draws, vector, following=None):
        self.round, self.index, self.draws, self.vector = round_, index, draws, vector
        self.following = following
        self.ctx = b""
        self.signed = None

    def invite(self, invitation):
        """Before R0: the plan that is proposed. Nothing is sent unless this party's policy, which is its own, allows it."""
        fields = self._header(INVITE, invitation)
        message = messages.read(INVITE, fields["body"])
        if message["roster_digest"] != self.round.roster_digest:
            raise Refused("another roster")  # before the seal, which is under one's own roster
        messages.check_seal(fields, self.round.ctx0)
        plan = read_plan(message["plan"])
        if plan["parties"] != self.round.parties:
            raise Refused("a plan for another number of parties")
        return plan

    # R0

    def advertise(self):
        mask_key, share_key = x25519.public_key(self.draws.mask_private), x25519.public_key(self.draws.share_private)
        signature = b""
        if self.round.active:
            data = keys.advertise_data(self.round.ctx0, self.index, mask_key, share_key)
            signature = ed25519.sign(self.round.identities[self.index], data)
        return self._send(ADVERTISE, [mask_key, share_key, signature])

    # R1

    def share_keys(self, roster):
        round_, message = self.round, self._read(ROSTER, roster)
        if message["plan_digest"] != plan_digest(round_.plan):
            raise Refused("another plan")
        entries = {entry["party"]: entry for entry in message["entries"]}
        if (
            list(entries) != sorted(entries)
            or len(entries) < len(message["entries"])
            or max(entries, default=0) >= round_.parties
        ):
            raise Refused("the key list is unordered, or names a party twice or one that is not on the roster")
        own = entries.get(self.index, {"mask_key": b"", "share_key": b""})
        if own["mask_key"] != x25519.public_key(self.draws.mask_private):
            raise Refused("not the mask key that this party advertised")
        if own["share_key"] != x25519.public_key(self.draws.share_private):
            raise Refused("not the share key that this party advertised")
        published = [key for entry in entries.values() for key in (entry["mask_key"], entry["share_key"])]
        if len(set(published)) < len(published):
            raise Refused("a key appears twice")
        for entry in entries.values():
            check_keys(round_, **entry)
        attending = message["attending"]
        if attending > round_.parties or len(entries) - 1 != round_.neighbours(attending):
            raise Refused("more parties than there are, or another number of neighbours than the plan's")
        if len(message["proofs"]) != (len(entries) if round_.degree else 0):
            raise Refused("proofs on the complete graph, or not one for each entry")
        self.round = round_.fitted(attending)
        self._check_root(message)
        self.ctx, self.entries, self.attending = (
            round_.ctx(message["model_digest"], message["root"]),
            entries,
            attending,
        )
        return self._send(SHARES, self._deal())

    def _check_root(self, message):
        rows = [(e["party"], e["mask_key"], e["share_key"]) for e in message["entries"]]
        if not self.round.degree:
            if keys.key_list_root(rows) != message["root"]:
                raise Refused("another root")
            return
        for row, proof in zip(rows, message["proofs"], strict=True):
            leaf = keys.key_leaf(*row)
            tree_root = merkle.root_from_path(leaf, proof["place"], message["attending"], proof["path"])
            if keys.sized_root(tree_root, message["attending"]) != message["root"]:
                raise Refused("an entry that is not under the root")
        stations = [(-1, -1)]
        stations += [(row[0], proof["place"]) for row, proof in zip(rows, message["proofs"], strict=True)]
        stations += [(self.round.parties, message["attending"])]
        for (party, place), (next_party, next_place) in itertools.pairwise(stations):
            if place >= next_place or next_place - place > next_party - party:
                raise Refused("places that no list in ascending order of party has")

    def _deal(self):
        labels = self.round.labels
        secrets = dict(zip(labels, (self.draws.seed, self.draws.mask_private, *self.draws.noise), strict=True))
        holders = sorted(set(self.entries) - {self.index})
        coefficients = {label: self.draws.coefficients[label][: self.round.threshold - 1] for label in labels}
        dealt = {
            label: shamir.split(secrets[label], coefficients[label], [keys.point(v) for v in holders])
            for label in labels
        }
        sealed = []
        for holder, nonce in zip(holders, self.draws.nonces[: len(holders)], strict=True):
            shares = {label: dealt[label][keys.point(holder)] for label in labels}
            sealed.append(self._seal_shares(holder, nonce, shares))
        return [[keys.commitment(self.ctx, self.index, label, secrets[label]) for label in labels], sealed]

    def _seal_shares(self, holder, nonce, shares):
        bundle = msgpack.encode([[[label, share] for label, share in shares.items()]])
        key = keys.share_key(self.ctx, self._agree_to_share(holder), self.index, holder)
        ciphertext = nonce + gcm.encrypt(key, nonce, bundle, keys.sealing_aad(self.ctx, self.index, holder))
        digests = [keys.share_digest(self.ctx, self.index, holder, label, share) for label, share in shares.items()]
        return [holder, ciphertext, b"".join(digests)]

    def _agree_to_share(self, peer):
        return x25519.agree(self.draws.share_private, self.entries[peer]["share_key"])

    # R2

    def masked_input(self, ciphertexts):
        round_, message = self.round, self._read(CIPHERTEXTS, ciphertexts)
        sources = [item["party"] for item in message["sealed"]]
        if sources != sorted(set(sources)) or not set(sources) <= set(self.entries) - {self.index}:
            raise Refused("shares of strangers, of this party, or twice of one")
        if len(sources) < round_.min_shares:
            raise Refused("too few shares")
        self.held = {item["party"]: self._open_shares(item) for item in message["sealed"]}  # its keys are A_u
        masks = [(keys.self_key(self.ctx, self.draws.seed, self.index), 1)]
        for peer in self.held:
            agreed = x25519.agree(self.draws.mask_private, self.entries[peer]["mask_key"])
            masks.append((keys.pair_key(self.ctx, agreed, self.index, peer), 1 if self.index < peer else -1))
        masked = words.add_masks(self.vector, masks, round_.bits)
        neighbours = bitmap.pack(self.held, round_.parties)
        return [
            self._send(MASKED_INPUT, [number, neighbours, words.pack(masked[start:end], round_.bits)])
            for number, (start, end) in enumerate(round_.chunks())
        ]

    def _open_shares(self, item):
        source, sealed = item["party"], item["ciphertext"]
        key = keys.share_key(self.ctx, self._agree_to_share(source), source, self.index)
        try:
            plain = gcm.decrypt(key, sealed[:12], sealed[12:], keys.sealing_aad(self.ctx, source, self.index))
            bundle = messages.SHARE_BUNDLE(msgpack.decode(plain))["shares"]
        except (Refused, Malformed) as error:
            raise Aborted(f"what {source} dealt does not open") from error
        shares = {part["label"]: part["share"] for part in bundle}
        digests = [keys.share_digest(self.ctx, source, self.index, label, share) for label, share in shares.items()]
        if [part["label"] for part in bundle] != list(self.round.labels) or b"".join(digests) != item["share_digests"]:
            raise Aborted(f"what {source} dealt are other shares than it published digests of")
        if any(int.from_bytes(share, "big") >= shamir.P for share in shares.values()):
            raise Aborted(f"what {source} dealt is no field element")
        return shares

    # R3

    def consistency(self, survivors):
        self.signed = self._accept_survivors(self._read(SURVIVORS, survivors)["survivors"])
        signature = ed25519.sign(self.round.identities[self.index], keys.survivors_data(self.ctx, self.signed))
        return self._send(CONSISTENCY, [signature])

    def _accept_survivors(self, data):
        survivors = bitmap.unpack(data, self.round.parties)
        seen = (
            survivors & set(self.entries) if self.round.degree else survivors
        )  # of strangers only the number can be checked
        if not seen <= set(self.held) | {self.index} or self.index not in survivors:
            raise Refused("the survivors are not of A_u and this party, or it is not among them")
        if not self.round.floor <= len(survivors) <= self.attending:
            raise Refused("too few survivors, for the plan or for its noise, or more than advertised")
        return survivors

    # R4

    def unmask(self, request):
        message = self._read(UNMASK, request)
        survivors = self._accept_survivors(message["survivors"])
        signers = [item["party"] for item in message["signatures"]]
        if self.round.active:
            if survivors != self.signed:
                raise Refused("not the survivors that this party signed")
            if signers != sorted(set(signers)) or not set(signers) <= survivors or len(signers) < self.round.threshold:
                raise Refused("signatures twice, of strangers, or too few")
            data = keys.survivors_data(self.ctx, survivors)
            for item in message["signatures"]:
                if not ed25519.verify(self.round.verify_key(item["party"]), item["signature"], data):
                    raise Refused("a signature of other survivors")
        elif signers:
            raise Refused("signatures that nobody would check")
        answer = []
        for owner in sorted(self.held):
            answer += [[owner, label, self.held[owner][label]] for label in self.round.owed(owner, survivors)]
        ahead = self.round.prefetch and self.following and self.round.number < 2**32 - 1
        next_keys = self.following.advertise() if ahead else b""
        return self._send(UNMASK_SHARES, [answer, next_keys])

    def _send(self, kind, body):
        round_ = self.round
        binding = self.ctx or round_.ctx0
        identity = round_.identities[self.index] if round_.active else None
        return messages.envelope(kind, body, round_.session, round_.number, self.index, binding, identity)

    def _header(self, kind, data):
        fields = messages.parse(data, self.round.parties, self.round.degree, self.round.noise)
        if (fields["session"], fields["round"]) != (self.round.session, self.round.number):
            raise Refused("of another round")
        if fields["kind"] != kind or fields["sender"] != SERVER:
            raise Refused("not this message, or not from the server")
        return fields

    def _read(self, kind, data):
        fields = self._header(kind, data)
        messages.check_seal(fields, self.ctx or self.round.ctx0)
        return messages.read(kind, fields["body"])
