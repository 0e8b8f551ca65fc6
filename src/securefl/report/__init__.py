"""Experiments from configuration files, and what came of them as HTML and JSON."""

from __future__ import annotations

from securefl.report.config import ExperimentConfig
from securefl.report.experiment import Experiment, ExperimentResult, Refusal
from securefl.report.summary import to_dict
from securefl.report.write import ReportFiles, prepare_report, write_report

__all__ = [
    "Experiment",
    "ExperimentConfig",
    "ExperimentResult",
    "Refusal",
    "ReportFiles",
    "prepare_report",
    "to_dict",
    "write_report",
]
