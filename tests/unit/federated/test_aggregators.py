from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from securefl.errors import RoundAbortedError
from securefl.federated import PlainAverage, SecureAverage
from securefl.types import Step

UPDATES = {p: {"w": np.full((2, 3), value, dtype=np.float32)} for p, value in [("a", 1.0), ("b", 4.0), ("c", 100.0)]}
ARGUMENTS = {
    "weights": {"a": 2, "b": 1, "c": 5},
    "metrics": {"a": {"loss": 0.5, "f1": 0.0}, "b": {"loss": 2.0, "f1": 0.0}, "c": {"loss": 9.0, "f1": 0.0}},
    "model": {"w": np.zeros((2, 3), dtype=np.float32)},
}


@pytest.mark.parametrize("step", [Step.ADVERTISE, Step.SHARE_KEYS, Step.MASKED_INPUT])
def test_plain_average_leaves_out_who_dropped_before_sending(step):
    outcome = PlainAverage().round(UPDATES, drop={"c": step}, **ARGUMENTS)
    np.testing.assert_allclose(outcome.mean["w"], 2.0)
    assert outcome.survivors == ("a", "b")
    assert outcome.dropped == {"c": step}
    assert outcome.weight_sum == 3
    assert outcome.metrics["loss"] == pytest.approx(1.0)
    assert outcome.bytes_up == 2 * 6 * 4


@pytest.mark.parametrize("step", [Step.CONSISTENCY, Step.UNMASK])
def test_plain_average_keeps_who_dropped_after_sending(step):
    outcome = PlainAverage().round(UPDATES, drop={"c": step}, **ARGUMENTS)
    assert outcome.survivors == ("a", "b", "c")
    assert outcome.weight_sum == 8


def test_plain_average_of_nobody_is_no_round():
    with pytest.raises(RoundAbortedError, match="all 3 parties dropped"):
        PlainAverage().round(UPDATES, drop=dict.fromkeys(UPDATES, Step.ADVERTISE), **ARGUMENTS)


def test_secure_average_hands_the_round_to_the_engine_with_declared_metrics_only(monkeypatch):
    calls = []

    class MemorySession:
        def __init__(self, plan, parties, *, ledger, key_holder, floors):
            calls.append((plan, parties))

        def round(self, updates, **arguments):
            calls.append((updates, arguments))
            return "outcome"

    engine = ModuleType("securefl.engines.memory")
    engine.MemorySession = MemorySession
    monkeypatch.setitem(sys.modules, "securefl.engines.memory", engine)
    plan = SimpleNamespace(metrics={"loss": (0.0, 10.0)}, private=False, parties=3)

    outcome = SecureAverage(plan, ("a", "b", "c")).round(UPDATES, drop={"c": Step.UNMASK}, **ARGUMENTS)

    assert outcome == "outcome"
    told = {"a": {"loss": 0.5}, "b": {"loss": 2.0}, "c": {"loss": 9.0}}
    assert calls == [(plan, ("a", "b", "c")), (UPDATES, {**ARGUMENTS, "metrics": told, "drop": {"c": Step.UNMASK}})]
