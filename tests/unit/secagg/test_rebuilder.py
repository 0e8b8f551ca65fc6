"""Rebuilding secrets from answers that differ in what they hold."""

from __future__ import annotations

import pytest

from securefl.crypto.random import OS
from securefl.crypto.shamir import split
from securefl.errors import BelowThresholdError, CryptoError
from securefl.secagg.dealing import Label, Rebuilder, commitment, point

CTX = bytes(range(32))
THRESHOLD = 3
SECRETS = {owner: bytes([owner]) * 32 for owner in range(6)}


def answers(holders, *, without=()):
    """What each holder releases: a share of everybody's secret but its own, and but the pairs in `without`."""
    dealt = {
        owner: split(secret, threshold=THRESHOLD, points=[point(h) for h in range(6) if h != owner], random=OS)
        for owner, secret in SECRETS.items()
    }
    return {
        holder: {
            owner: shares[point(holder)]
            for owner, shares in dealt.items()
            if owner != holder and (holder, owner) not in without
        }
        for holder in holders
    }


def rebuild(rebuilder, owner):
    return rebuilder.rebuild(owner, Label.SELF_MASK, commitment(CTX, owner, Label.SELF_MASK, SECRETS[owner]))


def test_every_secret_comes_back_whoever_owns_it():
    rebuilder = Rebuilder(CTX, answers([0, 1, 2, 3, 5]), THRESHOLD)
    for owner, secret in SECRETS.items():
        assert rebuild(rebuilder, owner) == secret


def test_holders_that_lack_a_share_are_replaced_by_others():
    rebuilder = Rebuilder(CTX, answers([0, 1, 2, 3, 5], without={(0, 4), (1, 4)}), THRESHOLD)
    assert rebuild(rebuilder, 4) == SECRETS[4]


def test_fewer_than_t_shares_open_nothing_and_are_counted():
    rebuilder = Rebuilder(CTX, answers([0, 1, 2]), THRESHOLD)
    assert rebuild(rebuilder, 5) == SECRETS[5]
    with pytest.raises(BelowThresholdError, match="2 shares of a secret that must be opened are there, 3 are needed"):
        rebuild(rebuilder, 1)


def test_a_secret_that_was_not_committed_to_is_not_handed_out():
    rebuilder = Rebuilder(CTX, answers([0, 1, 2]), THRESHOLD)
    with pytest.raises(CryptoError, match="not the one that its dealer committed to"):
        rebuilder.rebuild(5, Label.MASK_KEY, commitment(CTX, 5, Label.SELF_MASK, SECRETS[5]))
