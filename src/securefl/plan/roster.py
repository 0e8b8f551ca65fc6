"""The roster: who takes part, in which order, under which identity keys. It comes from each party's own disk, never from the server.

A roster that its owner (the consortium) signed can be handed around openly: who holds the owner's fingerprint can check it.
"""

from __future__ import annotations

import dataclasses
import json
import unicodedata
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from securefl.crypto.digest import digest
from securefl.crypto.signing import SigningKey, fingerprint, verify
from securefl.errors import ConfigError, CryptoError
from securefl.plan.toml_file import hex_field, read_table
from securefl.types import KEY_HOLDER, SERVER
from securefl.wire.messages import MAX_PARTIES


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One party.

    Args:
        name: 1 to 64 printable characters, unique.
        verify_key: Ed25519 public key, 32 bytes; empty under a semi-honest server without identities.
    """

    name: str
    verify_key: bytes = b""

    @property
    def fingerprint(self) -> str:
        """What two people read to each other to compare a key; "unsigned" where there is none."""
        return fingerprint(self.verify_key) if self.verify_key else "unsigned"


@dataclasses.dataclass(frozen=True, slots=True)
class Roster:
    """The ordered parties of a session; a party's place is its index everywhere.

    Args:
        members: the parties; all with identity keys, or none.
        version: counts up with each change.
        owner: the key of whoever vouches for it, 32 bytes, or empty.
        signature: the owner's Ed25519 signature, 64 bytes, or empty.

    Raises:
        ConfigError: a name that is empty, doubled or reserved, a key that is doubled or of another size, or a mixture of signed and
            unsigned members.
        CryptoError: the owner's signature does not verify.
    """

    members: tuple[Member, ...]
    version: int = 1
    owner: bytes = b""
    signature: bytes = b""

    def __post_init__(self) -> None:
        if not 0 < len(self.members) <= MAX_PARTIES:
            raise ConfigError(
                f"a roster of {len(self.members)} parties, needs 1..{MAX_PARTIES}",
                remedy="add the parties with `securefl roster add`",
            )
        if isinstance(self.version, bool) or not 1 <= self.version < 1 << 32:
            raise ConfigError(
                f"roster version {self.version!r}, needs 1..2^32 - 1", remedy="count it up by one a change"
            )
        for member in self.members:
            _check_name(member.name)
            if len(member.verify_key) not in {0, 32}:
                raise ConfigError(
                    f"the key of {member.name!r} is {len(member.verify_key)} bytes long, needs 32",
                    remedy="take it from the party's `securefl keygen`",
                )
        _refuse_doubles("name", [_folded(member.name) for member in self.members])
        _refuse_doubles("key", [member.verify_key.hex() for member in self.members if member.verify_key])
        if len({bool(member.verify_key) for member in self.members}) > 1:
            unsigned = [member.name for member in self.members if not member.verify_key]
            raise ConfigError(
                f"parties without an identity key: {', '.join(unsigned)}", remedy="give all a key, or none"
            )
        if self.owner or self.signature:
            try:
                verify(self.owner, self.signature, self._signed_data())
            except CryptoError as error:
                raise CryptoError(
                    "the owner's signature of the roster does not verify: it was changed after signing",
                    remedy="get the roster from its owner again, or sign it with `securefl roster sign`",
                ) from error

    @classmethod
    def unsigned(cls, names: Iterable[str]) -> Roster:
        """A roster without identities, for a semi-honest server."""
        return cls(tuple(Member(name) for name in names))

    @classmethod
    def generate(cls, names: Iterable[str]) -> tuple[Roster, dict[str, SigningKey]]:
        """A roster with fresh identities and their private keys, for simulations and tests."""
        keys = {name: SigningKey.generate() for name in cls.unsigned(names).names}
        return cls(tuple(Member(name, key.verify_key) for name, key in keys.items())), keys

    def __len__(self) -> int:
        return len(self.members)

    @property
    def names(self) -> tuple[str, ...]:
        """Party names in order."""
        return tuple(member.name for member in self.members)

    @property
    def signed(self) -> bool:
        """Whether the parties have identity keys."""
        return bool(self.members[0].verify_key)

    @property
    def verify_keys(self) -> Sequence[bytes] | None:
        """Identity keys in order, 32 bytes each; None for an unsigned roster."""
        return [member.verify_key for member in self.members] if self.signed else None

    def index(self, name: str) -> int:
        """A party's place.

        Raises:
            ConfigError: it is not on the roster.
        """
        if name not in self.names:
            raise ConfigError(
                f"{name!r} is not on the roster of {len(self)} parties",
                remedy="use the name under which the roster's owner entered it: " + ", ".join(self.names[:8]),
            )
        return self.names.index(name)

    def digest(self) -> bytes:
        """SHA-256 over version, names and keys in order, 32 bytes."""
        fields = [field for member in self.members for field in (member.name, member.verify_key)]
        return digest("roster", self.version, *fields)

    @property
    def fingerprint(self) -> str:
        """What people compare to see that they hold the same roster."""
        return fingerprint(self.digest())

    @property
    def owner_fingerprint(self) -> str:
        """Fingerprint of the key that vouches for the roster; empty where nobody does."""
        return fingerprint(self.owner) if self.owner else ""

    def _signed_data(self) -> bytes:
        return digest("roster-owner", self.digest())

    def sign(self, owner: SigningKey) -> Roster:
        """This roster, vouched for by `owner`."""
        return dataclasses.replace(self, owner=owner.verify_key, signature=owner.sign(self._signed_data()))

    def with_member(self, member: Member) -> Roster:
        """The next version, with one party more and the owner's signature still to be made."""
        return Roster((*self.members, member), self.version + 1)

    def to_toml(self) -> str:
        """The roster as a file: `version`, `owner` and `signature` (hex), then one `[[party]]` each with `name` and `key`."""
        lines = [
            "# securefl roster. Compare fingerprints with the parties themselves, not with the server.",
            f"version = {self.version}",
        ]
        if self.signature:
            lines += [f'owner = "{self.owner.hex()}"', f'signature = "{self.signature.hex()}"']
        for member in self.members:
            lines += ["", "[[party]]", f"name = {json.dumps(member.name, ensure_ascii=False)}"]
            if member.verify_key:
                lines += [f'key = "{member.verify_key.hex()}"  # {member.fingerprint}']
        return "\n".join(lines) + "\n"

    @classmethod
    def from_toml(cls, text: str, *, source: str = "roster") -> Roster:
        """The roster in a file that `to_toml` wrote or a person did.

        Raises:
            ConfigError: not TOML, an unknown or missing key, or as `Roster`; the message names `source` and the place.
            CryptoError: the owner's signature does not verify.
        """
        table = read_table(text, source=source, known={"version": int, "owner": str, "signature": str, "party": list})
        members = []
        for number, entry in enumerate(table.get("party", []), 1):
            members.append(_member(entry, f"{source}: [[party]] number {number}"))
        return cls(
            tuple(members),
            table.get("version", 1),
            hex_field(table, "owner", source=source, sizes={0, 32}),
            hex_field(table, "signature", source=source, sizes={0, 64}),
        )

    @classmethod
    def load(cls, path: str | Path) -> Roster:
        """The roster in a file.

        Raises:
            ConfigError: it cannot be read, or as `from_toml`.
            CryptoError: the owner's signature does not verify.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"the roster {path} cannot be read: {error}", remedy="write one with `securefl roster new`"
            ) from error
        return cls.from_toml(text, source=str(path))


def _member(entry: Any, source: str) -> Member:
    if not isinstance(entry, dict) or set(entry) - {"name", "key"} or not isinstance(entry.get("name"), str):
        raise ConfigError(
            f"{source} has {entry!r}", remedy='each needs name = "..." and, with identities, key = "..." in hex'
        )
    return Member(entry["name"], hex_field(entry, "key", source=source, sizes={0, 32}))


def _check_name(name: object) -> None:
    if (
        not isinstance(name, str)
        or not 0 < len(name) <= 64
        or not name.isprintable()
        or _folded(name) in {SERVER, KEY_HOLDER}
        or name.strip() != name
    ):
        raise ConfigError(
            f"{name!r} cannot be a party's name",
            remedy=f"use 1 to 64 printable characters without outer spaces, not {SERVER!r} or {KEY_HOLDER!r}",
        )


def _folded(name: str) -> str:
    """A name as a reader sees it: case and compatibility forms make no difference."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


def _refuse_doubles(what: str, values: list[str]) -> None:
    doubled = sorted({value for value in values if values.count(value) > 1}) if len(set(values)) < len(values) else []
    if doubled:
        raise ConfigError(
            f"the roster has a {what} twice: {', '.join(doubled)}", remedy="enter each party once, with its own key"
        )
