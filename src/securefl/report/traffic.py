"""What an algorithm saves on the wire, or costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from securefl.federated import Dataset, Model
from securefl.plan import Plan
from securefl.report.config import ExperimentConfig
from securefl.report.paillier_key import RehearsalKey
from securefl.report.protocols import secure_plan


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """One party's hidden vector in one round, beside what it would be if just the whole model's update travelled.

    Args:
        values: coordinates that travel.
        whole_values: of the model.
        bytes: of the message's vector.
        whole_bytes: if the model's update travelled.
    """

    values: int
    whole_values: int
    bytes: int
    whole_bytes: int

    @property
    def factor(self) -> float:
        """How many times fewer bytes; below 1 where more travel, as control variates do."""
        return self.whole_bytes / self.bytes


def traffic(
    config: ExperimentConfig, model: Model, clients: Mapping[str, Dataset], plan: Plan, key: RehearsalKey | None
) -> Traffic:
    """Compare a plan's vector with that of the whole model under the same protocol."""
    whole = secure_plan(config, model, clients, key, None)
    return Traffic(
        values=plan.layout.size,
        whole_values=whole.layout.size,
        bytes=plan.masked_bytes,
        whole_bytes=whole.masked_bytes,
    )
