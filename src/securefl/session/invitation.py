"""An invitation as a party reads it: whole, for its own roster, with a plan that can exist. Its policy decides afterwards."""

from __future__ import annotations

from securefl.crypto.digest import equal
from securefl.errors import MalformedMessageError, RemoteProtocolError, SecureFLError
from securefl.plan import Plan, Roster
from securefl.secagg.context import pre_context_of
from securefl.types import SERVER
from securefl.wire import codec
from securefl.wire.envelope import SERVER_INDEX, Envelope, body_limit, check_seal
from securefl.wire.messages import Invite, Kind

_PHASE = "invite"


def plan_in(envelope: Envelope, roster: Roster) -> Plan:
    """The plan that an invitation proposes.

    Raises:
        MalformedMessageError: damaged, or no invitation.
        RemoteProtocolError: from a party, for another roster, or with a plan that cannot be constructed.
    """
    message = codec.decode(
        Invite, envelope.body, limit=body_limit(Kind.INVITE, len(roster)), phase=_PHASE, suspect=SERVER
    )
    if envelope.sender != SERVER_INDEX:
        raise RemoteProtocolError("an invitation bears a party's index", phase=_PHASE, remedy="ignore it")
    if not equal(message.roster_digest, roster.digest()):
        raise RemoteProtocolError(
            f"the server's roster is not this party's ({roster.fingerprint})",
            phase=_PHASE,
            suspects=(SERVER,),
            remedy="compare fingerprints with the roster's owner; the roster on this party's disk decides",
        )
    # Before the plan is looked at: bytes damaged on the way are no fault of the server's.
    binding = pre_context_of(envelope.session, envelope.round, roster.digest())
    check_seal(envelope, binding=binding, verify_key=None, suspect=SERVER)
    return _plan_of(message, roster)


def _plan_of(message: Invite, roster: Roster) -> Plan:
    try:
        return Plan.from_bytes(message.plan, parties=len(roster))
    except MalformedMessageError:
        raise
    except (
        SecureFLError,
        ArithmeticError,
        ValueError,
    ) as error:  # the latter two: numbers at the ends of floats, whatever they meet
        raise RemoteProtocolError(
            f"the server proposes a plan that cannot be: {getattr(error, 'message', error)}",
            phase=_PHASE,
            suspects=(SERVER,),
            remedy="send nothing; have the server's owner look at the plan",
        ) from error
