"""Page, "Messages": the server's side of a round, a method a step."""

from reference import bitmap, ed25519, k_regular, keys, merkle, messages, shamir, words, x25519
from reference.agreed import check_keys, sealed_bytes
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


class Server:
    """The server. Each step takes what arrived by party, and gives what is sent by party.

    `draws` are the numbers by which the ring is shuffled; `prefetched` are the next round's Advertise messages that came in R4. At the
    end `seeds` are those that were opened, by survivor and number.
    """

    def __init__(self, round_, draws=()):
        self.round, self.draws = round_, draws
        self.ctx = b""
        self.prefetched = {}
        self.seeds = {}

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
            labels = self.round.labels
            if len(message["commitments"]) != len(labels) or sizes != {(sealed_bytes(labels), 32 * len(labels))}:
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
        self._need(arrived, max(round_.quorum, round_.floor))
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
            neighbours = sorted(self.reported[party])
            due = [(owner, label) for owner in neighbours for label in self.round.owed(owner, self.reported)]
            if [(item["owner"], item["label"]) for item in message["shares"]] != due:
                raise Refused("shares of others than A_u, or of other secrets than are to be opened")
            for item in message["shares"]:
                self._check_share(party, **item)
            self.answers[party] = {(item["owner"], item["label"]): item["share"] for item in message["shares"]}
            if message["next_keys"]:
                self.prefetched[party] = message["next_keys"]
        self._need(arrived, self.round.threshold + 1)
        masks = []
        for u in sorted(self.reported):
            masks.append((keys.self_key(self.ctx, self._rebuild(u, "self_mask"), u), -1))
            _, *noise = self.round.owed(u, self.reported)
            if noise:
                self.seeds[u] = {int(label.removeprefix("noise_")): self._rebuild(u, label) for label in noise}
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
        (item,) = (item for item in self.dealt[owner]["sealed"] if item["party"] == holder)
        place = 32 * self.round.labels.index(label)
        digest = keys.share_digest(self.ctx, owner, holder, label, share)
        if digest != item["share_digests"][place : place + 32]:
            raise Refused("a share that its dealer did not deal")

    def _rebuild(self, owner, label):
        opened = [holder for holder in sorted(self.answers) if (owner, label) in self.answers[holder]]
        holders = opened[: self.round.threshold]
        if len(holders) < self.round.threshold:
            raise Aborted("too few shares of a secret")
        try:
            secret = shamir.combine([(keys.point(holder), self.answers[holder][owner, label]) for holder in holders])
        except Refused as error:
            raise Aborted(f"the shares of {owner} rebuild nothing") from error
        committed = self.dealt[owner]["commitments"][self.round.labels.index(label)]
        if keys.commitment(self.ctx, owner, label, secret) != committed:
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
        fields = messages.parse(data, self.round.parties, self.round.degree, self.round.noise)
        if (fields["session"], fields["round"]) != (self.round.session, self.round.number):
            raise Refused("of another round")
        if (fields["kind"], fields["sender"]) != (kind, party):
            raise Refused("not this message, or not from this party")
        messages.check_seal(fields, self.ctx or self.round.ctx0, self.round.verify_key(party))
        return messages.read(kind, fields["body"])
