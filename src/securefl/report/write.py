"""A report as files: `report.html` for people and `report.json` for programs."""

from __future__ import annotations

import dataclasses
import importlib.util
from pathlib import Path

from securefl.errors import ConfigError
from securefl.report.experiment import ExperimentResult
from securefl.report.files import make_directory, write, write_json
from securefl.report.html import render
from securefl.report.summary import to_dict


@dataclasses.dataclass(frozen=True, slots=True)
class ReportFiles:
    """Where a report lies."""

    html: Path
    json: Path


def prepare_report(directory: str | Path) -> None:
    """See to it, before hours of training, that a report can be written.

    Raises:
        ConfigError: a library is missing, or the directory cannot be made.
    """
    for library in ("jinja2", "matplotlib"):
        if importlib.util.find_spec(library) is None:
            raise ConfigError(
                f"the report needs {library}, which is not installed", remedy="pip install 'securefl[cli]'"
            )
    make_directory(directory)


def write_report(directory: str | Path, result: ExperimentResult, *, title: str = "Secure aggregation") -> ReportFiles:
    """Write a report; each file appears whole or not at all.

    Args:
        directory: made where it is missing.
        result: what came of the experiment.
        title: the heading.

    Raises:
        ConfigError: jinja2 or matplotlib is missing, or a file cannot be written.
    """
    page = render(result, title=title)
    files = ReportFiles(Path(directory, "report.html"), Path(directory, "report.json"))
    make_directory(directory)
    write_json(files.json, to_dict(result))
    write(files.html, page)
    return files
