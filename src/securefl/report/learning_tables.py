"""The tables that say what is learned, from what, how and by whom: data, model, training, sampling, stragglers, robust."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from securefl.report.tables import Count, Fraction, Names, Natural, NotNegative, Numbers, Positive, Share, Table


class DataConfig(Table, frozen=True):
    """`[data]`: what is learned from, and how it is dealt out.

    Args:
        dataset: "digits" and "breast_cancer" are bundled with scikit-learn; "credit_default", "sensor_failure" and "synthetic" (that
            of FedProx) are generated. "cartpole" is no data set: each party has an environment to act in.
        parties: into how many parts it is dealt.
        partition: "dirichlet" for skewed labels, "pathological" for a few classes each, "quantity" for unequal sizes,
            "feature-shift" for even parts that each party sees through another instrument, "iid" for even parts, "natural" for what
            comes by party: all of "synthetic" and "cartpole", and the machines of "sensor_failure".
        alpha: of the Dirichlet distribution; small is skewed. For "quantity" of its law.
        classes_per_party: of "pathological"; 2 unless given.
        size_law: of "quantity": "dirichlet" unless given, or "power".
        shift: of "feature-shift": "scale" unless given, "offset", "rotation" or "noise".
        strength: of the shift; 0.3 unless given.
        synthetic_alpha: of "synthetic": how much the parties' truths differ; 1 unless given.
        synthetic_beta: of "synthetic": how much their inputs differ; 1 unless given.
        gravity: of "cartpole": each party's, in m/s², or one for all; 9.8 unless given.
        pole: of "cartpole": half of each party's pole's length, in m, or one for all; 0.5 unless given.
        test_gravity: of "cartpole": the held-out ones, each with the pole in its place.
        test_pole: of "cartpole": the held-out ones.
        episodes: of "cartpole": of a batch; 8 unless given.
        public_fraction: share of the training examples that is taken for public, belongs to no party, and is what `pretrain_rounds`
            trains on.
        seed: of everything that is no secret: split, partition, batches.
        test_fraction: share of the examples held out.
    """

    dataset: Literal["digits", "breast_cancer", "credit_default", "sensor_failure", "synthetic", "cartpole"] = "digits"
    parties: Count = 20
    partition: Literal["dirichlet", "iid", "pathological", "quantity", "feature-shift", "natural"] = "dirichlet"
    alpha: Positive = 1.0
    classes_per_party: Count | None = None
    size_law: Literal["dirichlet", "power"] | None = None
    shift: Literal["scale", "offset", "rotation", "noise"] | None = None
    strength: NotNegative | None = None
    synthetic_alpha: NotNegative | None = None
    synthetic_beta: NotNegative | None = None
    gravity: Numbers | None = None
    pole: Numbers | None = None
    test_gravity: Numbers | None = None
    test_pole: Numbers | None = None
    episodes: Annotated[int, msgspec.Meta(ge=2, le=10_000)] | None = None
    public_fraction: Fraction = 0.0
    seed: Natural = 0
    test_fraction: Annotated[float, msgspec.Meta(gt=0, lt=1)] = 0.2


class ModelConfig(Table, frozen=True):
    """`[model]`: what is trained.

    Args:
        kind: "softmax" regression, a "perceptron" in numpy, or the same in torch; of "reinforce" a policy, with tanh between layers.
        hidden: widths of the layers between, of the networks; 32 unless given, 16 of a policy.
        batch_norm: normalise after each of them, of "torch-mlp".
    """

    kind: Literal["softmax", "perceptron", "torch-mlp"] = "softmax"
    hidden: Annotated[tuple[Count, ...], msgspec.Meta(min_length=1, max_length=32)] | None = None
    batch_norm: bool = False


class TrainingConfig(Table, frozen=True):
    """`[training]`: what each party does, what the server does with the mean, and for how many rounds.

    Args:
        rounds: at most.
        algorithm: what a party does.
        epochs: of local training in each round; of "reinforce" batches of episodes.
        batch_size: of local training on examples.
        learning_rate: of local training.
        mu: of "fedprox"; 0.1 unless given.
        discount: of "reinforce"; 0.99 unless given.
        decay: of "reinforce", by which the learning rate is multiplied after each round; 1 unless given.
        keep: tensors, or patterns, that never leave a party, of "fedper" and "fedbn"; the head, or what is called bn.
        head: tensors, or patterns, that are trained, of "transfer"; the head.
        subspace: values that travel, of an update rotated at random; 0 for the whole.
        pretrain_rounds: rounds on the public part before the first one, at the server.
        server: what the server does with the mean update.
        server_learning_rate: 1 for "averaging" and "fedavgm", 0.1 for the others, unless given.
        momentum: of "fedavgm"; 0.9 unless given.
        beta_1: of the adaptive ones; 0.9 unless given.
        beta_2: of "fedadam" and "fedyogi"; 0.99 unless given.
        tau: of the adaptive ones; 0.001 unless given.
        early_stop: the test metric that ends training when it becomes no better.
        patience: for so many rounds; 5 unless given.
    """

    rounds: Count = 25
    algorithm: Literal["fedavg", "fedprox", "scaffold", "fedper", "fedbn", "transfer", "reinforce"] = "fedavg"
    epochs: Count = 5
    batch_size: Count = 32
    learning_rate: Positive = 1.0
    mu: NotNegative | None = None
    discount: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    decay: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    keep: Names | None = None
    head: Names | None = None
    subspace: Natural = 0
    pretrain_rounds: Natural = 0
    server: Literal["averaging", "fedavgm", "fedadagrad", "fedadam", "fedyogi"] = "averaging"
    server_learning_rate: Positive | None = None
    momentum: Fraction | None = None
    beta_1: Fraction | None = None
    beta_2: Fraction | None = None
    tau: Positive | None = None
    early_stop: Literal["none", "loss", "accuracy", "return"] = "none"
    patience: Count | None = None


class SamplingConfig(Table, frozen=True):
    """`[sampling]`: who takes part in a round.

    Args:
        size: so many of the parties, drawn anew each round; 0 for all.
    """

    size: Natural = 0


class StragglersConfig(Table, frozen=True):
    """`[stragglers]`: who is slow in a rehearsal.

    Args:
        partial: share of a round's parties that do part of their epochs.
        missing: share that miss the deadline, and so the sum.
        seed: of the choice; by default that of `[data]`.
    """

    partial: Share = 0.0
    missing: Fraction = 0.0
    seed: Natural | None = None


class RobustConfig(Table, frozen=True):
    """`[robust]`: a rule over the means of small groups, in the secure training; the server then learns each group's mean.

    Args:
        rule: none unless named.
        group_size: parties of a group, each with a secure sum of its own.
        beta: share that "trimmed-mean" takes off at either end; 0.2 unless given.
        attackers: f, groups that may be spoiled, of "krum" and "multi-krum"; 1 unless given.
        max_norm: parties keep their updates within it, and groups with a longer mean are left out.
    """

    rule: Literal["none", "median", "trimmed-mean", "krum", "multi-krum", "geometric-median"] = "none"
    group_size: Annotated[int, msgspec.Meta(ge=3, le=1_000_000)] = 4
    beta: Annotated[float, msgspec.Meta(ge=0, lt=0.5)] | None = None
    attackers: Natural | None = None
    max_norm: Positive | None = None


class WatermarkConfig(Table, frozen=True):
    """`[watermark]`: the owner's mark, put into the model at the server after each round; none unless `size` or `file` is given.

    Args:
        size: triggers to draw; 100 survive what a thief does to a model.
        file: a set of `securefl watermark make` instead; a secret.
        epochs: steps on the triggers in a round, at most; 200 unless given.
        learning_rate: of a step; 0.1 unless given.
        low: least value of a drawn input; 0 unless given.
        high: above the largest; 1 unless given.
        per_party: refused: all parties must train the same model.
    """

    size: Annotated[int, msgspec.Meta(ge=0, le=10_000)] = 0
    file: str = ""
    epochs: Count | None = None
    learning_rate: Positive | None = None
    low: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] | None = None
    high: Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)] | None = None
    per_party: bool = False
