"""A party's own floors, checked before it sends anything."""

from securefl.policy.model_check import ModelFloors
from securefl.policy.policy import ClientPolicy

__all__ = ["ClientPolicy", "ModelFloors"]
