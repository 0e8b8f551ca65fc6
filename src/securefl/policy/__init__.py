"""A party's own floors, checked before it sends anything."""

from securefl.policy.policy import ClientPolicy

__all__ = ["ClientPolicy"]
