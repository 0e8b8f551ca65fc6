"""What can go wrong with a party, the network or the server, to rehearse a round with.

    sfl.aggregate(updates, plan, faults=[sfl.faults.Drop("hospital-3", "masked_input"), sfl.faults.Corrupt("hospital-5", "share_keys")])

Every fault acts on the real bytes between the sessions. The outcome is the exact sum over the survivors, or a typed abort.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
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
    faults: Iterable[Fault], drop: Mapping[str, Step | str] | None, parties: Iterable[str], *, active: bool
) -> tuple[Fault, ...]:
    """All faults of a round, with `drop` ({party: step}) as the short form of `Drop`.

    A semi-honest round has no consistency step: what goes wrong there goes wrong in the step that follows, unmask.

    Raises:
        ConfigError: a fault of a party that does not take part.
    """
    together = (*faults, *(Drop(party, step) for party, step in (drop or {}).items()))
    if not active:
        together = tuple(_without_consistency(fault) for fault in together)
    known = set(parties)
    for fault in together:
        named = {*fault.parties, *fault.hide} if isinstance(fault, Equivocate) else {fault.party}
        if strangers := sorted(named - known):
            raise ConfigError(
                f"{fault!r} names {', '.join(strangers)}, not among the parties", remedy="use the names of the updates"
            )
    return together


def _without_consistency(fault: Fault) -> Fault:
    if isinstance(fault, Equivocate) or fault.step is not Step.CONSISTENCY:
        return fault
    return dataclasses.replace(fault, step=Step.UNMASK)
