"""What reports call an algorithm and a model, and what they say of who took part."""

from __future__ import annotations

from securefl.federated.history import size_text
from securefl.report.adversarial import robust_text, training_text
from securefl.report.config import ExperimentConfig
from securefl.report.experiment import ExperimentResult
from securefl.report.measure import measure_of
from securefl.report.ownership import watermark_text

_ALGORITHMS = {
    "fedavg": "FedAvg",
    "fedprox": "FedProx",
    "scaffold": "SCAFFOLD",
    "fedper": "FedPer",
    "fedbn": "FedBN",
    "transfer": "transfer learning",
    "reinforce": "REINFORCE",
}
_SERVERS = {
    "averaging": "plain averaging",
    "fedavgm": "FedAvgM",
    "fedadagrad": "FedAdagrad",
    "fedadam": "FedAdam",
    "fedyogi": "FedYogi",
}
_MODELS = {"softmax": "softmax regression", "perceptron": "a perceptron", "torch-mlp": "a perceptron in torch"}


def algorithm_name(config: ExperimentConfig | None) -> str:
    """Such as "FedProx"; FedAvg for a training that was set up by hand."""
    return "FedAvg" if config is None else _ALGORITHMS[config.training.algorithm]


def algorithm_text(config: ExperimentConfig) -> str:
    """Algorithm, its parameters, and what the server does with the mean."""
    wanted = config.training
    parts = [_ALGORITHMS[wanted.algorithm]]
    if wanted.algorithm == "fedprox":
        parts[0] += f" with mu = {0.1 if wanted.mu is None else wanted.mu:g}"
    if wanted.algorithm == "transfer":
        parts.append(f"a base from {wanted.pretrain_rounds} rounds on the public examples")
    elif wanted.pretrain_rounds:
        parts.append(f"started from {wanted.pretrain_rounds} rounds on the public examples")
    if wanted.subspace:
        parts.append(f"{wanted.subspace} coordinates of a random subspace")
    if moved := training_text(config):
        parts.append(moved)
    if wanted.algorithm == "reinforce":
        batches = f"{wanted.epochs} batch{'es' if wanted.epochs != 1 else ''} of {config.data.episodes or 8} episodes"
        parts.append(f"{batches} at rate {wanted.learning_rate:g}, returns discounted by {wanted.discount or 0.99:g}")
    else:
        parts.append(f"{wanted.epochs} local epoch{'s' if wanted.epochs != 1 else ''} at rate {wanted.learning_rate:g}")
    parts.append(f"{_SERVERS[wanted.server]} at the server")
    if config.robust.rule != "none":
        parts.append(f"the {config.robust.rule.replace('-', ' ')} of groups of {config.robust.group_size}")
    return "; ".join(parts)


def model_text(config: ExperimentConfig) -> str:
    """Kind and widths."""
    wanted = config.model
    if config.training.algorithm == "reinforce":
        widths = "none" if wanted.kind == "softmax" else ", ".join(map(str, wanted.hidden or (16,)))
        return f"a policy{' in torch' if wanted.kind == 'torch-mlp' else ''} with hidden widths {widths}"
    if wanted.kind == "softmax":
        return _MODELS["softmax"]
    widths = ", ".join(map(str, wanted.hidden or (32,)))
    return f"{_MODELS[wanted.kind]} with hidden widths {widths}" + (
        " and batch normalisation" if wanted.batch_norm else ""
    )


def learning_rows(result: ExperimentResult) -> list[tuple[str, str]]:
    """Names and values: algorithm, model, data, traffic, who took part; none for a training that was set up by hand."""
    config = result.config
    if config is None:
        return []
    rows = [
        ("algorithm", algorithm_text(config)),
        ("model", model_text(config)),
        ("data", f"{config.data.dataset.replace('_', ' ')}, {config.data.partition} partition"),
        ("what travels", traffic_text(result)),
        (measure_of(config).name, accuracy_text(result)),
    ]
    if result.pretrained is not None:
        rows.append(("before the first round", f"accuracy {result.pretrained:.1%}, of the base alone"))
    if result.balanced:
        rows.append(
            (
                "balanced accuracy",
                "; ".join(f"{arm} {value:.1%}" for arm, value in result.balanced.items())
                + "; the mean over the classes of the share of each that is found",
            )
        )
    if result.robust:
        rows.append(("robust accuracy", robust_text(config, result.robust)))
    if result.owned is not None:
        rows.append(("watermark", watermark_text(result.owned)))
    if result.attendance:
        rows.append(("taking part", attendance_text(result)))
    if len(result.secure) < config.training.rounds:
        rows.append(("stopped", f"after round {len(result.secure)} of at most {config.training.rounds}"))
    if result.resumed:
        rows.append(
            (
                "resumed",
                f"after round {result.resumed}; what was refused or clamped before is not in this report",
            )
        )
    return rows


def traffic_text(result: ExperimentResult) -> str:
    """How many values travel, and what that saves against the whole model."""
    found = result.traffic
    if found is None:
        return "not counted"
    text = f"{found.values} values, {size_text(found.bytes)} a party and round"
    if found.values == found.whole_values:
        return text
    whole = f"the whole model has {found.whole_values} and {size_text(found.whole_bytes)}"
    return f"{text}; {whole}: {times_text(result)}"


def times_text(result: ExperimentResult) -> str:
    """Such as "8.2 times less"; empty where the whole model travels."""
    found = result.traffic
    if found is None or found.values == found.whole_values:
        return ""
    return f"{found.factor:.1f} times less" if found.factor >= 1 else f"{1 / found.factor:.1f} times as much"


def accuracy_text(result: ExperimentResult) -> str:
    """Whose accuracy it is, or whose return, on what."""
    if measure_of(result.config).metric == "return":
        return "of the shared policy's likeliest actions, in environments that no party has, 10 episodes each"
    if result.personal:
        return "of the parties' own models, averaged, each on test examples in the party's own mix of classes" + (
            " and as it sees them" if result.config and result.config.data.partition == "feature-shift" else ""
        )
    if result.config and result.config.data.partition == "feature-shift":
        return "of the shared model, on test examples dealt to the parties and seen as they see them"
    return "of the shared model, on examples that no party holds"


def attendance_text(result: ExperimentResult) -> str:
    """How many are sampled, do part of their work, and miss the deadline, in all rounds."""
    rounds = result.attendance
    sampled = f"{len(rounds[0].sampled)} of {len(result.parties)} parties a round" if rounds else ""
    parts = [sampled]
    if partial := sum(len(each.partial) for each in rounds):
        parts.append(f"{partial} times a party did part of its epochs")
    if missing := sum(len(each.missing) for each in rounds):
        parts.append(f"{missing} times one missed the deadline")
    return "; ".join(parts)
