"""Engines move messages between the sessions; this one keeps every party in one process."""

from securefl.engines import faults
from securefl.engines.aggregate import aggregate
from securefl.engines.memory import MemorySession

__all__ = ["MemorySession", "aggregate", "faults"]
