"""What both sides must agree on before anything is sent: the plan and the roster."""

from securefl.plan.plan import Plan
from securefl.plan.protocol import SecAgg
from securefl.plan.roster import Member, Roster

__all__ = ["Member", "Plan", "Roster", "SecAgg"]
