"""One secure sum in one call."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

from securefl.dp.ledger import PrivacyLedger
from securefl.engines.faults import Fault
from securefl.engines.memory import MemorySession
from securefl.plan import Plan
from securefl.session import RoundResult
from securefl.types import Step, Tree

if TYPE_CHECKING:
    from securefl.engines.actors import KeyHolder


def aggregate(
    updates: Mapping[str, Tree],
    plan: Plan,
    weights: Mapping[str, int] | None = None,
    *,
    metrics: Mapping[str, Mapping[str, float]] | None = None,
    drop: Mapping[str, Step | str] | None = None,
    faults: Iterable[Fault] = (),
    ledger: PrivacyLedger | None = None,
    key_holder: KeyHolder | None = None,
) -> RoundResult:
    """Sum the parties' updates in memory, with real cryptography and real bytes.

        updates = {f"hospital-{i}": {"w": np.random.randn(1000)} for i in range(10)}
        plan = sfl.Plan.for_updates(updates, protocol=sfl.SecAgg(threshold=7))
        result = sfl.aggregate(updates, plan, drop={"hospital-3": "masked_input"})
        result.mean["w"], result.survivors, result.report()

    Args:
        updates: one tree of arrays a party, by name.
        plan: the agreement; see `Plan.for_updates`.
        weights: a whole number a party, up to the plan's `max_weight`; all 1 by default.
        metrics: the plan's metrics, by party.
        drop: the step that a party does not complete, by party: advertise, share_keys, masked_input, consistency or unmask.
            Under a Paillier key there are masked_input (its ciphertexts) and unmask (its decryption); what is to go wrong in an
            earlier step goes wrong there.
        faults: whatever else goes wrong, from `securefl.faults`.
        ledger: where the release is entered, under a private plan, before it happens.
        key_holder: under a Paillier plan the private key; or the dealing whose shares the parties have.

    Raises:
        ConfigError: updates, weights, metrics or faults of others than the plan's parties.
        EncodingError: an update that does not fit the plan; names party and tensor.
        PrivacyBudgetError: a private plan, and somebody's budget would be overspent; nothing was sent.
        RoundAbortedError: too few parties were left, or somebody broke the protocol; names the suspects.
    """
    session = MemorySession(plan, tuple(updates), ledger=ledger, key_holder=key_holder)
    return session.round(updates, weights=weights, metrics=metrics, drop=drop, faults=faults)
