"""Opacus' history as our events: what it costs by three accountants, and what of it is new."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from opacus import PrivacyEngine
from opacus.accountants import PRVAccountant, RDPAccountant
from torch.utils.data import DataLoader, TensorDataset

from securefl.dp.accounting import Composed, GaussianRelease, PoissonSampled, Relation, Repeated, epsilons
from securefl.errors import ConfigError, LocalProtocolError, UnsafePlanError
from securefl.torch import Steps, event_of, steps_of, steps_since


@pytest.mark.parametrize(
    ("history", "delta"),
    [
        ([(1.0, 0.01, 1000)], 1e-5),
        ([(1.1, 256 / 60000, 14040)], 1e-5),
        ([(0.7, 0.01, 500)], 1e-5),
        ([(2.0, 0.05, 100)], 1e-5),
        ([(1.0, 1.0, 1)], 1e-5),
        ([(1.0, 0.05, 20), (1.5, 0.02, 300)], 1e-5),
    ],
)
def test_our_epsilon_is_opacus_or_above(history, delta):
    """By RDP it is equal to 1e-3, and never below; PRV is tighter, and about what our PLD is."""
    ours = epsilons(event_of(history), delta, Relation.ADD_REMOVE)
    rdp, prv = RDPAccountant(), PRVAccountant()
    rdp.history, prv.history = list(history), list(history)
    assert 0.0 <= ours["rdp"] - rdp.get_epsilon(delta) <= 1e-3
    if history[0][1] < 1.0:  # PRV is for samples
        assert ours["rdp"] > prv.get_epsilon(delta)
        assert ours["pld"] == pytest.approx(prv.get_epsilon(delta), abs=0.02)


def engine_history(engine, steps):
    torch.manual_seed(0)
    model = torch.nn.Linear(3, 2)
    data = TensorDataset(torch.randn(40, 3), torch.zeros(40, dtype=torch.long))
    model, optimizer, loader = engine.make_private(
        module=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
        data_loader=DataLoader(data, batch_size=10),
        noise_multiplier=1.2,
        max_grad_norm=1.0,
    )
    done = 0
    while done < steps:
        for x, y in loader:
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(x), y).backward()
            optimizer.step()
            done += 1


@pytest.mark.filterwarnings("ignore:Secure RNG", "ignore:Full backward hook", "ignore:PrivacyEngine detected")
def test_an_engine_of_opacus_own_is_read_over_its_rounds():
    engine = PrivacyEngine()
    engine_history(engine, 4)
    first = steps_of(engine)
    assert first == (Steps(1.2, 0.25, 4),)
    engine_history(engine, 8)
    assert steps_since(engine, first) == (Steps(1.2, 0.25, 8),)
    assert event_of(engine) == Repeated(PoissonSampled(GaussianRelease(1.2), 0.25), 12)
    assert event_of(engine.accountant) == event_of(engine)


RUNS = st.lists(
    st.tuples(st.sampled_from((0.5, 1.0)), st.sampled_from((0.1, 0.2, 1.0)), st.integers(1, 5)), min_size=1, max_size=8
)


@given(RUNS, st.data())
def test_rounds_charged_one_by_one_are_all_steps_and_none_twice(runs, data):
    accountant, charged, rounds = RDPAccountant(), (), []
    for noise_multiplier, sample_rate, count in runs:
        for _ in range(count):
            accountant.step(noise_multiplier=noise_multiplier, sample_rate=sample_rate)
        if data.draw(st.booleans()):
            rounds += steps_since(accountant, charged)
            charged = steps_of(accountant)
    rounds += steps_since(accountant, charged)
    assert steps_since(accountant, steps_of(accountant)) == ()
    assert steps_of(rounds) == steps_of(runs) == steps_of(accountant)
    assert sum(steps.count for steps in rounds) == sum(count for _, _, count in runs)


@pytest.mark.parametrize("now", [[], [(1.0, 0.1, 4)], [(1.0, 0.2, 5)], [(2.0, 0.1, 9)], [(1.0, 0.2, 1), (1.0, 0.1, 5)]])
def test_a_history_that_was_reset_is_refused(now):
    with pytest.raises(LocalProtocolError, match="does not go on from the 5 steps"):
        steps_since(now, [(1.0, 0.1, 5)])


@pytest.mark.parametrize("source", [3, None, [(1.0,)], ["ab"], [("z", "q", "n")]])
def test_what_is_no_history_is_refused(source):
    with pytest.raises(ConfigError, match="no accounting history"):
        steps_of(source)


@pytest.mark.parametrize("history", [[], [(0.0, 0.1, 5)], [(1.0, 1.5, 5)], [(1.0, 0.1, 0)], [(float("nan"), 0.1, 5)]])
def test_steps_without_a_bound_have_no_event(history):
    with pytest.raises(UnsafePlanError):
        event_of(history)


def test_several_kinds_of_steps_are_composed_and_full_batches_are_no_samples():
    assert event_of([(1.0, 0.1, 2), (2.0, 1.0, 3)]) == Composed(
        (Repeated(PoissonSampled(GaussianRelease(1.0), 0.1), 2), Repeated(GaussianRelease(2.0), 3))
    )


def test_a_history_with_another_beginning_is_refused():
    with pytest.raises(LocalProtocolError, match="does not go on from the 8 steps"):
        steps_since([(2.0, 0.1, 5), (1.0, 0.2, 3)], [(1.0, 0.1, 5), (1.0, 0.2, 3)])
