"""Profiles for the property tests, and randomness that a test can repeat.

In `make test` and `make test-full` hypothesis tries the same examples every time, so that what turns red is the change's doing;
`make explore` tries others.
"""

import os

from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

_PROFILE = os.environ.get("HYPOTHESIS_PROFILE", "dev")
_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow], "print_blob": True}
settings.register_profile("dev", max_examples=30, **_COMMON)
settings.register_profile("ci", max_examples=100, derandomize=True, **_COMMON)
settings.register_profile("nightly", max_examples=1000, derandomize=True, **_COMMON)
settings.register_profile("explore", max_examples=1000, **_COMMON)
settings.load_profile(_PROFILE)

if _PROFILE in {"ci", "nightly"}:
    # Hypothesis also tries the constants of our own modules that are loaded so far: others on each worker and after any change.
    assert hasattr(providers, "_get_local_constants")
    _NO_CONSTANTS = providers.Constants()
    providers._get_local_constants = lambda: _NO_CONSTANTS


def pytest_collection_modifyitems(items):
    """Whole deployments begin first: they wait more than they work, and whoever begins last ends last."""
    items.sort(key=lambda item: item.path.name != "test_flower_deployment.py")
