"""What a ledger refuses to let be spent."""

from __future__ import annotations

from securefl.errors import SecureFLError


class PrivacyBudgetError(SecureFLError):
    """A charge, or a past, that the budget does not allow; nothing was written, and nothing may leave.

    Args:
        message: what was to be spent, with the budget.
        owner: whose data it is about.
        spent: epsilon before.
        needed: epsilon with the refused charge; `spent` where the past alone is too much.
        budget: the epsilon allowed.
        remedy: what to do.
    """

    def __init__(
        self, message: str, *, owner: str, spent: float, needed: float, budget: float, remedy: str = ""
    ) -> None:
        self.owner = owner
        self.spent = spent
        self.needed = needed
        self.budget = budget
        super().__init__(message, remedy=remedy)
