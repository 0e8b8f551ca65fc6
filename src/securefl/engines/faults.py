"""What can go wrong with a party, the network or the server, to rehearse a round with.

    sfl.aggregate(updates, plan, faults=[sfl.faults.Drop("hospital-3", "masked_input"), sfl.faults.Corrupt("hospital-5", "share_keys")])

Every fault acts on the real bytes between the sessions. The outcome is the exact sum over the survivors, or a typed abort.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeAlias

from securefl.errors import ConfigError
from securefl.types import Step


@dataclasses.dataclass(frozen=True, slots=True)
class _Fault:
    party: str
    step: Step | str

    def __post_init__(self) -> None:
        object.__setattr__(self, "step", step_of(self.step))


class Drop(_Fault):
    """The party completes every step before this one, and is not heard of again.

    Keys that were sent ahead with the last round's answer have completed `advertise`: there the party is lost at `share_keys`.
    """

    __slots__ = ()


class Delay(_Fault):
    """The party's messages of this step arrive after the step was closed."""

    __slots__ = ()


class Replay(_Fault):
    """The messages that the party sent in this step arrive a second time, and again in every later step."""

    __slots__ = ()


@dataclasses.dataclass(frozen=True, slots=True)
class Corrupt(_Fault):
    """One bit of what the party sends in this step (or, `downstream`, of what it is sent) is flipped.

    Args:
        bit: which bit, counted from the end of the message; taken modulo its length.
        downstream: flip in the server's message to the party instead.
    """

    bit: int = 12_345
    downstream: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Equivocate:
    """The server tells some parties another survivor set than the rest.

    Args:
        parties: who is lied to.
        hide: who is left out of the set that they are shown.
    """

    parties: tuple[str, ...]
    hide: tuple[str, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "parties", tuple(self.parties))
        object.__setattr__(self, "hide", tuple(self.hide))


Fault: TypeAlias = Drop | Delay | Replay | Corrupt | Equivocate


def step_of(step: Step | str) -> Step:
    """The step of that name.

    Raises:
        ConfigError: there is none.
    """
    try:
        return Step(step)
    except ValueError:
        raise ConfigError(f"{step!r} is no step of a round", remedy="use " + ", ".join(Step)) from None


def collect(
    faults: Iterable[Fault],
    drop: Mapping[str, Step | str] | None,
    parties: Iterable[str],
    *,
    steps: Sequence[Step],
) -> tuple[Fault, ...]:
    """All faults of a round, with `drop` ({party: step}) as the short form of `Drop`.

    What is to go wrong in a step that the round does not have goes wrong in the one that follows: `consistency` in `unmask` under a
    semi-honest server, `advertise` and `share_keys` in `masked_input` under a Paillier key.

    Raises:
        ConfigError: a fault of a party that does not take part.
    """
    together = (*faults, *(Drop(party, step) for party, step in (drop or {}).items()))
    together = tuple(_in_a_step_there_is(fault, steps) for fault in together)
    known = set(parties)
    for fault in together:
        named = {*fault.parties, *fault.hide} if isinstance(fault, Equivocate) else {fault.party}
        if strangers := sorted(named - known):
            raise ConfigError(
                f"{fault!r} names {', '.join(strangers)}, not among the parties", remedy="use the names of the updates"
            )
    return together


def _in_a_step_there_is(fault: Fault, steps: Sequence[Step]) -> Fault:
    if isinstance(fault, Equivocate) or fault.step in steps:
        return fault
    order = list(Step)
    later = order[order.index(Step(fault.step)) :]
    return dataclasses.replace(fault, step=next(step for step in later if step in steps))
