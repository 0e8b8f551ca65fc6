from __future__ import annotations

import pytest

from conformance.adapters import ADAPTERS, Adapter


@pytest.fixture(params=ADAPTERS, ids=lambda adapter: adapter.name)
def protocol(request) -> Adapter:
    return request.param
