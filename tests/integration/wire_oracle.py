"""An oracle over the bytes that left: no secret is used twice, whatever crashed and was restored in between.

It never asks the library: messages are read with `reference`, signatures with `cryptography`. A party is all of its incarnations
together; bytes that a program handed out count as sent, whether or not they arrived.
"""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from reference import bitmap, keys, messages


@functools.lru_cache(maxsize=64)
def _read(data: bytes, parties: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a message and of its body; the server says the same to many."""
    fields = messages.parse(data, parties)
    return fields, messages.read(fields["kind"], fields["body"])


class Oracle:
    """Everything that was sent and told, and the rules that it must meet; a breach raises AssertionError as it happens.

    Args:
        roster_digest: 32 bytes.
        verify_keys: identity keys by index under an active server, else None.
        parties: n.
        threshold: t.
    """

    def __init__(
        self, roster_digest: bytes, verify_keys: Sequence[bytes] | None, *, parties: int, threshold: int
    ) -> None:
        self._roster_digest = roster_digest
        self._identities = verify_keys and [Ed25519PublicKey.from_public_bytes(key) for key in verify_keys]
        self._parties = parties
        self._threshold = threshold
        self._only: dict[Hashable, Any] = {}
        self._lists: dict[tuple[int, bytes, int], dict[bytes, bytes]] = defaultdict(dict)
        self._opened: dict[tuple[bytes, int, str], set[int]] = defaultdict(set)
        self.roots: dict[tuple[bytes, int], bytes] = {}
        self.sent: list[tuple[int, bytes]] = []

    def one(self, what: str, key: Hashable, value: object) -> None:
        """There is at most one such value, ever."""
        before = self._only.setdefault((what, key), value)
        assert before == value, f"two different {what}: {key}"

    # What the server says.

    def from_server(self, data: bytes) -> None:
        """Bytes of an honest server: it publishes one key list and tells one U3 a round."""
        fields, body = _read(data, self._parties)
        of = (fields["session"], fields["round"])
        if fields["kind"] == messages.ROSTER:
            self.one("root of the key list", of, body["root"])
            self.roots[of] = self._ctx(fields, body)
        elif fields["kind"] in {messages.SURVIVORS, messages.UNMASK}:
            self.one("U3 told by the server", of, bitmap.unpack(body["survivors"], self._parties))

    def told(self, party: int, data: bytes) -> None:
        """Bytes that reached a party, from whatever server: a key list makes a context that it may answer under."""
        try:
            fields, body = _read(data, self._parties)
        except messages.Malformed:
            return
        if fields["kind"] != messages.ROSTER:
            return
        mine = [entry["mask_key"] for entry in body["entries"] if entry["party"] == party]
        if mine:
            self._lists[party, fields["session"], fields["round"]][self._ctx(fields, body)] = mine[0]

    def _ctx(self, fields: Mapping[str, Any], body: Mapping[str, Any]) -> bytes:
        early = keys.ctx0(fields["session"], fields["round"], self._roster_digest)
        return keys.ctx(early, body["plan_digest"], body["model_digest"], body["root"])

    # What parties say.

    def from_party(self, party: int, data: bytes) -> tuple[int, bytes]:
        """Bytes of an honest party, in whichever incarnation; returns their kind and the context they are sealed under."""
        self.sent.append((party, data))
        fields, body = _read(data, self._parties)
        assert fields["sender"] == party
        kind = fields["kind"]
        if kind == messages.ADVERTISE:
            early = keys.ctx0(fields["session"], fields["round"], self._roster_digest)
            assert self._sealed_under(fields, early, party)
            for key in (body["mask_key"], body["share_key"]):
                self.one("rounds of one key", (party, key), early)
            self.one("messages with one key", body["mask_key"], (party, data))
            return kind, early
        told = self._lists[party, fields["session"], fields["round"]]
        ctx = next((ctx for ctx in told if self._sealed_under(fields, ctx, party)), None)
        assert ctx is not None, f"{messages.NAMES[kind]} of party {party} is under no key list that it was told"
        key = told[ctx]
        self.one("contexts of one key", (party, key), ctx)
        if kind == messages.SHARES:
            self.one("dealings", (party, key), data)
        elif kind == messages.MASKED_INPUT:
            self.one("A_u", (party, key), body["neighbours"])
            self.one("y_u", (party, key, body["chunk"]), data)
        elif kind == messages.CONSISTENCY:
            self.one("signatures of U3", (party, ctx), body["signature"])
        else:
            assert kind == messages.UNMASK_SHARES
            self.one("answers", (party, key), data)
            self._open(party, ctx, body)
        return kind, ctx

    def _open(self, party: int, ctx: bytes, body: Mapping[str, Any]) -> None:
        for item in body["shares"]:
            self.one("secrets opened of one owner", (party, ctx, item["owner"]), item["label"])
            self.one("shares", (party, ctx, item["owner"], item["label"]), item["share"])
            self._opened[ctx, item["owner"], item["label"]].add(party)
            both = [self._opened[ctx, item["owner"], label] for label in keys.LABELS]
            assert min(map(len, both)) < self._threshold, f"both secrets of party {item['owner']} can be rebuilt"
        if body["next_keys"]:
            self.from_party(party, body["next_keys"])

    def _sealed_under(self, fields: Mapping[str, Any], binding: bytes, party: int) -> bool:
        names = ("kind", "session", "round", "sender", "body")
        covered = messages.sealed_data(binding, *(fields[name] for name in names))
        if not self._identities:
            return fields["seal"] == covered[:16]
        try:
            self._identities[party].verify(fields["seal"], covered)
        except InvalidSignature:
            return False
        return True

    def count(self, what: str) -> int:
        """How many different values of a kind there were."""
        return sum(kind == what for kind, _ in self._only)
