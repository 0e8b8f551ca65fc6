"""What a round of a private plan costs each party, as its ledger and the server's have it."""

from __future__ import annotations

from securefl.crypto.digest import u32
from securefl.dp.accounting.relations import Relation, Unit
from securefl.dp.ledger import Charge, PrivacyLedger
from securefl.errors import ConfigError
from securefl.pipeline.private import release_of
from securefl.plan import Plan
from securefl.records.used_file import UsedFile


def charge_for(
    plan: Plan, party: str, *, session: bytes, round_number: int, ctx: bytes, owner: str | None = None
) -> Charge:
    """The charge of one party's vector in one round; both sides make the same one.

    Args:
        plan: a private plan.
        party: who sends y_u.
        session: 16 bytes.
        round_number: a retry is a round of its own, with fresh noise.
        ctx: the round's context, 32 bytes.
        owner: whose data it is about; the party's unless given.
    """
    release = release_of(plan)
    asked, floor = release.mechanism, release.floor
    return Charge(
        owner=party if owner is None else owner,
        party=party,
        session=session,
        ctx=ctx,
        attempt=session + u32(round_number),
        plan=plan.digest(),
        event=release.event,
        relation=Relation.parse(asked.relation),
        unit=Unit.parse(asked.unit),
        floor=floor.survivors,
        colluders=floor.colluders,
        draws=release.draws,
    )


def require_ledger(plan: Plan, ledger: PrivacyLedger | None, who: str) -> PrivacyLedger | None:
    """The ledger that a plan needs; None for a plan without privacy.

    Raises:
        ConfigError: a private plan, and no ledger; or a ledger, and a plan that would release an exact sum past it.
    """
    if not plan.private:
        if ledger is not None:
            raise ConfigError(
                f"{who} has a privacy ledger, and the plan has no differential privacy: its sum would be exact, and in no ledger",
                remedy="plan with a mechanism, or leave the ledger out",
            )
        return None
    if ledger is None:
        raise ConfigError(
            f"{who} has no privacy ledger, and a private plan releases nothing without an entry in one",
            remedy='pass ledger=PrivacyLedger("ledger.jsonl", budget=Budget(epsilon=..., delta=...))',
        )
    return ledger


def require_anchor(ledger: PrivacyLedger | None, used: UsedFile | None) -> None:
    """Raise where the used-file knows a longer ledger than the one that is there.

    Raises:
        ConfigError: entries were cut off, or the ledger was written anew.
    """
    if ledger is not None and used is not None and (head := used.anchored(ledger.path)) is not None:
        ledger.require(head)
