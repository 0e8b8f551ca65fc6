from __future__ import annotations

import pytest

from conformance.adapters import ADAPTERS, Adapter


def _slow(adapter: Adapter) -> bool:
    """Three of five under a key: what they add is in the attacks, and their arithmetic takes minutes."""
    return adapter.name in {"paillier-audited", "paillier-threshold", "paillier-threshold-audited"}


PARAMS = [pytest.param(adapter, marks=[pytest.mark.heavy] if _slow(adapter) else []) for adapter in ADAPTERS]


@pytest.fixture(params=PARAMS, ids=lambda adapter: adapter.name)
def protocol(request) -> Adapter:
    return request.param
