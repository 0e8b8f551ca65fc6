"""`securefl keygen --paillier`: a key for one holder, or dealt to the parties by a trusted dealer."""

from __future__ import annotations

import base64
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from securefl.cli.passwords import new_password, new_password_for
from securefl.cli.screen import Screen
from securefl.cli.searching import told
from securefl.crypto.random import OS
from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError
from securefl.plan import Roster
from securefl.report.files import make_directory, read_password, write
from securefl.report.key_files import DEALING, PRIVATE, PUBLIC, SHARE, fingerprint_of, public_text

FILE_NAME: Final = re.compile(r"[\w][\w .+@-]*")

_DEFAULT_BITS: Final = 3072
_PASSWORD_BYTES: Final = 20


def paillier_key(name: str, output: Path, bits: int | None, password_file: Path | None, *, force: bool) -> None:
    """Write a private key, sealed under a password, and the public key.

    Raises:
        ConfigError: a file exists already, there is no password, or gmpy2 is missing.
        CryptoError: a size that is refused.
    """
    from securefl.paillier import PrivateKey

    private, public = output / f"{name}{PRIVATE}", output / f"{name}{PUBLIC}"
    refuse_existing(private, public, force=force)
    password = new_password(password_file, remedy="give --password-file FILE")
    key = PrivateKey.generate(_DEFAULT_BITS if bits is None else bits)
    make_directory(output)
    write(private, key.to_bytes(password), mode=0o600, overwrite=force)
    write(public, public_text(key.public_key), overwrite=force)
    screen = Screen()
    screen.long(f"private key  {private}  (mode 0600, sealed under the password; opens every vector under this key)")
    screen.long(f"public key   {public}")
    _pin(screen, fingerprint_of(key.public_key))
    screen.line(
        "Whoever has the private key and a party's ciphertexts reads its vector: keep it away from the server and, unless the "
        "parties' policies say otherwise, from the parties."
    )


def paillier_dealing(
    name: str,
    output: Path,
    bits: int | None,
    parties: Sequence[str],
    threshold: int,
    password_dir: Path | None,
    *,
    force: bool,
) -> None:
    """Be the trusted dealer: write what is published, and each party's share, sealed under a password of its own.

    Raises:
        ConfigError: a file exists already, a name that cannot be a party's or a file's, no password, or gmpy2 is missing.
        CryptoError: a size or a threshold that is refused.
    """
    from securefl.paillier.public_key import check_size
    from securefl.paillier.threshold import deal, safe_private_key
    from securefl.paillier.threshold.verification import check_parties

    for party in parties:
        if not FILE_NAME.fullmatch(party):
            raise ConfigError(
                f"{party!r} cannot be the name of a share's file",
                remedy="give the roster's names with commas and no spaces between; letters, digits, spaces and . _ - + @",
            )
    Roster.unsigned(parties)  # refuses what no roster could hold: doubled and reserved names
    check_parties(threshold, parties)
    size = _DEFAULT_BITS if bits is None else bits
    check_size(size, quiet=True)
    dealing = output / f"{name}{DEALING}"
    shares = {party: output / f"{name}.{party}{SHARE}" for party in parties}
    refuse_existing(dealing, *shares.values(), force=force)
    screen = Screen()
    passwords = {party: _password_for(party, password_dir) for party in parties}
    with told(screen) as search:
        dealt = deal(
            safe_private_key(size, progress=search), parties, threshold=threshold, dealer=SigningKey.generate()
        )
    make_directory(output)
    for share, (party, path) in zip(dealt.shares, shares.items(), strict=True):
        write(path, share.to_bytes(passwords[party]), mode=0o600, overwrite=force)
    write(dealing, public_text(dealt.keys), overwrite=force)
    screen.long(f"dealing      {dealing}  (no secret: for everybody)")
    for party, path in shares.items():
        screen.long(f"share        {path}  (mode 0600, sealed; for {party} alone)")
    if password_dir is not None:
        screen.long(f"passwords    {password_dir}  (one file a party: hand it over apart from the share)")
    _pin(screen, fingerprint_of(dealt.keys))
    screen.line(
        f"Any {threshold} of the {len(parties)} parties decrypt together. This process knew the whole key, and wrote neither it nor "
        "the dealer's identity. Hand each share over, then delete all shares and passwords here: whoever finds "
        f"{threshold} of them can open every vector."
    )


def refuse_existing(*paths: Path, force: bool) -> None:
    """Refuse to replace keys, before a password is asked for.

    Raises:
        ConfigError: one exists.
    """
    for path in paths:
        if path.exists() and not force:
            raise ConfigError(f"{path} exists already and was left as it is", remedy="choose another name or --output")


def _password_for(party: str, directory: Path | None) -> str:
    """A share's password: asked for, or that of its file, which is made with 160 random bits where it is missing."""
    if directory is None:
        return new_password_for(f"the share of {party}")
    path = directory / f"{party}.password"
    if not path.exists():
        make_directory(directory)
        write(path, base64.b32encode(OS.token(_PASSWORD_BYTES)).decode().lower() + "\n", mode=0o600, overwrite=False)
    return read_password(path)


def _pin(screen: Screen, fingerprint: str) -> None:
    screen.long(f"fingerprint  {fingerprint}")
    screen.line()
    screen.line("Read the fingerprint to the parties over another channel. Each pins it in its policy:")
    screen.long(f'  paillier_keys = ["{fingerprint}"]')
    screen.line()
