"""Engines move messages between the sessions; this one keeps every party in one process."""

from securefl.engines import faults
from securefl.engines.aggregate import aggregate
from securefl.engines.cohorts import CohortsResult, aggregate_cohorts
from securefl.engines.memory import MemorySession

__all__ = ["CohortsResult", "MemorySession", "aggregate", "aggregate_cohorts", "faults"]
