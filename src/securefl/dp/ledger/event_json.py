"""Accounting events as canonical JSON: one form for each event, from which it is rebuilt without loss.

Real numbers are texts in Python's shortest form that reads back the same, so no JSON library can round them. The names
of kinds and fields are the file format: they do not change when a class is renamed.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import typing
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from securefl.dp.accounting.composition import Composed, FixedSizeSampled, PoissonSampled, Repeated
from securefl.dp.accounting.events import (
    CompensatedSkellam,
    DiscreteGaussianCentral,
    DiscreteGaussianLocal,
    DistributedGaussian,
    DistributedSkellam,
    Event,
    GaussianRelease,
)
from securefl.errors import CryptoError, SecureFLError, UnsafePlanError

KINDS: Final[Mapping[str, type[Event]]] = MappingProxyType(
    {
        "gaussian": GaussianRelease,
        "discrete-gaussian": DiscreteGaussianCentral,
        "local-discrete-gaussian": DiscreteGaussianLocal,
        "distributed-discrete-gaussian": DistributedGaussian,
        "distributed-skellam": DistributedSkellam,
        "compensated-skellam": CompensatedSkellam,
        "repeated": Repeated,
        "composed": Composed,
        "poisson-sampled": PoissonSampled,
        "fixed-size-sampled": FixedSizeSampled,
    }
)
"""Every kind of event that a ledger can hold."""

_NAMES: Final = {event: kind for kind, event in KINDS.items()}
_FIELDS: Final = {
    kind: {field.name: typing.get_type_hints(event)[field.name] for field in dataclasses.fields(event)}
    for kind, event in KINDS.items()
}
_DEEPEST: Final = 16
_LARGEST: Final = 1 << 63
_ALTERED: Final = "the ledger was altered, or written by a newer version of securefl: use that"


def real_text(value: float) -> str:
    """Return the one text of a finite number, from which `float` gives it back.

    Raises:
        UnsafePlanError: it is not finite, or no float.
    """
    if not isinstance(value, (int, float)) or not math.isfinite(value) or float(value) != value:
        raise UnsafePlanError(
            "a number cannot be recorded without loss", value=value, bound="a finite float", remedy="round it up first"
        )
    return repr(float(value))


def real(text: object) -> float:
    """Return the number of a text that `real_text` wrote.

    Raises:
        CryptoError: another text.
    """
    if isinstance(text, str):
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if math.isfinite(value) and repr(value) == text:
            return value
    raise CryptoError(f"{text!r} is no number as a ledger writes it", remedy=_ALTERED)


def event_to_json(event: Event) -> bytes:
    """Return the event's one JSON text.

    Raises:
        UnsafePlanError: a kind of event that no ledger holds, one nested too deeply, or a number that would be lost.
    """
    return msgspec.json.encode(_plain(event, _DEEPEST))


@functools.lru_cache(maxsize=4096)
def event_from_json(data: bytes) -> Event:
    """Return the event of a JSON text.

    Raises:
        CryptoError: no event, an unknown kind, or not the form that `event_to_json` gives it.
    """
    try:
        event = _event(msgspec.json.decode(data), _DEEPEST)
        if event_to_json(event) == data:
            return event
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise CryptoError(f"this is no event: {error}", remedy=_ALTERED) from error
    except UnsafePlanError as error:
        raise CryptoError(f"this event is impossible: {error.message}", remedy=_ALTERED) from error
    raise CryptoError("this event is not in the form in which events are written", remedy=_ALTERED)


def _plain(event: object, depth: int) -> dict[str, Any]:
    kind = _NAMES.get(type(event))  # type: ignore[arg-type]
    if kind is None or not depth:
        raise UnsafePlanError(
            "no ledger can hold this event",
            value=type(event).__name__,
            bound=f"one of {', '.join(KINDS)}, at most {_DEEPEST} deep",
            remedy="describe the release with these",
        )
    return {
        "kind": kind,
        **{name: _plain_value(getattr(event, name), hint, depth) for name, hint in _FIELDS[kind].items()},
    }


def _plain_value(value: Any, hint: Any, depth: int) -> Any:
    if hint is Event:
        return _plain(value, depth - 1)
    if hint == tuple[Event, ...]:
        return [_plain(part, depth - 1) for part in value]
    if hint is float:
        return real_text(value)
    if value is not None and (type(value) is not int or not -_LARGEST <= value < _LARGEST):
        raise UnsafePlanError(
            "a number cannot be recorded", value=value, bound="a whole number of 63 bits", remedy="correct it"
        )
    return value


def _event(data: Any, depth: int) -> Event:
    kind = data.get("kind") if isinstance(data, dict) else None
    if not isinstance(kind, str) or kind not in KINDS or not depth:
        raise CryptoError(f"unknown kind of event {kind!r}", remedy=_ALTERED)
    hints = _FIELDS[kind]
    if list(data) != ["kind", *hints]:
        raise CryptoError(f"a {kind} event has the fields {', '.join(hints)}", remedy=_ALTERED)
    try:
        return KINDS[kind](**{name: _value(data[name], hint, depth) for name, hint in hints.items()})
    except (TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise CryptoError(f"a {kind} event has a field of another type", remedy=_ALTERED) from error
    except SecureFLError as error:
        error.add_note(f"in a {kind} event")
        raise


def _value(data: Any, hint: Any, depth: int) -> Any:
    if hint is Event:
        return _event(data, depth - 1)
    if hint == tuple[Event, ...]:
        if not isinstance(data, list):
            raise CryptoError("a composition is a list of events", remedy=_ALTERED)
        return tuple(_event(part, depth - 1) for part in data)
    return real(data) if hint is float else data
