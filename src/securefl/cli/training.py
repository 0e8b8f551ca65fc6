"""What `demo` and `run` share: train in sight of the user, sum up, write the report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from securefl.cli.screen import Screen
from securefl.federated import RoundRecord
from securefl.federated.history import size_text
from securefl.report import Experiment, ExperimentConfig, ExperimentResult, prepare_report, to_dict, write_report
from securefl.report.experiment import Observer
from securefl.report.limits import NO_PRIVACY
from securefl.report.summary import bytes_down, bytes_up, dropouts_by_step
from securefl.session.disclosure import disclosures

_NAMES = {"plain": "plain FedAvg", "secure": "secure"}


def train(config: ExperimentConfig, screen: Screen, *, title: str) -> None:
    """Run an experiment, show it and what came of it, write report and JSON."""
    experiment = Experiment.prepare(config)
    prepare_report(config.report.output)
    _introduce(experiment, screen, title)
    with _progress(screen, config) as observe:
        result = experiment.run(observe)
    files = write_report(config.report.output, result)
    _sum_up(result, screen)
    screen.title("Report")
    screen.long(f"  {files.html}")
    screen.long(f"  {files.json}")
    screen.json(to_dict(result))


def _introduce(experiment: Experiment, screen: Screen, title: str) -> None:
    config, chosen = experiment.config, experiment.plan.parameters
    faults = (
        f"In each round {100 * config.faults.dropout:g} % of them drop out, at different steps. "
        if config.faults.dropout
        else ""
    )
    server = "a server that breaks the protocol" if chosen.active else "a server that follows the protocol"
    helpers = f" and {_helpers(chosen.max_colluders)}" if chosen.max_colluders else ""
    screen.title(title)
    screen.line(
        f"{chosen.parties} parties train one model on {config.data.dataset.replace('_', ' ')}; each keeps its data. {faults}"
        f"Updates stay hidden even from {server}{helpers}."
    )
    screen.line()


def _helpers(count: int) -> str:
    return "1 party that helps it" if count == 1 else f"{count} parties that help it"


@contextlib.contextmanager
def _progress(screen: Screen, config: ExperimentConfig) -> Iterator[Observer]:
    rounds = config.training.rounds
    if not screen.live:
        yield lambda arm, record: _plain_line(screen, arm, record, rounds)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[accuracy]}"),
        TimeElapsedColumn(),
    )
    arms = ("plain", "secure") if config.report.compare_plain else ("secure",)
    with Progress(*columns, console=screen.console) as bar:
        tasks = {arm: bar.add_task(f"{_NAMES[arm]:<12}", total=rounds, accuracy="", start=False) for arm in arms}
        bar.start_task(tasks[arms[0]])

        def observe(arm: str, record: RoundRecord) -> None:
            bar.start_task(tasks[arm])
            bar.update(tasks[arm], completed=record.round, accuracy=f"accuracy {_accuracy(record)}")
            if arm == "plain" and record.round == rounds:
                bar.start_task(tasks["secure"])

        yield observe


def _plain_line(screen: Screen, arm: str, record: RoundRecord, rounds: int) -> None:
    """One line for the first round, the last, and each fifth of the way."""
    if record.round in {1, rounds} or record.round % max(1, rounds // 5) == 0:
        screen.line(
            f"  {_NAMES[arm]:<12}  round {record.round:>{len(str(rounds))}}/{rounds}  accuracy {_accuracy(record)}  "
            f"{len(record.survivors)} vectors in the sum"
        )


def _accuracy(record: RoundRecord) -> str:
    return f"{100 * record.test_metrics['accuracy']:.2f} %"


def _sum_up(result: ExperimentResult, screen: Screen) -> None:
    secure, plain, chosen = result.secure, result.plain, result.plan.parameters
    rows = [
        ("test accuracy", f"{100 * secure.accuracy:.2f} %"),
        ("bytes up", size_text(bytes_up(secure))),
        ("bytes down, without the model", size_text(bytes_down(secure))),
        ("seconds", f"{result.secure_seconds:.1f}"),
        ("what the server sees", f"sums of {chosen.min_survivors} or more"),
    ]
    screen.title("Result")
    screen.line()
    if plain is None or result.difference is None:
        screen.table("", "secure", rows=rows, numbers=True)
    else:
        beside = [
            f"{100 * plain.accuracy:.2f} %",
            size_text(bytes_up(plain)),
            size_text(bytes_down(plain)),
            f"{result.plain_seconds:.1f}",
            "every update",
        ]
        both = [(name, other, own) for (name, own), other in zip(rows, beside, strict=True)]
        screen.table("", "plain FedAvg", "secure", rows=both, numbers=True)
        screen.line()
        screen.line(
            f"Difference in accuracy: {100 * result.difference:+.2f} points, on the same seeds and dropouts.", indent=2
        )
    lost = dropouts_by_step(secure)
    by_step = ", ".join(f"{count} at {step}" for step, count in lost.items())
    screen.line(f"Dropouts survived: {sum(lost.values())}{f' ({by_step})' if lost else ''}.", indent=2)
    if result.refusals:
        screen.line(f"Refused messages: {len(result.refusals)}; the report lists them.", style="yellow", indent=2)
    if result.saturated:
        clamped = (
            f"{result.saturated} values ({result.saturated_share:.1%}) exceeded the encoding's bound and were clamped"
        )
        screen.line(f"{clamped}: raise bound in [plan].", style="yellow", indent=2)
    screen.title("Who learned what")
    screen.line()
    screen.table("what", "who", rows=[(row.what, row.who) for row in disclosures(result.plan)])
    screen.title("Keep in mind")
    screen.item(f"This plan has {NO_PRIVACY}.")
    screen.item("All parties ran in this process, with policies made to match: a rehearsal, not a deployment.")
