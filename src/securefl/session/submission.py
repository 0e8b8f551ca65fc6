"""What a party hands in for a round, until it is masked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from securefl.crypto.digest import equal
from securefl.crypto.secret import Redacted
from securefl.errors import RemoteProtocolError
from securefl.plan import Plan
from securefl.plan.plan import NO_MODEL
from securefl.types import SERVER, Step, Tree


@dataclasses.dataclass(frozen=True, slots=True, repr=False)
class Submission(Redacted):
    """An update on its way.

    Args:
        update: a tree of the plan's template.
        weight: 1..max_weight of the plan.
        metrics: one value for each metric of the plan.
        model: the model that was trained; None for none.
        meant_for: the round that was open when it was handed in; None for the next.
    """

    update: Tree
    weight: int
    metrics: Mapping[str, float]
    model: Tree
    meant_for: object | None

    def check_model(self, plan: Plan, model_digest: bytes) -> None:
        """Check that the model that was trained is the one that the round is for, digested again at this moment.

        Raises:
            RemoteProtocolError: it is another, or only one of the two has a model.
        """
        trained = plan.model_digest(self.model)
        if equal(trained, model_digest):
            return
        if trained == NO_MODEL:
            reason, remedy = "the round is for a model, and the update came without one", "pass submit(..., model=...)"
        elif model_digest == NO_MODEL:
            reason, remedy = "the update came with a model, and the round is for none", "leave out model="
        else:
            reason, remedy = (
                "the model that this party trained is not the one that the round is for",
                "train this round's model",
            )
        raise RemoteProtocolError(reason, phase=Step.MASKED_INPUT, suspects=(SERVER,), remedy=remedy)
