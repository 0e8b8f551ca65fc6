"""The key of an experiment under Paillier encryption: from the configuration's file, or made for this one rehearsal."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING

from securefl.crypto.secret import Redacted
from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError, CryptoError, PolicyRefusedError
from securefl.plan.paillier import Paillier
from securefl.report.config import ExperimentConfig, PaillierConfig
from securefl.report.files import read_password
from securefl.report.key_files import is_public, load_private, load_public

if TYPE_CHECKING:
    from securefl.engines.actors import KeyHolder
    from securefl.paillier import PublicKey
    from securefl.paillier.threshold import VerificationKeys
    from securefl.paillier.threshold.safe_primes import Search


@dataclasses.dataclass(frozen=True, slots=True, repr=False, eq=False)
class RehearsalKey(Redacted):
    """What an experiment encrypts under, and decrypts with.

    Args:
        public: what the plan names: the key, or a dealing of one.
        holder: what sums are decrypted with; None where the configuration names a public key.
    """

    public: PublicKey | VerificationKeys
    holder: KeyHolder | None


def rehearsal_key(
    config: ExperimentConfig, parties: Sequence[str], search: Search | None = None
) -> RehearsalKey | None:
    """The key that a configuration asks for; None for masks.

    Args:
        config: the experiment.
        parties: to whom a threshold key is dealt.
        search: told of the search for safe primes, which a new threshold key needs and which takes some ten seconds.

    Raises:
        ConfigError: settings that contradict each other, a key's file that cannot be used, or gmpy2 is missing; names the file.
    """
    wanted, place = config.paillier, config.source or "config"
    _check(config, place)
    if wanted.holder == "none":
        return None
    from securefl.paillier import PrivateKey
    from securefl.paillier.threshold import VerificationKeys, deal, safe_private_key

    dealt = wanted.holder == "threshold"
    try:
        if wanted.key and is_public(wanted.key):
            public = load_public(wanted.key)
            if isinstance(public, VerificationKeys) != dealt:
                raise ConfigError(
                    f"key {wanted.key} is not {'a dealing' if dealt else 'a public key'}, which holder {wanted.holder!r} needs",
                    remedy="name another file, or another holder",
                )
            return RehearsalKey(public, None)
        if wanted.key:
            key = load_private(wanted.key, read_password(_password_file(wanted)))
        elif dealt:
            key = safe_private_key(wanted.bits, progress=search)
        else:
            key = PrivateKey.generate(wanted.bits)
        if not dealt:
            return RehearsalKey(key.public_key, key)
        # In a rehearsal this process is the trusted dealer, and all the parties.
        dealing = deal(key, parties, threshold=_threshold(config, len(parties)), dealer=SigningKey.generate())
    except (ConfigError, CryptoError) as error:
        raise ConfigError(f"{place}: [paillier] {error.message}", remedy=error.remedy) from error
    return RehearsalKey(dealing.keys, dealing)


def paillier(config: ExperimentConfig, key: RehearsalKey, *, max_colluders: int | None, dropout: float) -> Paillier:
    """The protocol that a configuration asks for, under its key."""
    wanted = config.paillier
    return Paillier(
        key.public,
        wanted.holder,
        audited=wanted.audited,
        randomness=wanted.randomness,
        max_colluders=max_colluders,
        dropout=dropout,
        min_survivors=config.plan.min_survivors,
    )


def fresh_key(config: ExperimentConfig | None) -> bool:
    """Whether an experiment's key was made for it and is forgotten with it."""
    return config is not None and config.paillier.holder != "none" and not config.paillier.key


def note_fresh_key(refusal: PolicyRefusedError, config: ExperimentConfig) -> None:
    """Say of a policy's refusal that no policy can know the key, where it was made for the occasion."""
    if refusal.floor == "paillier_keys" and fresh_key(config):
        refusal.add_note(
            "this key was made for the check: name the real one, of which the public file will do, as paillier.key"
        )


def _check(config: ExperimentConfig, place: str) -> None:
    """Refuse what would be silently without effect, or weaker than what was asked for."""
    wanted, plan = config.paillier, config.plan
    if wanted.holder == "none":
        usual = PaillierConfig()
        idle = [name for name in usual.__struct_fields__ if getattr(wanted, name) != getattr(usual, name)]
        if idle:
            raise ConfigError(
                f"{place}: paillier.{idle[0]} is set, and paillier.holder is 'none': there is no key",
                remedy='set holder to "separate", "clients" or "threshold", or leave the rest of [paillier] out',
            )
        return
    if wanted.threshold is not None and wanted.holder != "threshold":
        raise ConfigError(
            f"{place}: paillier.threshold is {wanted.threshold}, and with holder {wanted.holder!r} one decrypts alone",
            remedy='leave it out, or set holder = "threshold"',
        )
    if plan.threshold is not None:
        raise ConfigError(
            f"{place}: plan.threshold is {plan.threshold}, and under a Paillier key no shares of secrets are dealt",
            remedy="leave it out; how many decrypt a threshold key together is paillier.threshold",
        )
    if plan.server == "active" and not wanted.audited:
        raise ConfigError(
            f"{place}: plan.server is 'active', and who holds a Paillier key believes the server what the sum is",
            remedy='set audited = true in [paillier], or server = "semi-honest" in [plan]',
        )


def _password_file(wanted: PaillierConfig) -> str:
    if not wanted.key_password_file:
        raise ConfigError(
            f"key {wanted.key} is private, which is sealed, and key_password_file is not set",
            remedy="name the file with its password",
        )
    return wanted.key_password_file


def _threshold(config: ExperimentConfig, parties: int) -> int:
    """t: as configured, or so that two groups of t have more parties in common than may collude."""
    if config.paillier.threshold is not None:
        return config.paillier.threshold
    colluders = max(config.plan.max_colluders or 0, config.privacy.max_colluders or 0)
    return min(parties, (parties + colluders) // 2 + 1)
