"""The privacy ledger: what was released about whom, durable, chained, and never more than the budget."""

from securefl.dp.ledger.budget import Budget
from securefl.dp.ledger.chain import verify_file
from securefl.dp.ledger.charge import Charge
from securefl.dp.ledger.entry import Charged, Entry
from securefl.dp.ledger.errors import PrivacyBudgetError
from securefl.dp.ledger.ledger import PrivacyLedger
from securefl.dp.ledger.spending import Accounts, epsilon_by_round
from securefl.records.receipt_chain import Head

__all__ = [
    "Accounts",
    "Budget",
    "Charge",
    "Charged",
    "Entry",
    "Head",
    "PrivacyBudgetError",
    "PrivacyLedger",
    "epsilon_by_round",
    "verify_file",
]
