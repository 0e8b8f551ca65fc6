"""Why a robust rule and secure aggregation of everybody do not go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from securefl.errors import ConfigError

if TYPE_CHECKING:
    from securefl.federated.robust.rule import Rule
    from securefl.plan import Plan


def refuse_over_hidden(rule: Rule | None, plan: Plan | None) -> None:
    """Raise where a robust rule is asked for over updates that the server will not see.

    Args:
        rule: the rule, or None for the plain mean.
        plan: how updates are aggregated; None for in the clear.

    Raises:
        ConfigError: both are given.
    """
    if rule is not None and plan is not None:
        raise ConfigError(
            f"robust={rule} beside a plan: a robust rule compares updates, and under secure aggregation the server sees one sum only",
            remedy="apply it to the means of groups with securefl.federated.robust.GroupwiseRobust(plan, parties, rule, group_size=...), "
            "which shows the server each group's mean; or leave the plan out, and the server sees every update",
        )
