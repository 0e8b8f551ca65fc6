"""What `demo` and `run` share: train in sight of the user, sum up, write the report."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from securefl.cli.screen import Screen
from securefl.cli.searching import prepared
from securefl.dp.accounting.floats import printed
from securefl.federated import RoundRecord
from securefl.federated.history import size_text
from securefl.pipeline.private import release_of
from securefl.plan.privacy import counted_from
from securefl.report import Experiment, ExperimentConfig, ExperimentResult, prepare_report, to_dict, write_report
from securefl.report.adversarial import robust_text
from securefl.report.checkpoints import Checkpoints
from securefl.report.config import ModelConfig
from securefl.report.experiment import Observer, PrivateRun
from securefl.report.key_words import key_note, who_holds
from securefl.report.learning_words import (
    accuracy_text,
    algorithm_name,
    algorithm_text,
    attendance_text,
    model_text,
    traffic_text,
)
from securefl.report.limits import NO_PRIVACY
from securefl.report.measure import ACCURACY, measure_of
from securefl.report.ownership import cost_text, watermark_text
from securefl.report.summary import bytes_down, bytes_up, dropouts_by_step
from securefl.session.disclosure import disclosures


def train(config: ExperimentConfig, screen: Screen, *, title: str, checkpoints: Checkpoints | None = None) -> None:
    """Run an experiment, show it and what came of it, write report and JSON."""
    if config.model.kind == "torch-mlp":
        from securefl.torch.network import one_thread

        one_thread()
    experiment = prepared(config, screen)
    prepare_report(config.report.output)
    _introduce(experiment, screen, title)
    with _progress(screen, config) as observe:
        result = experiment.run(observe, checkpoints=checkpoints)
    files = write_report(config.report.output, result)
    _sum_up(result, screen)
    screen.title("Report")
    screen.long(f"  {files.html}")
    screen.long(f"  {files.json}")
    if result.owned is not None:
        screen.title("Ownership")
        screen.long(f"  triggers    {result.owned.triggers}  (a secret: whoever has it can train the mark away)")
        screen.long(f"  model       {result.owned.model}")
        screen.long(f"  commitment  {result.owned.commitment}")
        screen.line(
            "Publish the commitment, with proof of the day, before the model: it alone says whose claim came first.",
            indent=2,
        )
    screen.json(to_dict(result))


def _introduce(experiment: Experiment, screen: Screen, title: str) -> None:
    config, chosen = experiment.config, experiment.plan.parameters
    faults = (
        f"In each round {100 * config.faults.dropout:g} % of them drop out, at different steps. "
        if config.faults.dropout
        else ""
    )
    if config.stragglers.missing:
        faults += f"{100 * config.stragglers.missing:g} % miss the deadline. "
    if config.sampling.size:
        faults = f"{config.sampling.size} of them take part in a round. {faults}"
    server = "a server that breaks the protocol" if chosen.active else "a server that follows the protocol"
    plan = experiment.plan
    helpers = f" and {_helpers(chosen.max_colluders)}" if chosen.max_colluders else ""
    screen.title(title)
    screen.line(
        f"{len(experiment.clients)} parties train one {_what(config)} {faults}"
        f"Updates stay hidden{' without the key' if who_holds(plan) else ''} even from {server}{helpers}."
    )
    if holds := who_holds(plan):
        screen.line(f"{holds} {key_note(plan, config)}")
    if config.robust.rule != "none":
        screen.line("The server learns each group's mean: a party hides among its own group only.")
    if (config.model, config.training.algorithm, config.training.server) != (ModelConfig(), "fedavg", "averaging"):
        screen.line(f"{algorithm_text(config)}; {model_text(config)}.")
    screen.line()


def _what(config: ExperimentConfig) -> str:
    if config.data.dataset == "cartpole":
        return "policy for CartPole; each plays in an environment of its own."
    return f"model on {config.data.dataset.replace('_', ' ')}; each keeps its data."


def _helpers(count: int) -> str:
    return "1 party that helps it" if count == 1 else f"{count} parties that help it"


@contextlib.contextmanager
def _progress(screen: Screen, config: ExperimentConfig) -> Iterator[Observer]:
    rounds = config.training.rounds
    if not screen.live:
        yield lambda arm, record: _plain_line(screen, config, arm, record)
        return
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("  {task.description}"),
        BarColumn(bar_width=24),
        MofNCompleteColumn(),
        TextColumn("{task.fields[accuracy]}"),
        TimeElapsedColumn(),
    )
    arms, names = _arms(config), _names(config)
    width = max(map(len, names.values()))
    with Progress(*columns, console=screen.console) as bar:
        tasks = {arm: bar.add_task(f"{names[arm]:<{width}}", total=rounds, accuracy="", start=False) for arm in arms}
        bar.start_task(tasks[arms[0]])

        def observe(arm: str, record: RoundRecord) -> None:
            bar.start_task(tasks[arm])
            bar.update(tasks[arm], completed=record.round, accuracy=_judged(config, record))
            if record.round == rounds and arm != arms[-1]:
                bar.start_task(tasks[arms[arms.index(arm) + 1]])

        yield observe


def _arms(config: ExperimentConfig) -> tuple[str, ...]:
    plain = ("plain",) if config.report.compare_plain else ()
    private = ("private",) if config.privacy.mechanism != "none" else ()
    return (*plain, "secure", *private)


def _names(config: ExperimentConfig | None) -> dict[str, str]:
    return {"plain": f"plain {algorithm_name(config)}", "secure": "secure", "private": "secure + private"}


def _plain_line(screen: Screen, config: ExperimentConfig, arm: str, record: RoundRecord) -> None:
    """One line for the first round, the last, and each fifth of the way."""
    rounds, names = config.training.rounds, _names(config)
    if record.round in {1, rounds} or record.round % max(1, rounds // 5) == 0:
        name, number = f"{names[arm]:<{max(map(len, names.values()))}}", f"{record.round:>{len(str(rounds))}}"
        screen.line(
            f"  {name}  round {number}/{rounds}  {_judged(config, record)}  {len(record.survivors)} vectors in the sum"
        )


def _privacy(run: PrivateRun, screen: Screen) -> None:
    """Both epsilons, and what they rest on."""
    release = release_of(run.plan)
    asked, floor = release.mechanism, release.floor
    screen.title("Privacy")
    screen.line()
    screen.pairs(
        {
            "epsilon against the server": printed(run.spent.server),
            "epsilon against observers": printed(run.spent.observer),
            "delta": f"{run.spent.delta:g}",
            "about": f"one {asked.unit} under {asked.relation}, by Renyi differential privacy, all rounds together",
            "noise": f"{asked.kind}, {release.noise_multiplier:.4g} times the sensitivity in each round",
            "counted": counted_from(release),
            "clipped": f"{run.clipped} of {len(run.history) * floor.parties} vectors, at norm {release.clip:.3g}",
            "ledger": str(run.ledger),
        }
    )


def _judged(config: ExperimentConfig, record: RoundRecord) -> str:
    measure = measure_of(config)
    return f"{measure.name} {measure.of(record)}"


def _learning(result: ExperimentResult) -> list[str]:
    """What else is to be said of what was learned."""
    lines = [f"Accuracy is {accuracy_text(result)}."] if result.personal else []
    if result.traffic is not None and result.traffic.values != result.traffic.whole_values:
        lines.append(f"On the wire: {traffic_text(result)}.")
    if result.pretrained is not None:
        lines.append(
            f"Before the first round the model from public examples had an accuracy of {result.pretrained:.1%}."
        )
    if result.balanced and result.counts and _uneven(result.counts):
        lines.append(
            "One class is rare. Balanced accuracy: "
            + ", ".join(f"{arm} {x:.1%}" for arm, x in result.balanced.items())
            + "."
        )
    if result.robust and result.config is not None:
        lines.append(f"Robust accuracy: {robust_text(result.config, result.robust)}.")
    if result.owned is not None:
        lines.append(f"Watermark: {watermark_text(result.owned)}; {cost_text(result.secure)}.")
    if result.attendance:
        lines.append(f"Taking part: {attendance_text(result)}.")
    if result.config is not None and len(result.secure) < result.config.training.rounds:
        lines.append(f"Stopped early, after round {len(result.secure)} of {result.config.training.rounds}.")
    if result.resumed:
        lines.append(f"Resumed after round {result.resumed}.")
    return lines


def _uneven(counts: Sequence[Sequence[int]]) -> bool:
    """Whether some class has less than a third of its share."""
    totals = [sum(column) for column in zip(*counts, strict=True)]
    return bool(3 * len(totals) * min(totals) < sum(totals))


def _sum_up(result: ExperimentResult, screen: Screen) -> None:
    secure, plain, chosen, measure = result.secure, result.plain, result.plan.parameters, result.measure
    rows = [
        ("test accuracy" if measure is ACCURACY else measure.name, measure.of(secure.records[-1])),
        ("bytes up", size_text(bytes_up(secure))),
        ("bytes down, without the model", size_text(bytes_down(secure))),
        ("seconds", f"{result.secure_seconds:.1f}"),
        ("what the server sees", f"sums of {chosen.min_survivors} or more"),
    ]
    screen.title("Result")
    screen.line()
    columns = {"secure": [value for _, value in rows]}
    if plain is not None and result.difference is not None:
        beside = [
            measure.of(plain.records[-1]),
            size_text(bytes_up(plain)),
            size_text(bytes_down(plain)),
            f"{result.plain_seconds:.1f}",
            "every update",
        ]
        columns = {_names(result.config)["plain"]: beside, **columns}
    if (run := result.private) is not None:
        floor = run.plan.parameters.min_survivors
        columns["secure + private"] = [
            measure.of(run.history.records[-1]),
            size_text(bytes_up(run.history)),
            size_text(bytes_down(run.history)),
            f"{run.seconds:.1f}",
            f"noisy sums of {floor} or more",
        ]
    names = [name for name, _ in rows]
    screen.table("", *columns, rows=list(zip(names, *columns.values(), strict=True)), numbers=True)
    if result.difference is not None:
        screen.line()
        screen.line(
            f"Difference in {measure.name}, secure to plain: {measure.scale * result.difference:+.2f} "
            f"{'points' if measure is ACCURACY else 'of at most 500'}, on the same seeds and dropouts.",
            indent=2,
        )
    for line in _learning(result):
        screen.line(line, indent=2)
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
    if run is not None:
        _privacy(run, screen)
    screen.title("Who learned what")
    screen.line()
    shown = result.plan if run is None else run.plan
    screen.table("what", "who", rows=[(row.what, row.who) for row in disclosures(shown)])
    screen.title("Keep in mind")
    if run is None:
        screen.item(f"This plan has {NO_PRIVACY}.")
    else:
        screen.item(
            "Epsilon bounds what the releases say about one party; what they say about all together is what is learnt."
        )
        screen.item(
            "The other two trainings are for comparison; released beside the private one they would cost what it saves."
        )
    screen.item("All parties ran in this process, with policies made to match: a rehearsal, not a deployment.")
    if note := key_note(result.plan, result.config):
        screen.item(note)
