"""DP-SGD: what is clipped, drawn, divided by, refused and charged."""

from __future__ import annotations

import sys

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import TensorDataset

from securefl.crypto.seeded import SeededRandom
from securefl.dp.accounting import GaussianRelease, PoissonSampled, Relation, Repeated, Unit, rdp_epsilon
from securefl.dp.ledger import Budget, Charge, PrivacyBudgetError, PrivacyLedger
from securefl.errors import ConfigError, UnsafePlanError
from securefl.federated import digits
from securefl.torch import CAVEATS, DpSgd, Steps
from securefl.torch.randomness import PoissonBatches, gaussian

NO_NOISE = 1e-12
"""As near to none as an accountant allows: what is clipped and divided shows."""


def loss(model, batch):
    return cross_entropy(model(batch[0]), batch[1])


def examples(count=50, seed=0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 3, generator=generator)
    return TensorDataset(x, (x[:, 0] > 0).long())


def linear(**options):
    torch.manual_seed(1)
    model = nn.Linear(3, 2)
    return model, torch.optim.SGD(model.parameters(), lr=1.0, **options)


def private(seed=None, **changes):
    settings = {"noise_multiplier": 1.0, "max_grad_norm": 1.0, "sample_rate": 0.1, "batch_size": 5, **changes}
    return DpSgd(**settings, **({} if seed is None else {"random": SeededRandom(bytes([seed]) * 32)}))


def flat(model):
    return torch.cat([parameter.detach().flatten() for parameter in model.parameters()])


class Recorded:
    """The loss, and the batches on which it was called."""

    def __init__(self):
        self.batches = []

    def __call__(self, model, batch):
        self.batches.append([part.clone() for part in batch])
        return loss(model, batch)


def clipped_sum(model, batch, clip):
    """The sum of the examples' clipped gradients, one after the other, without Opacus."""
    total = torch.zeros_like(flat(model))
    for x, y in zip(*batch, strict=True):
        gradients = torch.autograd.grad(loss(model, (x[None], y[None])), list(model.parameters()))
        gradient = torch.cat([part.flatten() for part in gradients])
        total += gradient * min(1.0, clip / (gradient.norm().item() + 1e-6))
    return total


@pytest.mark.parametrize("clip", [0.1, 100.0])
def test_a_step_is_the_clipped_sum_over_the_public_batch_size_whatever_was_drawn(clip):
    model, optimizer = linear()
    recorded = Recorded()
    sizes = set()
    engine = private(3, noise_multiplier=NO_NOISE, max_grad_norm=clip, batch_size=7.5)
    for _ in range(8):
        before = flat(model)
        drawn = len(recorded.batches)
        reference = linear()[0]
        reference.load_state_dict(model.state_dict())
        engine.train(model, optimizer, examples(), recorded, steps=1)
        if len(recorded.batches) == drawn:
            continue
        batch = recorded.batches[-1]
        sizes.add(len(batch[0]))
        expected = before - clipped_sum(reference, batch, clip) / 7.5
        torch.testing.assert_close(flat(model), expected, rtol=1e-4, atol=1e-6)
    assert len(sizes) > 2, "batches of several sizes were drawn"


def test_the_noise_has_the_standard_deviation_that_is_accounted():
    """20 000 draws: the sample's standard deviation is off by more than 3 % with probability 1e-9; the seed is fixed."""
    model = nn.Linear(20_000, 1, bias=False)
    before = flat(model)
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    data = TensorDataset(torch.zeros(4, 20_000), torch.zeros(4))
    engine = private(5, noise_multiplier=2.0, max_grad_norm=0.5, batch_size=4)
    engine.train(model, optimizer, data, lambda m, b: (m(b[0])[:, 0] - b[1]).square().mean(), steps=1)
    noise = (flat(model) - before) * 4
    assert noise.std().item() == pytest.approx(1.0, rel=0.03)
    assert abs(noise.mean().item()) < 0.05


def test_an_empty_batch_gets_its_noise_and_its_step_counts():
    model, optimizer = linear()
    before = flat(model)
    recorded = Recorded()
    engine = private(2, sample_rate=1e-30)  # seeded: noise may round to nothing in a float32
    event = engine.train(model, optimizer, examples(), recorded, steps=3)
    assert not recorded.batches
    assert event == Repeated(PoissonSampled(GaussianRelease(1.0), 1e-30), 3)
    assert (flat(model) != before).all()


def test_a_gradient_that_is_no_number_counts_as_zero():
    data = examples(4)
    data.tensors[0][1] = torch.inf
    model, optimizer = linear()
    reference = linear()[0]
    private(sample_rate=1.0, noise_multiplier=NO_NOISE, batch_size=4).train(model, optimizer, data, loss, steps=1)
    rest = [part[[0, 2, 3]] for part in data.tensors]
    torch.testing.assert_close(flat(model), flat(reference) - clipped_sum(reference, rest, 1.0) / 4)


def test_a_seed_set_for_torch_does_not_set_the_noise():
    def trained(engine):
        model, optimizer = linear()  # which calls torch.manual_seed
        engine.train(model, optimizer, examples(), loss, steps=2)
        return flat(model)

    # Every example in every batch: what differs is the noise.
    assert not torch.equal(trained(private(sample_rate=1.0)), trained(private(sample_rate=1.0)))
    assert torch.equal(trained(private(4)), trained(private(4)))


def test_nothing_of_opacus_stays_at_the_model_even_after_an_error():
    model, optimizer = linear()

    def failing(module, batch):
        loss(module, batch)
        raise KeyError("a bug in the loss")

    for call in (loss, failing):
        with pytest.raises(KeyError) if call is failing else torch.enable_grad():
            private(sample_rate=1.0).train(model, optimizer, examples(), call, steps=1)
        assert not hasattr(model, "autograd_grad_sample_hooks")
        assert all(not vars(parameter) for parameter in model.parameters())
        assert list(model.state_dict()) == ["weight", "bias"]


def test_steps_of_a_training_that_failed_are_charged_with_the_next():
    model, optimizer = linear()
    engine = private(sample_rate=1.0)
    calls = []

    def failing(module, batch):
        calls.append(1)
        if len(calls) == 3:
            raise KeyError("a bug in the loss")
        return loss(module, batch)

    with pytest.raises(KeyError):
        engine.train(model, optimizer, examples(), failing, steps=5)
    assert engine.history == (Steps(1.0, 1.0, 2),)
    assert engine.train(model, optimizer, examples(), loss, steps=4) == Repeated(GaussianRelease(1.0), 6)
    assert engine.train(model, optimizer, examples(), loss, steps=4) == engine.planned(4)


class Remembering(nn.Module):
    """A layer without parameters that keeps the mean of its inputs."""

    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(3))

    def forward(self, x):
        self.mean = x.detach().mean(dim=0)
        return x


def chain(*layers):
    model = nn.Sequential(*layers)
    return model, torch.optim.SGD(model.parameters(), lr=0.1)


@pytest.mark.parametrize(
    ("made", "complaint"),
    [
        (chain(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2)), "module '1' is a BatchNorm1d.*GroupNorm"),
        (chain(nn.BatchNorm1d(3, affine=False), nn.Linear(3, 2)), "module '0' is a BatchNorm1d"),
        (chain(nn.InstanceNorm1d(3, track_running_stats=True), nn.Linear(3, 2)), "module '0' keeps running statistics"),
        (chain(nn.Linear(3, 2).half()), "parameter '0.weight' has dtype torch.float16.*model.float"),
        (chain(nn.LSTM(3, 2)), "Opacus cannot train this model.*ModuleValidator.fix"),
        ((linear()[0], linear()[1]), "a parameter that is not the model's"),
        (chain(nn.Linear(3, 2).requires_grad_(requires_grad=False)), "nothing to train"),
    ],
)
def test_a_model_whose_examples_would_not_be_protected_is_refused(made, complaint):
    model, optimizer = made
    with pytest.raises(ConfigError, match=complaint):
        private().train(model, optimizer, examples(), loss, steps=1)
    assert not hasattr(model, "autograd_grad_sample_hooks")


def test_groupnorm_is_the_remedy_for_batchnorm():
    model, optimizer = chain(nn.Linear(3, 4), nn.GroupNorm(2, 4), nn.Linear(4, 2))
    private().train(model, optimizer, examples(), loss, steps=2)


def test_a_buffer_that_remembers_examples_is_refused_and_put_back():
    model, optimizer = chain(Remembering(), nn.Linear(3, 2))
    with pytest.raises(ConfigError, match=r"buffer '0\.mean' changed in training"):
        private(sample_rate=1.0).train(model, optimizer, examples(), loss, steps=1)
    assert torch.equal(model[0].mean, torch.zeros(3))


def test_what_opacus_has_wrapped_already_is_refused():
    from opacus import GradSampleModule

    model, optimizer = linear()
    with pytest.raises(ConfigError, match="wrapped this model or optimizer already"):
        private().train(GradSampleModule(model), optimizer, examples(), loss, steps=1)


def test_a_model_is_given_to_the_loss_with_its_own_methods_and_items_load_in_processes():
    class Own(nn.Linear):
        def cost(self, batch):
            return loss(self, batch)

    torch.manual_seed(1)
    model = Own(3, 2)
    before = flat(model)
    # Seeded: three steps of Adam end where they began, for one parameter of eight, in one run of 10^5.
    private(2, sample_rate=1.0).train(
        model,
        torch.optim.Adam(model.parameters()),
        examples(),
        lambda own, batch: own.cost(batch),
        steps=3,
        workers=1,
    )
    assert (flat(model) != before).all()


def test_a_parameter_that_the_loss_leaves_out_is_named():
    class Half(nn.Module):
        def __init__(self):
            super().__init__()
            self.used, self.idle = nn.Linear(3, 2), nn.Linear(3, 2)

        def forward(self, x):
            return self.used(x)

    model = Half()
    with pytest.raises(ConfigError, match=r"'idle\.weight' has no gradient"):
        private(sample_rate=1.0).train(model, torch.optim.SGD(model.parameters(), lr=1.0), examples(), loss, steps=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise_multiplier": 0.0},
        {"noise_multiplier": float("nan")},
        {"max_grad_norm": 0.0},
        {"max_grad_norm": float("inf")},
        {"sample_rate": 0.0},
        {"sample_rate": 1.1},
        {"batch_size": 0},
    ],
)
def test_numbers_out_of_range_are_refused(wrong):
    with pytest.raises(UnsafePlanError):
        private(**wrong)


@pytest.mark.parametrize("steps", [0, -1, 1.5, True])
def test_the_number_of_steps_is_a_whole_one(steps):
    with pytest.raises(UnsafePlanError):
        private().train(*linear(), examples(), loss, steps=steps)


def test_without_opacus_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "opacus.accountants", None)
    with pytest.raises(ConfigError, match=r"needs Opacus.*pip install 'securefl\[torch\]'"):
        private().train(*linear(), examples(), loss, steps=1)


# Rounds, ledger, report


def charge(event, round_number, owner="clinic"):
    return Charge(
        owner=owner,
        party=owner,
        session=bytes(16),
        ctx=round_number.to_bytes(32, "big"),
        attempt=b"\x01",
        plan=bytes(32),
        event=event,
        relation=Relation.ADD_REMOVE,
        unit=Unit.EXAMPLE,
        sampler="poisson",
    )


def test_digits_are_learnt_and_each_round_is_charged_for_its_own_steps(tmp_path):
    train, test = digits(seed=0)
    data = TensorDataset(torch.from_numpy(train.x).flatten(1), torch.from_numpy(train.y).long())
    torch.manual_seed(0)
    model = nn.Linear(64, 10)
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    engine = private(1, sample_rate=0.1, batch_size=140)
    ledger = PrivacyLedger(tmp_path / "ledger.jsonl", Budget(epsilon=8.0, delta=1e-5))
    for number in range(4):
        ledger.check(charge(engine.planned(10), number))
        event = engine.train(model, optimizer, data, loss, steps=10)
        assert event == engine.planned(10)
        ledger.charge(charge(event, number))
    assert engine.history == (Steps(1.0, 0.1, 40),)
    assert ledger.head.number == 4
    whole = rdp_epsilon(engine.planned(40), 1e-5, Relation.ADD_REMOVE)
    assert ledger.spent("clinic") == pytest.approx(whole, rel=1e-9)
    assert engine.epsilons(1e-5)["rdp"] == whole
    with pytest.raises(PrivacyBudgetError):
        ledger.check(charge(engine.planned(400), 9))
    predicted = model(torch.from_numpy(test.x).flatten(1)).argmax(dim=1).numpy()
    assert (predicted == test.y).mean() > 0.8


def test_parties_with_disjoint_examples_compose_by_maximum(tmp_path):
    ledger = PrivacyLedger(tmp_path / "ledger.jsonl", Budget(epsilon=8.0, delta=1e-5))
    ledger.charge_all(
        [charge(private().planned(10), 0, owner="clinic"), charge(private().planned(20), 0, owner="hospital")]
    )
    assert ledger.spent() == ledger.spent("hospital") > ledger.spent("clinic")


def test_the_report_says_what_it_cost_and_what_that_does_not_say():
    engine = private()
    assert "0 steps so far: epsilon 0.0000 by rdp" in engine.report(1e-5)
    engine.train(*linear(), examples(), loss, steps=2)
    report = engine.report(1e-5)
    assert "2 steps so far" in report
    assert "divided by 5" in report
    assert all(caveat in report for caveat in CAVEATS)
    assert "floating point" in report
    assert "2021" in report
    assert "largest" in report


# Randomness


def test_normals_have_the_moments_of_normals():
    """10^6 fixed draws; each bound is at least five standard errors wide."""
    drawn = gaussian(1_000_001, SeededRandom(bytes(32)))
    assert drawn.shape == (1_000_001,)
    assert abs(drawn.mean()) < 0.005
    assert drawn.var() == pytest.approx(1.0, abs=0.01)
    assert (drawn**4).mean() == pytest.approx(3.0, abs=0.06)
    assert np.mean(drawn > 3) == pytest.approx(0.00135, abs=0.0002)
    assert abs(np.corrcoef(drawn[:500_000], drawn[500_001:])[0, 1]) < 0.008


class Zeros:
    """A source of zero bytes."""

    def token(self, size):
        return bytes(size)


def test_normals_reach_beyond_those_of_torch_and_stay_finite():
    assert gaussian(1, Zeros())[0] == pytest.approx(8.5717, abs=1e-3)
    assert gaussian(0).shape == (0,)


def test_each_example_is_drawn_with_its_probability_and_all_at_rate_one():
    """Expected 3000 of 30 000 draws for each of q = 0.1; five standard deviations are 260; the seed is fixed."""
    batches = list(PoissonBatches(30, 0.1, 1000, SeededRandom(bytes(32))))
    assert len({len(batch) for batch in batches}) > 5
    assert sum(map(len, batches)) == pytest.approx(3000, abs=260)
    assert np.bincount(np.concatenate(batches).astype(int), minlength=30).std() < 20
    assert list(PoissonBatches(4, 1.0, 2)) == [[0, 1, 2, 3]] * 2
    assert len(PoissonBatches(4, 1.0, 2)) == 2
