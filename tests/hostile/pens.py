"""The pens of insiders: a malicious server seals what it likes, a malicious party signs its own, and both mend what depends on what.

Nothing here is secret to an adversary. A server knows the binding and checks nobody; a party holds its identity key and the keys that
seal what it deals; and parties who collude with the server lend it theirs.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from hostile.choices import Choices
from hostile.tree import Blob, pack, read
from hostile.worlds import UP, Scene, World
from securefl.crypto import aead
from securefl.crypto.digest import checksum, digest, u32
from securefl.errors import SecureFLError
from securefl.secagg.consistency import survivors_data
from securefl.secagg.context import key_list_root, pre_context_of
from securefl.secagg.dealing import Label, share_digest
from securefl.wire import bitmap
from securefl.wire.messages import SECAGG_KINDS, KeyEntry, Kind

FIELDS = 7
KIND, SESSION, ROUND, SENDER, BODY, SEAL = range(1, FIELDS)
KINDS = frozenset(map(int, SECAGG_KINDS))


class Box(Blob):
    """Sealed shares, opened with the dealer's own key.

    Args:
        tree: the bundle.
        key: what seals it.
        aad: what it is bound to.
        nonce: the nonce that it had.
    """

    def __init__(self, tree: Any, key: bytes, aad: bytes, nonce: bytes) -> None:
        super().__init__(tree, self._seal)
        self._key, self._aad, self._nonce = key, aad, nonce

    def _seal(self, plain: bytes) -> bytes:
        return aead.seal(self._key, plain, aad=self._aad, random=self)  # type: ignore[arg-type]

    def token(self, _size: int) -> bytes:
        """The nonce: the same bundle seals to the same bytes."""
        return self._nonce


def opened(scene: Scene, data: bytes, *, within: Container[int] = KINDS) -> list[Any]:
    """A message as a tree, its body and (for the kinds in `within`) all that is nested in it opened as far as insiders can.

    Raises:
        ValueError: no message.
    """
    fields = read(data)
    if not isinstance(fields, list) or not fields:
        raise ValueError("no array")
    if len(fields) == FIELDS and isinstance(fields[BODY], bytes):
        try:
            body = read(fields[BODY])
        except ValueError:
            return fields
        kind = fields[KIND]
        if isinstance(body, list) and isinstance(kind, int) and kind in within:
            _open_nested(scene, kind, fields[SENDER], body)
        fields[BODY] = Blob(body)
    return fields


def _open_nested(scene: Scene, kind: int, sender: Any, body: list[Any]) -> None:
    try:
        if kind == Kind.INVITE:
            body[0] = Blob(read(body[0]))
        elif kind == Kind.UNMASK_SHARES and body[1]:
            body[1] = Blob(opened(scene, body[1]))
        elif kind in {Kind.SHARES, Kind.CIPHERTEXTS}:
            for item in body[-1]:
                source, holder = (sender, item[0]) if kind == Kind.SHARES else (item[0], scene.party)
                key, aad = scene.world.sealing.get((scene.ctx, source, holder)), scene.ctx + u32(source) + u32(holder)
                if key is not None:
                    item[1] = Box(read(aead.unseal(key, item[1], aad=aad)), key, aad, item[1][:12])
    except (ValueError, TypeError, IndexError, AttributeError, SecureFLError):
        return  # mutated before: it stays as it is


def binding(scene: Scene, fields: list[Any]) -> bytes:
    """What a message of this header is to be sealed under."""
    session, number = fields[SESSION], fields[ROUND]
    if fields[KIND] in {Kind.INVITE, Kind.ADVERTISE, Kind.ROSTER}:
        return pre_context_of(session, number, scene.world.roster.digest())
    return scene.ctx


def seal_again(scene: Scene, fields: list[Any]) -> None:
    """Put a good seal under a message, if there is still enough of it to seal."""
    world = scene.world
    try:
        body = fields[BODY].inner() if isinstance(fields[BODY], Blob) else fields[BODY]
        covered = (binding(scene, fields), *fields[KIND:BODY], body)
        kind, sender = fields[KIND], fields[SENDER]
        if world.active and kind in UP and 0 <= sender < world.n:
            fields[SEAL] = world.identities[sender].sign(digest("envelope", *covered))
        else:
            fields[SEAL] = checksum("envelope", *covered)
    except (ValueError, TypeError, IndexError, AttributeError):
        return


def mend(scene: Scene, fields: list[Any], choices: Choices) -> None:
    """Bring what depends on a mutated body into line with it: roots, digests of shares, inner signatures."""
    try:
        body = fields[BODY][0]
        kind = fields[KIND]
        if kind == Kind.ADVERTISE:
            _mend_advertise(scene.world, fields, body)
        elif kind == Kind.ROSTER:
            _mend_roster(scene.world, fields, body, sign=choices.chance(50))
        elif kind in {Kind.SHARES, Kind.CIPHERTEXTS}:
            _mend_digests(scene, kind, fields, body)
        elif kind == Kind.UNMASK and scene.world.active:
            _mend_signatures(scene, body)
        elif kind == Kind.UNMASK_SHARES and isinstance(body[1], Blob):
            ahead = body[1][0]
            mend(scene, ahead, choices)
            seal_again(scene, ahead)
    except (ValueError, TypeError, IndexError, AttributeError, KeyError, OverflowError, SecureFLError):
        return


def _signed_keys(world: World, fields: list[Any], party: int, keys: list[Any]) -> bytes:
    ctx0 = pre_context_of(fields[SESSION], fields[ROUND], world.roster.digest())
    return world.identities[party].sign(digest("advertise", ctx0, party, *keys))


def _mend_advertise(world: World, fields: list[Any], body: list[Any]) -> None:
    if world.active and 0 <= fields[SENDER] < world.n:
        body[2] = _signed_keys(world, fields, fields[SENDER], body[:2])


def _mend_roster(world: World, fields: list[Any], body: list[Any], *, sign: bool) -> None:
    entries = body[4]
    if world.active and sign:
        for entry in entries:
            if 0 <= entry[0] < world.n:
                entry[3] = _signed_keys(world, fields, entry[0], entry[1:3])
    if not body[5]:
        body[3] = len(entries)
        body[2] = key_list_root(KeyEntry(*entry) for entry in entries)


def _mend_digests(scene: Scene, kind: int, fields: list[Any], body: list[Any]) -> None:
    for item in body[-1]:
        if not isinstance(item[1], Box):
            continue
        source, holder = (fields[SENDER], item[0]) if kind == Kind.SHARES else (item[0], scene.party)
        item[2] = b"".join(
            share_digest(scene.ctx, source, holder, Label(label), share) for label, share in item[1][0][0]
        )


def _mend_signatures(scene: Scene, body: list[Any]) -> None:
    survivors = bitmap.unpack(body[0], scene.world.n)
    body[1] = [item for item in body[1] if item[0] in survivors]
    for item in body[1]:
        if 0 <= item[0] < scene.world.n:
            item[1] = scene.world.identities[item[0]].sign(survivors_data(scene.ctx, survivors))


def written(fields: list[Any]) -> bytes:
    """The bytes of a tree that `opened` gave."""
    return pack(fields)
