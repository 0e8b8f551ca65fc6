"""A robust rule under secure aggregation: over the means of small groups, each of them a secure sum of its own."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from securefl.crypto.random import OS, RandomSource
from securefl.errors import BelowThresholdError, ConfigError, RoundAbortedError, UnsafePlanError
from securefl.federated.models import Params
from securefl.federated.robust.outcome import GroupwiseOutcome, outcome_of
from securefl.federated.robust.rule import Rule, check_count, norm_of
from securefl.plan import Plan
from securefl.types import Step

if TYPE_CHECKING:
    from securefl.dp.ledger import PrivacyLedger
    from securefl.engines.actors import KeyHolder
    from securefl.policy import ModelFloors
    from securefl.session import RoundResult

_LEAST_GROUPS = 3


class GroupwiseRobust:
    """Groups drawn at random each round, a secure aggregation in each, and a robust rule over their means.

    **What it costs: the server learns the mean of every group,** so that a party hides among `group_size` parties and not among all.
    Floors, colluders and, under a private plan, noise and epsilon count per group. What stays the same in a party's updates from
    round to round can be solved for from the means of about `group_size` rounds, since the groups differ.

    **What it bears:** the rule sees groups, and one malicious party spoils its whole group. Of parties of whom a share f is malicious
    about 1 - (1 - f)^group_size of the groups are spoiled, and rules of order or distance need that to be less than a half. Who draws
    the groups must not know the attackers' wishes: here it is the server, with the operating system's randomness.

    A round that is tried again from the same model has the same groups: new ones would show the server other sums of the same updates.

    Args:
        plan: the agreement, for any number of parties; each group has it for its own number. A threshold that is given must suit that.
        parties: all names, in order; where some are sampled for a round, the groups are of those.
        rule: over the groups' means, with the groups' weights.
        group_size: parties of a group, at least 3; what is left over joins groups, one each.
        min_groups: groups without which there is no aggregate; by default what the rule needs, and at least 3.
        max_norm: groups whose mean is longer, in the L2 norm, are left out. Where every honest party keeps `NormBound(max_norm)`, no
            honest group is: the mean of vectors within a ball is in it. Rounding is allowed for.
        regroup: False draws the groups once, so that nothing is learned from their differences, and attackers stay where they are.
        ledger: needed under a private plan, in which all parties weigh the same.
        key_holder: under a Paillier plan the private key.
        floors: what the parties demand of the model that they train on; the default floors unless given.
        random: the source of the split. The secrets of the rounds are the system's in any case.

    Raises:
        UnsafePlanError: there is no safe plan for so small a group, or too few parties.
        ConfigError: too few groups for the rule, or an argument that the plan does not go with.

    Source: Velicheti et al. 2021 (arXiv:2110.02940), SHARE, with one clustering a round: they draw several for the same updates, from
        which the server could solve for single ones.
    """

    def __init__(
        self,
        plan: Plan,
        parties: Sequence[str],
        rule: Rule,
        *,
        group_size: int,
        min_groups: int | None = None,
        max_norm: float | None = None,
        regroup: bool = True,
        ledger: PrivacyLedger | None = None,
        key_holder: KeyHolder | None = None,
        floors: ModelFloors | None = None,
        random: RandomSource = OS,
    ) -> None:
        check_count("group_size", group_size, 3)
        _check(plan, max_norm)
        self.parties = tuple(parties)
        count = len(self.parties) // group_size
        self.min_groups = max(_LEAST_GROUPS, rule.least) if min_groups is None else min_groups
        check_count("min_groups", self.min_groups, max(1, rule.least))
        if count < self.min_groups:
            raise ConfigError(
                f"{len(self.parties)} parties make {count} groups of {group_size}, {rule} over groups needs {self.min_groups}",
                remedy=f"invite {self.min_groups * group_size} parties, or let the rule bear fewer attackers",
            )
        self._group_size, self._rule, self._max_norm, self._regroup = group_size, rule, max_norm, regroup
        self._ledger, self._key_holder, self._floors, self._random = ledger, key_holder, floors, random
        self._plan = plan
        self._plans: dict[int, Plan] = {}
        smallest, more = divmod(len(self.parties), count)
        for size in {smallest, smallest + bool(more)}:  # a plan that is unsafe for a group is refused before training
            self._fitted(size)
        self._declared, self._weighted = tuple(plan.metrics), not plan.private
        self._drawn: tuple[tuple[bytes, tuple[str, ...]], dict[str, tuple[str, ...]]] | None = None

    def round(
        self,
        updates: Mapping[str, Params],
        *,
        weights: Mapping[str, int],
        metrics: Mapping[str, Mapping[str, float]],
        model: Params,
        drop: Mapping[str, Step],
    ) -> GroupwiseOutcome:
        """Run one round of the protocol in every group, then the rule; metrics that the plan does not declare stay with the party.

        Raises:
            ConfigError: updates, weights or metrics of others than the parties.
            EncodingError: an update that does not fit the plan; names the party, and nothing was sent.
            PrivacyBudgetError: a private plan, and somebody's budget would be overspent; nothing was sent.
            BelowThresholdError: fewer than `min_groups` groups gave a mean within `max_norm`; names each and why.
        """
        from securefl.engines.memory import MemorySession, check_party

        present = tuple(party for party in self.parties if party in updates)
        shares = weights if self._weighted else dict.fromkeys(present, 1)
        for what, given in (("updates", updates), ("weights", shares), ("metrics", metrics)):
            if odd := sorted(set(given) ^ set(present)):
                raise ConfigError(
                    f"{what} are not those of the parties: {', '.join(odd[:8])}", remedy="give one entry for each party"
                )
        told = {party: {name: own[name] for name in self._declared} for party, own in metrics.items()}
        for party in present:  # before any group has released a sum
            check_party(party, self._plan, updates[party], shares[party], told[party])
        members = self._groups(self._plan.model_digest(model), present)
        sessions = {
            name: MemorySession(
                self._fitted(len(group)),
                group,
                ledger=self._ledger,
                key_holder=self._key_holder,
                floors=self._floors,
            )
            for name, group in members.items()
        }
        for session in sessions.values():
            session.check_budget()
        results: dict[str, RoundResult] = {}
        failed: dict[str, RoundAbortedError] = {}
        for name, group in members.items():
            try:
                results[name] = sessions[name].round(
                    {party: updates[party] for party in group},
                    weights={party: shares[party] for party in group},
                    metrics={party: told[party] for party in group},
                    model=model,
                    drop={party: step for party, step in drop.items() if party in group},
                )
            except RoundAbortedError as error:
                failed[name] = error
        rejected = tuple(name for name, result in results.items() if self._too_long(result))
        used = {name: result for name, result in results.items() if name not in rejected}
        if len(used) < self.min_groups:
            raise self._too_few(len(members), len(used), failed, rejected)
        mean = self._rule([result.mean for result in used.values()], [result.weight_sum for result in used.values()])
        return outcome_of(
            mean, members=members, results=results, rejected=rejected, failed=failed, drop=drop, ledger=self._ledger
        )

    def _groups(self, model: bytes, present: tuple[str, ...]) -> dict[str, tuple[str, ...]]:
        from securefl.engines.cohorts import split

        asked = (model if self._regroup else b"", present)
        if self._drawn is None or self._drawn[0] != asked:
            drawn = split(present, self._group_size, self._random)
            self._drawn = asked, {name.replace("cohort", "group"): group for name, group in drawn.items()}
        return self._drawn[1]

    def _fitted(self, size: int) -> Plan:
        """The plan for a group; what it leaves open is computed for so many parties."""
        if size not in self._plans:
            try:
                self._plans[size] = self._plan if self._plan.parties == size else self._plan.replace(parties=size)
            except UnsafePlanError as error:
                raise UnsafePlanError(
                    f"a group of {size} parties: {error.rule}",
                    value=error.value,
                    bound=error.bound,
                    remedy=error.remedy,
                ) from error
        return self._plans[size]

    def _too_long(self, result: RoundResult) -> bool:
        if self._max_norm is None:
            return False
        rounding = result.plan.fixed_point.error_bound * math.sqrt(result.plan.layout.size)
        return norm_of(result.mean) > self._max_norm * (1 + 1e-6) + rounding

    def _too_few(
        self, drawn: int, used: int, failed: Mapping[str, RoundAbortedError], rejected: Sequence[str]
    ) -> BelowThresholdError:
        why = [f"{name}: {error.reason}" for name, error in failed.items()]
        why += [f"{name}: its mean is longer than {self._max_norm:g}" for name in rejected]
        return BelowThresholdError(
            f"{used} of {drawn} groups gave a mean to use, {self.min_groups} are needed; {'; '.join(why)}",
            suspects=sorted({suspect for error in failed.values() for suspect in error.suspects}),
            remedy="start a new round, with larger groups or a plan for more dropouts"
            if len(failed) > len(rejected)
            else "check that every honest party trains under NormBounded with this bound; then use smaller groups, which attackers "
            "spoil fewer of, or find out who they are",
        )


def _check(plan: Plan, max_norm: float | None) -> None:
    if plan.protocol.prefetch:
        raise ConfigError(
            "prefetch: keys for the next round are of no use, since it has other groups",
            remedy="use SecAgg(prefetch=False)",
        )
    if plan.private and max_norm is not None:
        raise ConfigError(
            f"max_norm: got {max_norm!r} beside a private plan, whose noise makes every mean longer",
            remedy="leave max_norm out; the mechanism clips",
        )
    if plan.private and getattr(plan.privacy, "adaptive", False):
        raise ConfigError(
            "the clip adapts from round to round within one session, and groups are new each round",
            remedy="use a fixed clip",
        )
    if max_norm is not None and (
        isinstance(max_norm, bool)
        or not isinstance(max_norm, int | float)
        or not (math.isfinite(max_norm) and max_norm > 0)
    ):
        raise ConfigError(f"max_norm: got {max_norm!r}, needs a finite number > 0", remedy="leave max_norm out")
