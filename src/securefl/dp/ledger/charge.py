"""A charge: what is about to be released, about whose data, in which attempt of which round."""

from __future__ import annotations

import dataclasses
import unicodedata

from securefl.dp.accounting.composition import is_sampled
from securefl.dp.accounting.events import DistributedGaussian, DistributedSkellam, Event
from securefl.dp.accounting.relations import Relation, Unit
from securefl.errors import LocalProtocolError

_LONGEST_NAME = 200


def account_of(owner: str) -> str:
    """Return the key of an owner's account: spellings that differ in case or Unicode form only share one."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", owner).casefold())


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """One release about one owner's data, in one attempt; with every y_u that is sent there is one.

    Args:
        owner: whose data it is about; budgets are kept by owner, across parties, sessions and plans.
        party: who sends y_u.
        session: 16 bytes.
        ctx: the round's context digest, 32 bytes.
        attempt: names the attempt, 1 to 32 bytes; a retry has another one, with fresh noise. Resending the same bytes
            is no new attempt.
        plan: digest of the plan, 32 bytes.
        event: what is released, as the strongest adversary that the budget is to hold against sees it.
        relation: which datasets are neighbours.
        unit: whose influence is bounded.
        sampler: how parties were sampled, as text; "none" where the adversary sees who took part.
        floor: m, the least number of survivors; 0 where the noise does not depend on it.
        colluders: c, parties who tell the adversary their noise.
        draws: integers drawn from the samplers for this release, by all parties together: n d.

    Raises:
        LocalProtocolError: a field of another form, or one that contradicts the event.
    """

    owner: str
    party: str
    session: bytes
    ctx: bytes
    attempt: bytes
    plan: bytes
    event: Event
    relation: Relation
    unit: Unit
    sampler: str = "none"
    floor: int = 0
    colluders: int = 0
    draws: int = 0

    def __post_init__(self) -> None:
        for name, text in (("owner", self.owner), ("party", self.party), ("sampler", self.sampler)):
            if not (0 < len(text) <= _LONGEST_NAME and text.isprintable() and text == text.strip()):
                raise _wrong(f"the {name} {text!r}", f"1 to {_LONGEST_NAME} printable characters, no space around them")
        for name, data, least, most in (
            ("session", self.session, 16, 16),
            ("ctx", self.ctx, 32, 32),
            ("attempt", self.attempt, 1, 32),
            ("plan", self.plan, 32, 32),
        ):
            if not isinstance(data, bytes) or not least <= len(data) <= most:
                raise _wrong(f"the {name}", f"{least} bytes" if least == most else f"{least} to {most} bytes")
        for name, count in (("floor", self.floor), ("colluders", self.colluders), ("draws", self.draws)):
            if type(count) is not int or not 0 <= count < 1 << 63:
                raise _wrong(f"{name} = {count!r}", "a whole number of 63 bits, not negative")
        if not isinstance(self.relation, Relation) or not isinstance(self.unit, Unit):
            raise _wrong("the relation or unit", "members of Relation and Unit")
        self._check_event()

    @property
    def key(self) -> tuple[str, bytes, bytes]:
        """Party, ctx, attempt: what a ledger holds once."""
        return (self.party, self.ctx, self.attempt)

    def _check_event(self) -> None:
        if is_sampled(self.event) and self.sampler == "none":
            raise _wrong('the sampler "none" beside a sampled event', "the sampler's name, or `event.unsampled()`")
        for leaf, _ in self.event.unsampled().leaves():
            if not isinstance(leaf, (DistributedGaussian, DistributedSkellam)):
                continue
            if (leaf.survivors, leaf.colluders) != (self.floor, self.colluders):
                raise _wrong(
                    f"floor {self.floor} with {self.colluders} colluders",
                    f"the event's own: {leaf.survivors} and {leaf.colluders}",
                )


def _wrong(what: str, needed: str) -> LocalProtocolError:
    return LocalProtocolError(f"no charge can have {what}", remedy=f"give {needed}")
