"""Robust averaging in the clear."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from securefl.errors import RoundAbortedError
from securefl.federated.aggregators import PlainOutcome
from securefl.federated.dropouts import counted
from securefl.federated.models import Params
from securefl.federated.robust.rule import Rule
from securefl.types import Step


class RobustAverage:
    """A robust rule over the updates, **without any protection: the server sees every update.**

    An update with a NaN or an infinity is left out, as if its party had dropped. Metrics are plain weighted means: a party that
    lies about its metrics is believed. Bytes are counted as by `PlainAverage`.

    Args:
        rule: such as `Median()` or `Krum(f=4)`.
    """

    def __init__(self, rule: Rule) -> None:
        self._rule = rule

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,  # noqa: ARG002 - as every aggregator
        drop: Mapping[str, Step],
    ) -> PlainOutcome:
        """Aggregate one round in the clear.

        Raises:
            RoundAbortedError: fewer finite updates arrived than the rule needs.
            SecureFLError: the updates differ in layout.
        """
        arrived = counted(drop, tuple(updates))
        survivors = [party for party in arrived if all(np.isfinite(leaf).all() for leaf in updates[party].values())]
        refused = dict.fromkeys((party for party in arrived if party not in survivors), Step.MASKED_INPUT)
        if len(survivors) < max(1, self._rule.least):
            raise RoundAbortedError(
                f"{len(survivors)} finite updates arrived of {len(updates)}, {self._rule} needs {self._rule.least}",
                suspects=refused,
                remedy="ask more parties, or use a rule that needs fewer",
            )
        share = [weights[party] for party in survivors]
        return PlainOutcome(
            mean=self._rule([updates[party] for party in survivors], share),
            survivors=tuple(survivors),
            dropped=dict(drop) | refused,
            weight_sum=sum(share),
            metrics={
                name: math.fsum(weights[p] * metrics[p][name] for p in survivors) / sum(share)
                for name in metrics[survivors[0]]
            },
            bytes_up=sum(leaf.size for p in arrived for leaf in updates[p].values()) * np.dtype(np.float32).itemsize,
        )
