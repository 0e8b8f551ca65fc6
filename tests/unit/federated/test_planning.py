from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import pytest

from securefl.federated import plan_for


@pytest.fixture
def recorded(monkeypatch):
    """A stand-in for the plan module that shows what it was asked for."""
    plan = ModuleType("securefl.plan")
    plan.Plan = plan.SecAgg = SimpleNamespace
    monkeypatch.setitem(sys.modules, "securefl.plan", plan)


@pytest.mark.usefixtures("recorded")
def test_a_plan_takes_layout_parties_and_largest_weight_from_model_and_clients(model, clients, blobs):
    clients["large"] = blobs
    plan = plan_for(model, clients, bound=2.0, value_bits=12)
    assert plan.template == {"weight": ((2, 3), "float32"), "bias": ((3,), "float32")}
    assert (plan.parties, plan.max_weight) == (11, 90)
    assert (plan.encoding.bound, plan.encoding.value_bits) == (2.0, 12)
    assert plan.metrics.keys() == {"loss", "accuracy"}
    assert plan.protocol.dropout == 0.1


@pytest.mark.usefixtures("recorded")
def test_a_protocol_of_ones_own_is_kept(model, clients):
    protocol = SimpleNamespace(threshold=7)
    assert plan_for(model, clients, protocol=protocol).protocol is protocol
