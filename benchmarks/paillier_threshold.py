"""Threshold decryption beside decryption with the whole key, for the Paillier benchmark."""

from __future__ import annotations

import warnings

from harness import Row, row
from paillier_turns import Tell, Work, in_turn, one_core

from securefl.crypto.signing import SigningKey
from securefl.paillier import Encryptor, SmallKeyWarning
from securefl.paillier.threshold import Combiner, deal, safe_private_key

LEAST_BITS = 2048
FEW = 4
PARTIES, THRESHOLD = 10, 6
CONTEXT = b"benchmark"
TARGET = 1 / 9
"""One party's partials take at most nine times as long as decryption with the whole key."""


def threshold_rows(
    bits: int,
    *,
    ciphertexts: int,
    repeats: int,
    tell: Tell,
) -> list[Row]:
    """Deal a key, then measure partials with their proof, the check of them, and what combines them, a ciphertext each.

    Args:
        bits: of the key, whose safe primes are looked for first: seconds to a minute.
        ciphertexts: so many share one proof.
        repeats: turns.
        tell: told of progress.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SmallKeyWarning)
        key = safe_private_key(
            bits,
            progress=lambda found, tried: tell(f"safe primes, candidate {tried}", found, 2),
            insecure_size_for_tests=bits < LEAST_BITS,
        )
    names = [f"party-{index}" for index in range(PARTIES)]
    dealing = deal(key, names, threshold=THRESHOLD, dealer=SigningKey.generate())
    plaintexts = [index - ciphertexts // 2 for index in range(ciphertexts)]
    encrypted = Encryptor(key.public_key, "short").encrypt(plaintexts)
    share, one, few = dealing.shares[0], encrypted[:1], encrypted[:FEW]
    partials = share.partials(encrypted, ctx=CONTEXT)
    combiner = Combiner(dealing.keys, few, ctx=CONTEXT, threads=1)
    for party in range(THRESHOLD):
        combiner.receive(party, dealing.shares[party].partials(few, ctx=CONTEXT).to_bytes())
    if combiner.plaintexts() != plaintexts[:FEW]:
        raise SystemExit("the partials decrypt to something else than was encrypted")
    batched = f"one party's partials, {ciphertexts} a proof"
    cases = {
        "whole key": Work(ciphertexts, one_core(lambda: key.decrypt(encrypted, threads=1))),
        batched: Work(ciphertexts, one_core(lambda: share.partials(encrypted, ctx=CONTEXT, threads=1))),
        "one party's partials, one a proof": Work(1, one_core(lambda: share.partials(one, ctx=CONTEXT, threads=1))),
        f"check of one party's, {ciphertexts} a proof": Work(
            ciphertexts, one_core(lambda: partials.verify(encrypted, ctx=CONTEXT, threads=1))
        ),
        f"combining {THRESHOLD} parties'": Work(FEW, one_core(combiner.plaintexts)),
    }
    rates = in_turn(cases, repeats=repeats, tell=tell)
    whole = rates.pop("whole key")
    return [
        row(
            f"{bits} bits: threshold {THRESHOLD} of {PARTIES}, {name}",
            rate,
            whole,
            unit="per s",
            peer_name="our decryption with the whole key",
            better="more",
            target=TARGET if name == batched and bits >= LEAST_BITS else None,
        )
        for name, rate in rates.items()
    ]
