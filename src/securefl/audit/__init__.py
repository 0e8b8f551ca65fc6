"""Audits: is there as much noise as the accountant is told? They refute a claim, or fail to; they prove none."""

from securefl.audit.bounds import clopper_pearson, mu_bound
from securefl.audit.canaries import CanaryParties, audit_one_run
from securefl.audit.mechanism import MechanismAudit, audit_mechanism
from securefl.audit.one_run import OneRunAudit, one_run_epsilon, one_run_p_value
from securefl.audit.trials import PlanTrial, ReleaseTrial, Trial
from securefl.audit.verdict import Verdict

__all__ = [
    "CanaryParties",
    "MechanismAudit",
    "OneRunAudit",
    "PlanTrial",
    "ReleaseTrial",
    "Trial",
    "Verdict",
    "audit_mechanism",
    "audit_one_run",
    "clopper_pearson",
    "mu_bound",
    "one_run_epsilon",
    "one_run_p_value",
]
