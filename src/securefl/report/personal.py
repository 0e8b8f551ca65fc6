"""Accuracy where each party has a model of its own: that of the shared one alone would say nothing."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from securefl.federated import Dataset, Federation, Model, RoundRecord

Tests = Mapping[str, tuple[tuple[float, Dataset], ...]]
"""For each party, test examples by class, with the share that the class has among its own examples."""


def metrics(federation: Federation, model: Model, tests: Tests) -> dict[str, float]:
    """Mean loss and accuracy of the parties' own models, each on test examples in the mix of classes that the party has.

    All parties weigh the same. In a simulation only: it needs every party's own model.
    """
    found = {"loss": 0.0, "accuracy": 0.0}
    for party, parts in tests.items():
        params = federation.params_of(party)
        for share, part in parts:
            for name, value in model.evaluate(params, part).items():
                found[name] += share * value / len(tests)
    return found


def amended(record: RoundRecord, own: Mapping[str, float]) -> RoundRecord:
    """The record with these test metrics, and the shared model's as `shared_accuracy` and `shared_loss`."""
    shared = {f"shared_{name}": value for name, value in record.test_metrics.items() if not name.startswith("shared_")}
    return msgspec.structs.replace(record, test_metrics={**shared, **own})
