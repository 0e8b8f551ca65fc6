"""Page, "Messages": one round, as its parties and its server see it. All randomness is given, so all bytes are determined.

`Party` and `Server` have a method a step; each takes the bytes that arrived and gives those that leave. `run` carries them between n
parties of whom some fall silent.
"""

import dataclasses
import itertools

from reference import bitmap, ed25519, gcm, k_regular, keys, merkle, messages, msgpack, shamir, words, x25519
from reference.errors import Aborted, Malformed, Refused
from reference.keys import LABELS
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
from reference.plan import NO_MODEL, plan_digest
from reference.plan import read as read_plan

STEPS = ("advertise", "share_keys", "masked_input", "consistency", "unmask")


@dataclasses.dataclass(frozen=True)
class Round:
    """What is known to everybody. `identities` are the seeds of the Ed25519 keys, given under an active server only."""

    session: bytes
    number: int
    roster_digest: bytes
    plan: bytes
    parties: int
    threshold: int
    min_survivors: int
    bits: int
    length: int
    max_colluders: int = 0
    model_digest: bytes = NO_MODEL
    identities: tuple = ()
    chunk_words: int = 2**17
    degree: int = 0
    """k on the k-regular graph, 0 on the complete one."""
    prefetch: bool = False

    @property
    def active(self):
        return bool(self.identities)

    @property
    def ctx0(self):
        return keys.ctx0(self.session, self.number, self.roster_digest)

    @property
    def quorum(self):
        return max(self.threshold + 1, self.min_survivors)

    @property
    def min_shares(self):
        """The least A_u."""
        return self.threshold if self.degree else self.quorum - 1

    def neighbours(self, attending):
        """How many each party has."""
        return min(self.degree or attending, attending - 1)

    def fitted(self, attending):
        """The round for those that advertised: the rule for t again, and on the k-regular graph t as it must be for so many."""
        if attending < self.quorum or (self.active and 2 * self.threshold <= attending + self.max_colluders):
            raise Refused("too few parties, or a threshold that is unsafe for so many")
        if not self.degree:
            return self
        missing, k = attending - self.min_survivors, self.neighbours(attending)
        threshold = k_regular.refit(attending, self.max_colluders, missing, k, self.threshold)
        return dataclasses.replace(self, threshold=threshold)

    def verify_key(self, party):
        return ed25519.public_key(self.identities[party]) if self.active else None

    def ctx(self, model_digest, root):
        return keys.ctx(self.ctx0, plan_digest(self.plan), model_digest, root)

    def chunks(self):
        """(first, end) of each part of the vector."""
        starts = range(0, max(self.length, 1), self.chunk_words)
        return [(start, min(start + self.chunk_words, self.length)) for start in starts]


@dataclasses.dataclass(frozen=True)
class Draws:
    """All that a party draws: two private keys, b_u, a_1..a_(t-1) by label, a nonce for each holder in ascending order.

    Of coefficients and nonces there may be more than are used.
    """

    mask_private: bytes
    share_private: bytes
    seed: bytes = b""
    coefficients: dict = dataclasses.field(default_factory=dict)
    nonces: tuple = ()


def check_keys(round_, party, mask_key, share_key, signature):
    """What both roles check of an advertised pair of keys."""
    if not (x25519.usable(mask_key) and x25519.usable(share_key)):
        raise Refused("a key of small order, or not below 2^255 - 19")
    if mask_key == share_key:
        raise Refused("the two keys are the same")
    data = keys.advertise_data(round_.ctx0, party, mask_key, share_key)
    if round_.active and not ed25519.verify(round_.verify_key(party), signature, data):
        raise Refused("the keys are not signed by that party")
    if not round_.active and signature:
        raise Refused("a signature that nobody would check")


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
        secrets = {"self_mask": self.draws.seed, "mask_key": self.draws.mask_private}
        holders = sorted(set(self.entries) - {self.index})
        coefficients = {label: self.draws.coefficients[label][: self.round.threshold - 1] for label in LABELS}
        dealt = {
            label: shamir.split(secrets[label], coefficients[label], [keys.point(v) for v in holders])
            for label in LABELS
        }
        sealed = []
        for holder, nonce in zip(holders, self.draws.nonces[: len(holders)], strict=True):
            shares = {label: dealt[label][keys.point(holder)] for label in LABELS}
            sealed.append(self._seal_shares(holder, nonce, shares))
        return [[keys.commitment(self.ctx, self.index, label, secrets[label]) for label in LABELS], sealed]

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
        if [part["label"] for part in bundle] != list(LABELS) or b"".join(digests) != item["share_digests"]:
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
        if not max(self.round.threshold, self.round.min_survivors) <= len(survivors) <= self.attending:
            raise Refused("too few survivors, or more than advertised")
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
            label = "self_mask" if owner in survivors else "mask_key"
            answer.append([owner, label, self.held[owner][label]])
        ahead = self.round.prefetch and self.following and self.round.number < 2**32 - 1
        next_keys = self.following.advertise() if ahead else b""
        return self._send(UNMASK_SHARES, [answer, next_keys])

    def _send(self, kind, body):
        round_ = self.round
        binding = self.ctx or round_.ctx0
        identity = round_.identities[self.index] if round_.active else None
        return messages.envelope(kind, body, round_.session, round_.number, self.index, binding, identity)

    def _header(self, kind, data):
        fields = messages.parse(data, self.round.parties)
        if (fields["session"], fields["round"]) != (self.round.session, self.round.number):
            raise Refused("of another round")
        if fields["kind"] != kind or fields["sender"] != SERVER:
            raise Refused("not this message, or not from the server")
        return fields

    def _read(self, kind, data):
        fields = self._header(kind, data)
        messages.check_seal(fields, self.ctx or self.round.ctx0)
        return messages.read(kind, fields["body"])


class Server:
    """The server. Each step takes what arrived by party, and gives what is sent by party.

    `draws` are the numbers by which the ring is shuffled; `prefetched` are the next round's Advertise messages that came in R4.
    """

    def __init__(self, round_, draws=()):
        self.round, self.draws = round_, draws
        self.ctx = b""
        self.prefetched = {}

    def usable(self, prefetched):
        """Those of the messages that came ahead that are good; whose are not is invited like everybody else."""
        taken, published = {}, set()
        for party in sorted(prefetched):
            try:
                message = self._read(ADVERTISE, party, prefetched[party])
                check_keys(self.round, party, **message)
            except (Malformed, Refused):
                continue
            pair = {message["mask_key"], message["share_key"]}
            if not published & pair:
                published |= pair
                taken[party] = prefetched[party]
        return taken

    def invite(self, besides=()):
        """To everybody on the roster but those whose keys came ahead."""
        to = [party for party in range(self.round.parties) if party not in besides]
        return self._send(to, INVITE, [self.round.plan, self.round.roster_digest])

    def advertise(self, arrived):
        """R0."""
        self.entries, published = {}, set()
        for party in sorted(arrived):
            message = self._read(ADVERTISE, party, arrived[party])
            check_keys(self.round, party, **message)
            pair = {message["mask_key"], message["share_key"]}
            if published & pair:
                raise Refused("a key that another party advertised")
            published |= pair
            self.entries[party] = message
        self._need(arrived, self.round.quorum)
        try:
            self.round = self.round.fitted(len(arrived))
        except Refused as error:
            raise Aborted("unsafe for those that advertised") from error
        self.graph = k_regular.neighbourhoods(arrived, self.round.neighbours(len(arrived)), self.draws)
        rows = {party: [party, e["mask_key"], e["share_key"], e["signature"]] for party, e in self.entries.items()}
        leaves = [keys.key_leaf(*row[:3]) for row in rows.values()]
        root = keys.sized_root(merkle.root(leaves), len(leaves))
        proofs = {party: [place, merkle.path(leaves, place)] for place, party in enumerate(rows) if self.round.degree}
        outgoing = {}
        for party in rows:
            shown = sorted({party} | self.graph[party])
            head = [plan_digest(self.round.plan), self.round.model_digest, root, len(rows)]
            parts = [[rows[v] for v in shown], [proofs[v] for v in shown if v in proofs]]
            outgoing |= self._send([party], ROSTER, head + parts)
        self.ctx = self.round.ctx(self.round.model_digest, root)
        return outgoing

    def share_keys(self, arrived):
        """R1."""
        self.dealt = {}
        for party in sorted(arrived):
            message = self._read(SHARES, party, arrived[party])
            if [item["party"] for item in message["sealed"]] != sorted(self.graph[party]):
                raise Malformed("shares for others than its neighbours")
            sizes = {(len(item["ciphertext"]), len(item["share_digests"])) for item in message["sealed"]}
            if len(message["commitments"]) != 2 or sizes != {(121, 64)}:
                raise Malformed("another number of secrets, or of bytes")
            self.dealt[party] = message
        self._need(arrived, self.round.quorum)
        outgoing = {}
        for party in sorted(arrived):
            inbox = [
                [source, item["ciphertext"], item["share_digests"]]
                for source in sorted(arrived)
                for item in self.dealt[source]["sealed"]
                if item["party"] == party
            ]
            outgoing |= self._send([party], CIPHERTEXTS, [inbox])
        return outgoing

    def masked_input(self, arrived):
        """R2. Each party's messages come as a list, a chunk each."""
        round_ = self.round
        self.reported, self.total = {}, [0] * round_.length
        for party in sorted(arrived):
            masked = []
            for number, (data, (start, end)) in enumerate(zip(arrived[party], round_.chunks(), strict=True)):
                message = self._read(MASKED_INPUT, party, data)
                neighbours = bitmap.unpack(message["neighbours"], round_.parties)
                if message["chunk"] != number or neighbours != self.reported.setdefault(party, neighbours):
                    raise Refused("a chunk out of order, or another A_u")
                masked += words.unpack(message["words"], round_.bits, end - start)
            if self.reported[party] != self.graph[party] & set(self.dealt):
                raise Refused("A_u is not the set whose shares were forwarded")
            self.total = [(a + y) % 2**round_.bits for a, y in zip(self.total, masked, strict=True)]
        self._need(arrived, round_.quorum)
        survivors = bitmap.pack(self.reported, round_.parties)
        if round_.active:
            return self._send(arrived, SURVIVORS, [survivors])
        return self._send(arrived, UNMASK, [survivors, []])

    def consistency(self, arrived):
        """R3."""
        data, signatures = keys.survivors_data(self.ctx, self.reported), []
        for party in sorted(arrived):
            message = self._read(CONSISTENCY, party, arrived[party])
            if not ed25519.verify(self.round.verify_key(party), message["signature"], data):
                raise Refused("a signature of other survivors")
            signatures.append([party, message["signature"]])
        self._need(arrived, self.round.threshold + 1)
        return self._send(arrived, UNMASK, [bitmap.pack(self.reported, self.round.parties), signatures])

    def unmask(self, arrived):
        """R4: the sum."""
        self.answers = {}
        for party in sorted(arrived):
            message = self._read(UNMASK_SHARES, party, arrived[party])
            if message["next_keys"] and not self.round.prefetch:
                raise Refused("keys ahead under a plan without prefetch")
            if [item["owner"] for item in message["shares"]] != sorted(self.reported[party]):
                raise Refused("shares of others than A_u")
            for item in message["shares"]:
                self._check_share(party, **item)
            self.answers[party] = {item["owner"]: item["share"] for item in message["shares"]}
            if message["next_keys"]:
                self.prefetched[party] = message["next_keys"]
        self._need(arrived, self.round.threshold + 1)
        masks = []
        for u in sorted(self.reported):
            masks.append((keys.self_key(self.ctx, self._rebuild(u, "self_mask"), u), -1))
        for v in sorted(set().union(*self.reported.values()) - set(self.reported)):
            private = self._rebuild(v, "mask_key")
            if x25519.public_key(private) != self.entries[v]["mask_key"]:
                raise Aborted(f"{v} dealt another mask key than it advertised")
            for u in sorted(self.reported):
                if v in self.reported[u]:
                    agreed = x25519.agree(private, self.entries[u]["mask_key"])
                    masks.append((keys.pair_key(self.ctx, agreed, u, v), -1 if u < v else 1))  # u's sign, taken back
        return words.add_masks(self.total, masks, self.round.bits)

    def _check_share(self, holder, owner, label, share):
        if label != ("self_mask" if owner in self.reported else "mask_key"):
            raise Refused("a share of the wrong secret")
        (item,) = (item for item in self.dealt[owner]["sealed"] if item["party"] == holder)
        place = 32 * LABELS.index(label)
        digest = keys.share_digest(self.ctx, owner, holder, label, share)
        if digest != item["share_digests"][place : place + 32]:
            raise Refused("a share that its dealer did not deal")

    def _rebuild(self, owner, label):
        holders = [holder for holder in sorted(self.answers) if owner in self.answers[holder]][: self.round.threshold]
        if len(holders) < self.round.threshold:
            raise Aborted("too few shares of a secret")
        try:
            secret = shamir.combine([(keys.point(holder), self.answers[holder][owner]) for holder in holders])
        except Refused as error:
            raise Aborted(f"the shares of {owner} rebuild nothing") from error
        if keys.commitment(self.ctx, owner, label, secret) != self.dealt[owner]["commitments"][LABELS.index(label)]:
            raise Aborted(f"the shares of {owner} rebuild another secret than it committed to")
        return secret

    def _need(self, arrived, number):
        if len(arrived) < number:
            raise Aborted(f"{len(arrived)} parties are left, {number} are needed")

    def _send(self, to, kind, body):
        round_ = self.round
        binding = self.ctx or round_.ctx0
        data = messages.envelope(kind, body, round_.session, round_.number, SERVER, binding)
        return dict.fromkeys(to, data)

    def _read(self, kind, party, data):
        fields = messages.parse(data, self.round.parties)
        if (fields["session"], fields["round"]) != (self.round.session, self.round.number):
            raise Refused("of another round")
        if (fields["kind"], fields["sender"]) != (kind, party):
            raise Refused("not this message, or not from this party")
        messages.check_seal(fields, self.ctx or self.round.ctx0, self.round.verify_key(party))
        return messages.read(kind, fields["body"])


@dataclasses.dataclass
class Transcript:
    """All that was sent, in order, as (to the server?, party, bytes), and what came of it."""

    messages: list = dataclasses.field(default_factory=list)
    dropped: dict = dataclasses.field(default_factory=dict)
    survivors: list = dataclasses.field(default_factory=list)
    total: list | None = None
    ctx: bytes = b""
    aborted: str = ""
    """The step at whose end the round ended without a sum."""
    prefetched: dict = dataclasses.field(default_factory=dict)
    """The next round's Advertise messages that came with the answers, by party."""
    graph: dict = dataclasses.field(default_factory=dict)


def run(round_, draws, vectors, drops=None, *, order=(), following=None, prefetched=None):
    """A whole round; `drops` maps a party to the step in which it falls silent, for good.

    `order`: the server's draws for the ring. `following`: the next round and everybody's draws for it. `prefetched`: the Advertise
    messages of this round that came in the one before.
    """
    drops = drops or {}
    server = Server(round_, order)
    parties = [Party(round_, i, draws[i], vectors[i]) for i in range(round_.parties)]
    if following:
        next_round, next_draws = following
        for party in parties:
            party.following = Party(next_round, party.index, next_draws[party.index], ())
    transcript = Transcript()
    ahead = server.usable(prefetched or {})

    def send(outgoing):
        transcript.messages += [(False, party, data) for party, data in sorted(outgoing.items())]
        return outgoing

    inbox = send(server.invite(ahead))
    for step in STEPS:
        if step == "consistency" and not round_.active:
            continue
        arrived = dict(ahead) if step == "advertise" else {}
        for party, data in sorted(inbox.items()):
            if drops.get(party) == step:
                continue
            answer = parties[party].advertise() if step == "advertise" else getattr(parties[party], step)(data)
            arrived[party] = answer
            parts = answer if isinstance(answer, list) else [answer]
            transcript.messages += [(True, party, part) for part in parts]
        for party in set(inbox) - set(arrived):
            transcript.dropped.setdefault(party, step)
        try:
            outcome = getattr(server, step)(arrived)
        except Aborted:
            transcript.aborted = step
            return transcript
        finally:
            transcript.ctx = server.ctx
            transcript.prefetched = server.prefetched
            transcript.graph = getattr(server, "graph", {})
        if step == "unmask":
            transcript.total, transcript.survivors = outcome, sorted(server.reported)
            return transcript
        inbox = send(outcome)
    raise AssertionError
