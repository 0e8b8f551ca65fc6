"""Every protocol and mechanism that a plan can have, over Flower's messages; and how many exchanges a round takes."""

from __future__ import annotations

import itertools
from unittest import mock

import numpy as np
import pytest
from flwr.serverapp.strategy import FedAvg

import securefl as sfl
from securefl.dp.mechanisms.kinds import MECHANISMS
from securefl.flower import SecureAggregation
from securefl.session.result import RoundResult
from unit.flower.world import ARRAYS, STEP, World, differ, mean_of, run, secagg, trained

SEMI_HONEST = 'server = "semi-honest"\n'
ROUNDING = STEP + 2.0**-21


@pytest.mark.parametrize("prefetch", [False, True])
@pytest.mark.parametrize("server", ["active", "semi-honest"])
def test_masks_give_the_mean(server, prefetch, tmp_path):
    world = World(tmp_path, policy=f'server = "{server}"\n')
    plan = world.plan(secagg(server=server, prefetch=prefetch))
    after = run(world.strategy(plan), world.grid())
    assert differ(after, mean_of(range(5))) <= ROUNDING


@pytest.mark.parametrize(
    ("server", "prefetch", "counts"),
    [
        ("active", True, {1: 5, 2: 4, 3: 4}),
        ("semi-honest", True, {1: 4, 2: 3, 3: 3}),
        ("active", False, {1: 5, 2: 5, 3: 5}),
        ("semi-honest", False, {1: 4, 2: 4, 3: 4}),
    ],
)
def test_exchanges_of_a_round_with_keys_sent_ahead_are_four_or_three(server, prefetch, counts, tmp_path):
    world = World(tmp_path, policy=f'server = "{server}"\n')
    strategy, grid = world.strategy(world.plan(secagg(server=server, prefetch=prefetch))), world.grid()
    run(strategy, grid, 3)
    assert strategy.exchanges == counts
    assert grid.exchanges == sum(counts.values())
    assert set(strategy.seconds) == {1, 2, 3}
    assert [type(result) for result in strategy.results] == [RoundResult] * 3


def test_parties_without_identities_sum_under_a_semi_honest_plan(tmp_path):
    world = World(tmp_path, policy=SEMI_HONEST)
    unsigned = sfl.Roster.unsigned(world.names)
    world.write("roster.toml", unsigned.to_toml())
    for config in world.config.values():
        del config["securefl-identity"]
    plan = world.plan(secagg(server="semi-honest"), parties=unsigned)
    after = run(SecureAggregation(FedAvg(fraction_evaluate=0.0), plan=plan, roster=unsigned), world.grid())
    assert differ(after, mean_of(range(5))) <= ROUNDING


def private(world, tmp_path, mechanism, *, epsilon=1e9):
    """A plan with noise, ledgers on both sides, and every node's consent to it."""
    central = mechanism.kind.startswith("central")
    for config in world.config.values():
        config["securefl-ledger"] = str(tmp_path / f"{config['securefl-party']}.ledger")
        text = SEMI_HONEST
        if central:
            text += 'noise_by = "server"\n'
            config |= {"securefl-budget-epsilon": epsilon, "securefl-budget-delta": 1e-5}
        else:
            text += f"max_epsilon = {epsilon}\ndelta = 1e-5\n"
        config["securefl-policy"] = world.write(f"{config['securefl-party']}.policy.toml", text)
    plan = world.plan(
        secagg(server="semi-honest"), encoding=sfl.ModularGrid(24), privacy=mechanism, max_weight=1, metrics={}
    )
    return plan, sfl.PrivacyLedger(tmp_path / "server.ledger", sfl.Budget(epsilon=epsilon, delta=1e-5))


def clipped_mean(parties):
    updates = []
    for party in parties:
        after = trained(ARRAYS, party)
        flat = [after[n].numpy() - ARRAYS[n].numpy() for n in ("w", "b", "scale")]
        norm = np.sqrt(sum(float(np.sum(np.square(part.astype(float)))) for part in flat))
        updates.append([part * min(1.0, 0.5 / norm) for part in flat])
    means = [sum(parts) / len(parts) for parts in zip(*updates, strict=True)]
    return {n: ARRAYS[n].numpy().astype(float) + part for n, part in zip(("w", "b", "scale"), means, strict=True)}


@pytest.mark.parametrize("kind", MECHANISMS)
def test_every_mechanism_sums_what_was_clipped_and_enters_it_on_both_sides(kind, tmp_path):
    world = World(tmp_path)
    plan, ledger = private(world, tmp_path, MECHANISMS[kind](clip=0.5, noise_multiplier=1.0))
    strategy = world.strategy(plan, ledger=ledger)
    quiet = mock.patch.multiple(
        "securefl.dp.mechanisms.release.Release",
        draw_party=mock.Mock(return_value=None),
        draw_server=mock.Mock(return_value=None),
    )
    with quiet:
        after = run(strategy, world.grid(), 1)
    assert strategy.failures == {1: ()}
    # Every party rounds each of the rotated values by less than one grid point.
    assert differ(after, clipped_mean(range(5))) <= np.sqrt(plan.length) / plan.release.scale + 2.0**-21
    spent = {owner: sfl.PrivacyLedger(tmp_path / f"{owner}.ledger", ledger.budget).owners for owner in world.names}
    assert spent == {owner: (owner,) for owner in world.names}
    assert sorted(ledger.owners) == world.names


@pytest.mark.parametrize("kind", MECHANISMS)
def test_every_mechanism_s_noise_is_in_the_mean(kind, tmp_path):
    world = World(tmp_path)
    plan, ledger = private(world, tmp_path, MECHANISMS[kind](clip=0.5, noise_multiplier=1.0))
    strategy = world.strategy(plan, ledger=ledger)
    after = run(strategy, world.grid(), 2)
    assert [type(result) for result in strategy.results] == [RoundResult] * 2
    # Eleven values with noise of about 0.1 all within 0.001 of the mean: below 1e-20.
    assert differ(after, clipped_mean(range(5))) > 1e-3


def test_an_adaptive_clip_moves_from_round_to_round(tmp_path):
    world = World(tmp_path)
    asked = sfl.DistributedSkellam(clip=sfl.QuantileClip(0.01, bit_noise=5.0), noise_multiplier=1.0)
    plan, ledger = private(world, tmp_path, asked)
    strategy = world.strategy(plan, ledger=ledger)
    run(strategy, world.grid(), 3)
    assert [type(result) for result in strategy.results] == [RoundResult] * 3, strategy.failures
    clips = [result.plan.release.mechanism.clip.clip for result in strategy.results]
    # The same again where the noisy sum of bits is 0 to the step, of which its deviation has three million: below 1e-6 over both pairs.
    assert all(one != following for one, following in itertools.pairwise(clips))


def test_noise_in_excess_is_taken_out_when_a_party_leaves(tmp_path):
    world = World(tmp_path)
    asked = sfl.DistributedSkellam(clip=0.5, noise_multiplier=1.0, max_dropouts=1)
    plan, ledger = private(world, tmp_path, asked)
    plan = plan.replace(protocol=secagg(server="semi-honest", min_survivors=4))
    strategy = world.strategy(plan, ledger=ledger)
    run(strategy, world.grid(lambda node, number: node == 102 and number >= 3), 1)
    assert strategy.results[0].survivors == ("party-0", "party-1", "party-3", "party-4")


def test_a_party_whose_budget_is_spent_says_so_and_the_rest_go_on(tmp_path):
    world = World(tmp_path)
    plan, ledger = private(world, tmp_path, sfl.DistributedDiscreteGaussian(clip=0.5, noise_multiplier=1.0))
    text = SEMI_HONEST + f"max_epsilon = {1e-3}\ndelta = 1e-5\n"
    world.config[101]["securefl-policy"] = world.write("party-1.policy.toml", text)
    strategy = world.strategy(plan, ledger=ledger)
    run(strategy, world.grid(), 1)
    assert "party-1" not in strategy.results[0].survivors
    assert [failure.node for failure in strategy.failures[1]] == [101]
    assert "max_epsilon = 0.001" in str(strategy.failures[1][0])


def test_rounds_beyond_the_server_s_budget_end_by_name_and_keep_the_model(tmp_path):
    world = World(tmp_path)
    mechanism = sfl.DistributedDiscreteGaussian(clip=0.5, noise_multiplier=1.0)
    plan, _ = private(world, tmp_path, mechanism)
    once = sfl.dp.privacy_of(plan, delta=1e-5, rounds=1)[1].epsilon
    ledger = sfl.PrivacyLedger(tmp_path / "small.ledger", sfl.Budget(epsilon=1.01 * once, delta=1e-5))
    strategy, grid = world.strategy(plan, ledger=ledger), world.grid()
    after = run(strategy, grid, 3)
    assert [type(result).__name__ for result in strategy.results] == ["RoundResult", *["PrivacyBudgetError"] * 2]
    assert grid.exchanges == 4  # nobody was asked again
    assert differ(after, ARRAYS) > 1e-3


def test_a_ledger_without_a_budget_is_refused_with_what_to_set(tmp_path):
    world = World(tmp_path)
    plan, ledger = private(world, tmp_path, sfl.DistributedDiscreteGaussian(clip=0.5, noise_multiplier=1.0))
    for config in world.config.values():
        config["securefl-policy"] = world.write("bare.toml", SEMI_HONEST)
    strategy = world.strategy(plan, ledger=ledger)
    run(strategy, world.grid(), 1)
    assert len(strategy.failures[1]) == 5
    for failure in strategy.failures[1]:
        assert "max_epsilon and delta to the policy" in failure.reason
        assert "securefl-budget-epsilon" in failure.reason
