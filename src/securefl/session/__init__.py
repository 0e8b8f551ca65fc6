"""Client and server of a session: state machines that take bytes and return bytes, and do no I/O."""

from securefl.session.client import SecAggClient
from securefl.session.result import RoundResult
from securefl.session.server import SecAggServer

__all__ = ["RoundResult", "SecAggClient", "SecAggServer"]
