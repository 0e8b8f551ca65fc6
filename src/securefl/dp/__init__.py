"""Differential privacy: exact integer noise, mechanisms, accounting."""
