"""Who may hold the key of an audited plan."""

from __future__ import annotations

import pytest

import securefl as sfl
from conformance.adapters import private_key


def test_clients_that_all_have_the_key_cannot_be_audited():
    """Two of them could be shown two sums of one round, whose difference is one party's vector."""
    with pytest.raises(sfl.UnsafePlanError, match="their difference is a vector"):
        sfl.Plan(
            template={"w": ((3,), "float32")},
            parties=5,
            protocol=sfl.Paillier(private_key().public_key, "clients", audited=True),
        )
