"""A live progress bar over rounds."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from securefl.federated._optional import missing
from securefl.federated.history import RoundRecord, size_text


@contextlib.contextmanager
def progress_bar(rounds: int) -> Iterator[Callable[[RoundRecord], None]]:
    """Show a bar of `rounds` rounds with accuracy, survivors and bytes; yield the function that advances it.

    Raises:
        ConfigError: rich is not installed.
    """
    try:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
    except ImportError as error:
        raise missing("rich", "the progress bar") from error
    columns = ("round", MofNCompleteColumn(), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns) as bar:
        task = bar.add_task("training", total=rounds)
        yield lambda record: bar.update(task, advance=1, description=_line(record))


def _line(record: RoundRecord) -> str:
    accuracy, mean_return = record.test_metrics.get("accuracy"), record.test_metrics.get("return")
    parts = [f"accuracy {accuracy:.3f}"] if accuracy is not None else []
    parts += [f"return {mean_return:.1f}"] if mean_return is not None else []
    parts += [
        f"{len(record.survivors)}/{len(record.survivors) + _lost(record)} in the sum",
        f"{size_text(record.bytes_up)} up",
    ]
    return ", ".join(parts)


def _lost(record: RoundRecord) -> int:
    """Count the parties that are not in the sum; who dropped later is among the survivors."""
    return len(record.dropped.keys() - set(record.survivors))
