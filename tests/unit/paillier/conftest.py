"""Keys that are small enough to be quick, and broken in a day."""

from __future__ import annotations

import pytest

from securefl.paillier import Encryptor, PrivateKey


@pytest.fixture(scope="session")
def key() -> PrivateKey:
    return PrivateKey.generate(512, insecure_size_for_tests=True)


@pytest.fixture(scope="session")
def other() -> PrivateKey:
    return PrivateKey.generate(512, insecure_size_for_tests=True)


@pytest.fixture(scope="session")
def encryptor(key) -> Encryptor:
    return Encryptor(key.public_key, window=4)
