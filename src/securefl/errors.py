"""The one error hierarchy: every error names the value, the bound it broke, the culprit where there is one, and the remedy."""

from __future__ import annotations

from collections.abc import Iterable


class SecureFLError(Exception):
    """Base of every error that securefl raises on purpose.

    Args:
        message: what is wrong, with the offending value.
        remedy: what the reader can do about it; empty when the message says it.
    """

    def __init__(self, message: str, *, remedy: str = "") -> None:
        self.message = message
        self.remedy = remedy
        super().__init__(message if not remedy else f"{message}. Remedy: {remedy}")


class UnsafePlanError(SecureFLError):
    """A plan that would overflow, be under-noised or have an unsafe threshold; such a plan is never constructed.

    Args:
        message: the rule that is broken.
        value: the offending value.
        bound: the bound it broke, as text ("> 12", "3..200").
        remedy: what would make the plan safe.

    Attributes:
        rule: the rule that is broken, without value and bound.
    """

    def __init__(self, message: str, *, value: object, bound: str, remedy: str) -> None:
        self.rule = message
        self.value = value
        self.bound = bound
        super().__init__(f"{message}: got {value}, needs {bound}", remedy=remedy)


class ConfigError(SecureFLError):
    """A configuration or file that cannot be used; the message names the place in it."""


class EncodingError(SecureFLError):
    """A vector, tree or weight that cannot be encoded as it is.

    Args:
        message: what is wrong.
        tensor: the leaf that is at fault, as its path in the tree; empty when the whole tree is.
        remedy: what to do.
    """

    def __init__(self, message: str, *, tensor: str = "", remedy: str = "") -> None:
        self.tensor = tensor
        super().__init__(message, remedy=remedy)


class NonFiniteError(EncodingError):
    """A NaN or an infinity where a finite number is needed."""


class LayoutMismatchError(EncodingError):
    """A tree whose names, shapes or dtypes differ from the plan's."""


class SaturationError(EncodingError):
    """A value outside the encoding's bound, under `on_saturation="refuse"`."""


class CryptoError(SecureFLError):
    """A key, share, signature or ciphertext that is malformed or does not verify."""


class SecretMisuseError(SecureFLError):
    """An attempt to pickle, copy or reuse something that must stay secret or be used once."""


class PolicyRefusedError(SecureFLError):
    """This party's own policy forbids what it was invited to.

    Args:
        message: the floor that failed, with the plan's value.
        floor: the policy field that failed.
        line: the TOML line that governs it.
    """

    def __init__(self, message: str, *, floor: str, line: str = "") -> None:
        self.floor = floor
        self.line = line
        super().__init__(message, remedy=f"the floor is set by `{line}` in this party's policy" if line else "")


class ProtocolError(SecureFLError):
    """A protocol run that cannot go on, or a message that cannot be accepted.

    Args:
        message: the reason.
        phase: the step of the protocol at which it happened, as in `securefl.types.Step`; empty before any.
        suspects: names of the parties (or "server") who may be at fault; never empty blame: nobody means unknown.
        remedy: what to do.
    """

    def __init__(self, message: str, *, phase: str = "", suspects: Iterable[str] = (), remedy: str = "") -> None:
        self.phase = str(phase)
        self.suspects = tuple(suspects)
        self.reason = message
        where = f" [phase: {self.phase}]" if self.phase else ""
        who = f" [suspects: {', '.join(self.suspects)}]" if self.suspects else ""
        super().__init__(f"{message}{where}{who}", remedy=remedy)


class LocalProtocolError(ProtocolError):
    """The caller of this object used it wrongly (a call out of order, a second use); nothing was sent."""


class RemoteProtocolError(ProtocolError):
    """The other side sent something that the protocol forbids."""


class MalformedMessageError(RemoteProtocolError):
    """Bytes that are no message: truncated, altered, too long, of another version, or not in canonical form."""


class RoundAbortedError(ProtocolError):
    """The round ends here without a sum; the next round starts with new keys."""


class BelowThresholdError(RoundAbortedError):
    """Fewer parties are left than the plan needs."""
