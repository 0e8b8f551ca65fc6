"""Settings that contradict each other, or that would be silently without effect: refused by name before anything is loaded."""

from __future__ import annotations

from securefl.errors import ConfigError
from securefl.report.config import ExperimentConfig
from securefl.report.learning_tables import TrainingConfig

_ADAPTIVE = frozenset({"fedadagrad", "fedadam", "fedyogi"})


def check(config: ExperimentConfig) -> None:
    """Refuse what cannot be combined.

    Raises:
        ConfigError: names the file, both keys, the reason and the remedy.
    """
    for refused in (_idle, _acting, _data, _algorithm, _taking_part, _robust, _watermark, _adversarial):
        if found := refused(config):
            message, remedy = found
            raise ConfigError(f"{config.source or 'config'}: {message}", remedy=remedy)


_Refusal = tuple[str, str] | None


def _idle(config: ExperimentConfig) -> _Refusal:
    """A key that only counts with a value of another, which is not there."""
    data, model, training, robust = config.data, config.model, config.training, config.robust
    algorithm, server, partition, rule = training.algorithm, training.server, data.partition, robust.rule
    rows = (
        ("data.classes_per_party", data.classes_per_party, "data.partition", partition, {"pathological"}),
        ("data.size_law", data.size_law, "data.partition", partition, {"quantity"}),
        ("data.shift", data.shift, "data.partition", partition, {"feature-shift"}),
        ("data.strength", data.strength, "data.partition", partition, {"feature-shift"}),
        ("data.synthetic_alpha", data.synthetic_alpha, "data.dataset", data.dataset, {"synthetic"}),
        ("data.synthetic_beta", data.synthetic_beta, "data.dataset", data.dataset, {"synthetic"}),
        ("model.hidden", model.hidden, "model.kind", model.kind, {"perceptron", "torch-mlp"}),
        ("model.batch_norm", model.batch_norm or None, "model.kind", model.kind, {"torch-mlp"}),
        ("training.discount", training.discount, "training.algorithm", algorithm, {"reinforce"}),
        ("training.decay", training.decay, "training.algorithm", algorithm, {"reinforce"}),
        ("data.gravity", data.gravity, "data.dataset", data.dataset, {"cartpole"}),
        ("data.pole", data.pole, "data.dataset", data.dataset, {"cartpole"}),
        ("data.test_gravity", data.test_gravity, "data.dataset", data.dataset, {"cartpole"}),
        ("data.test_pole", data.test_pole, "data.dataset", data.dataset, {"cartpole"}),
        ("data.episodes", data.episodes, "data.dataset", data.dataset, {"cartpole"}),
        ("training.mu", training.mu, "training.algorithm", algorithm, {"fedprox"}),
        ("training.keep", training.keep, "training.algorithm", algorithm, {"fedper", "fedbn"}),
        ("training.head", training.head, "training.algorithm", algorithm, {"transfer"}),
        ("training.momentum", training.momentum, "training.server", server, {"fedavgm"}),
        ("training.beta_1", training.beta_1, "training.server", server, _ADAPTIVE),
        ("training.beta_2", training.beta_2, "training.server", server, {"fedadam", "fedyogi"}),
        ("training.tau", training.tau, "training.server", server, _ADAPTIVE),
        (
            "training.patience",
            training.patience,
            "training.early_stop",
            training.early_stop,
            {"loss", "accuracy", "return"},
        ),
        ("robust.beta", robust.beta, "robust.rule", rule, {"trimmed-mean"}),
        ("robust.attackers", robust.attackers, "robust.rule", rule, {"krum", "multi-krum"}),
        ("robust.max_norm", robust.max_norm if rule == "none" else None, "robust.rule", rule, {"median"}),
    )
    for key, value, other, found, wanted in rows:
        if value is not None and found not in wanted:
            needs = " or ".join(repr(name) for name in sorted(wanted))
            shown = list(value) if isinstance(value, tuple) else value
            return (
                f"{key} is {shown!r}, and {other} is {found!r}, which has no use for it",
                f"leave it out, or set {other} = {needs}",
            )
    return None


def _acting(config: ExperimentConfig) -> _Refusal:
    """Environments and examples want different algorithms, and have different figures."""
    data, training = config.data, config.training
    acts, learns = data.dataset == "cartpole", training.algorithm == "reinforce"
    if acts is not learns:
        return (
            (
                f"data.dataset is {data.dataset!r}, and training.algorithm is {training.algorithm!r}: a policy learns by acting in an "
                "environment, and nothing else does"
            ),
            'set dataset = "cartpole" and algorithm = "reinforce", or neither',
        )
    figures = {"return"} if acts else {"loss", "accuracy"}
    if training.early_stop not in {"none", *figures}:
        return (
            f"training.early_stop is {training.early_stop!r}, and what is measured is the {' and the '.join(sorted(figures))}",
            f'use early_stop = "{min(figures)}"',
        )
    if not acts:
        return None
    if data.partition != "natural":
        return (
            f"data.partition is {data.partition!r}, and 'cartpole' comes by party: each has an environment of its own",
            'set partition = "natural"; how unlike they are is gravity and pole',
        )
    for key, given in (
        ("training.batch_size", training.batch_size != TrainingConfig().batch_size),
        ("model.batch_norm", config.model.batch_norm),
        ("adversarial.epsilon", config.adversarial.epsilon is not None),
        ("watermark", bool(config.watermark.size or config.watermark.file)),
    ):
        if given:
            also = "; how many episodes a batch has is data.episodes" if key == "training.batch_size" else ""
            return f"{key} is set, and 'cartpole' has no labelled examples to use it on", f"leave it out{also}"
    return None


def _adversarial(config: ExperimentConfig) -> _Refusal:
    wanted, training = config.adversarial, config.training
    if wanted.epsilon is None:
        given = {name: getattr(wanted, name) for name in wanted.__struct_fields__}
        if also := [name for name, value in given.items() if value is not None]:
            return (
                f"adversarial.{also[0]} is {given[also[0]]!r}, and adversarial.epsilon is not given: nothing is attacked",
                "set epsilon, how far a value of an input may be moved, or leave it out",
            )
        return None
    if wanted.train is False and (also := [name for name in ("steps", "step") if getattr(wanted, name) is not None]):
        return (
            f"adversarial.{also[0]} is {getattr(wanted, also[0])!r}, and adversarial.train is false: training has no use for it",
            "leave it out, or train = true; the evaluation's steps are test_steps",
        )
    if training.algorithm in {"fedper", "fedbn"}:
        return (
            f"adversarial.epsilon is set, and training.algorithm is {training.algorithm!r}: no party's own model is attacked there",
            "use another algorithm",
        )
    if training.pretrain_rounds:
        return (
            "adversarial.epsilon and training.pretrain_rounds are set, and the base is trained without an attack",
            "set one of them",
        )
    return None


def _watermark(config: ExperimentConfig) -> _Refusal:
    wanted, algorithm = config.watermark, config.training.algorithm
    if wanted.per_party:
        return (
            (
                "watermark.per_party is true, a fingerprint in each party's model: all parties must train the same one. A plan binds the "
                "round to the model's digest, sums over updates of different models mean nothing, and a model of its own for one party is "
                "how a server takes updates apart"
            ),
            "leave it out; to find who passed the model on, mark the copies that are handed out after training",
        )
    drawn = {"size": wanted.size or None, "low": wanted.low, "high": wanted.high}
    if wanted.file and (also := [key for key, value in drawn.items() if value is not None]):
        return (
            f"watermark.{also[0]} is {drawn[also[0]]!r}, and watermark.file names triggers that are drawn already",
            "leave one of them out",
        )
    settings = {"epochs": wanted.epochs, "learning_rate": wanted.learning_rate, "low": wanted.low, "high": wanted.high}
    if not wanted.size and not wanted.file:
        given = [key for key, value in settings.items() if value is not None]
        return (
            (
                f"watermark.{given[0]} is {settings[given[0]]!r}, and there are no triggers to use it on",
                "leave it out, or set watermark.size = 100",
            )
            if given
            else None
        )
    if algorithm in {"fedper", "fedbn"}:
        return (
            f"[watermark] with training.algorithm = {algorithm!r}: each party keeps part of the model, and nobody marks that",
            'use "fedavg", or leave [watermark] out',
        )
    return None


def _data(config: ExperimentConfig) -> _Refusal:
    data, training = config.data, config.training
    by_party = data.dataset in {"synthetic", "sensor_failure", "cartpole"}
    if data.partition == "natural" and not by_party:
        return (
            f"data.partition is 'natural', and {data.dataset!r} does not come by party",
            'use "dirichlet", or the data set "synthetic" or "sensor_failure"',
        )
    if data.dataset == "synthetic" and data.partition != "natural":
        return (
            f"data.partition is {data.partition!r}, and 'synthetic' comes by party: each has a truth of its own",
            'set partition = "natural"; how unlike the parties are is synthetic_alpha and synthetic_beta',
        )
    if data.public_fraction and data.partition == "natural":
        return (
            "data.public_fraction is set, and with partition 'natural' every example is some party's",
            "leave it out, or choose another partition",
        )
    if bool(data.public_fraction) != bool(training.pretrain_rounds):
        return (
            (
                f"data.public_fraction is {data.public_fraction:g} and training.pretrain_rounds is {training.pretrain_rounds}: the public "
                "examples are there to pretrain on, and nothing else is"
            ),
            "set both, or neither",
        )
    return None


def _algorithm(config: ExperimentConfig) -> _Refusal:
    training, algorithm = config.training, config.training.algorithm
    if algorithm == "transfer" and not training.pretrain_rounds:
        return (
            "training.algorithm is 'transfer', and the base that it freezes would be random numbers",
            "set training.pretrain_rounds = 10 and data.public_fraction = 0.3, the examples to make a base from",
        )
    if algorithm == "fedbn" and not config.model.batch_norm:
        return (
            "training.algorithm is 'fedbn', and the model has no batch normalisation to keep local",
            'set kind = "torch-mlp" and batch_norm = true in [model], or use "fedper" and keep',
        )
    if algorithm in {"fedper", "fedbn"} and config.data.dataset == "synthetic":
        return (
            (
                f"training.algorithm is {algorithm!r}, and the held out examples of 'synthetic' are not told apart by party: nobody's "
                "own model could be tested"
            ),
            "use another algorithm or data set",
        )
    if algorithm == "scaffold":
        if config.privacy.mechanism != "none":
            return (
                (
                    "training.algorithm is 'scaffold' under [privacy]: the noise of each round would stay in its control variates and "
                    "steer every later step"
                ),
                'use "fedavg" or "fedprox", or leave [privacy] out',
            )
        if training.subspace:
            return (
                (
                    "training.algorithm is 'scaffold' in a subspace: control variates steer every later step; with the noise of "
                    "a subspace in them training diverges"
                ),
                'use "fedavg" or "fedprox", or subspace = 0',
            )
    if training.subspace and config.stragglers.partial:
        return (
            "training.subspace and stragglers.partial: how many epochs a straggler completes is not known through a subspace",
            "use stragglers.missing, or subspace = 0",
        )
    if config.model.batch_norm and training.batch_size < 2:
        return "training.batch_size is 1, and one example cannot be normalised", "set batch_size = 2 or more"
    return None


def _taking_part(config: ExperimentConfig) -> _Refusal:
    size, parties = config.sampling.size, config.data.parties
    if size > parties:
        return (
            f"sampling.size is {size}, and there are {parties} parties",
            f"set size = {parties} or less, or 0 for all",
        )
    lost = config.faults.dropout + config.stragglers.missing
    if config.plan.dropout is None and lost >= 1:
        return (
            f"faults.dropout and stragglers.missing add up to {lost:g}, and nobody would be left",
            "lower one of them",
        )
    if size and config.paillier.holder == "threshold":
        return (
            "sampling.size is set, and a threshold key is dealt to all parties: a sample may hold too few shares",
            'use holder = "separate" or "clients", or size = 0',
        )
    if size and config.privacy.adaptive:
        return (
            "sampling.size is set, and an adaptive clip follows the parties of one round into the next",
            "use a fixed clip, or size = 0",
        )
    return None


def _robust(config: ExperimentConfig) -> _Refusal:
    wanted = config.robust
    if wanted.rule == "none":
        return None
    for key, there, why in (
        (
            "[privacy]",
            config.privacy.mechanism != "none",
            "a group is so small that the noise sized for it drowns its mean",
        ),
        (
            "[paillier]",
            config.paillier.holder != "none",
            "a key and groups together are not what this command rehearses",
        ),
        ("[sampling]", bool(config.sampling.size), "groups of a sample would be too few for most rules"),
        (
            "algorithm = 'scaffold'",
            config.training.algorithm == "scaffold",
            "its control variates must be means, which no rule gives",
        ),
    ):
        if there:
            return (
                f"robust.rule is {wanted.rule!r} with {key}: {why}",
                "leave one of them out; securefl.federated.robust.GroupwiseRobust has more in Python",
            )
    return None
