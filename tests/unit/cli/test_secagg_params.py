"""`securefl secagg-params`: the numbers that other programs rely on, and their reasons."""

from __future__ import annotations

import json

import pytest


@pytest.mark.parametrize(
    ("clients", "corrupted", "dropout", "neighbours", "threshold"),
    [(1000, "0.05", "0.05", 34, 18), (1000, "0.2", "0.1", 76, 47), (10_000, "0.1", "0.1", 60, 32)],
)
def test_a_semi_honest_server_over_many_parties_gets_a_k_regular_graph(
    securefl, clients, corrupted, dropout, neighbours, threshold
):
    outcome = securefl(
        "secagg-params", "--clients", str(clients), "--corrupted", corrupted, "--dropout", dropout, "--json", "-"
    )
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert (found["graph"], found["neighbours"], found["threshold"]) == ("k-regular", neighbours, threshold)


@pytest.mark.parametrize(("server", "threshold"), [("active", 526), ("semi-honest", 6)])
def test_an_active_server_or_few_parties_get_the_complete_graph(securefl, server, threshold):
    clients = 1000 if server == "active" else 100
    outcome = securefl("secagg-params", "--clients", str(clients), "--server", server, "--json", "-")
    assert outcome.code == 0
    found = json.loads(outcome.out)
    assert (found["graph"], found["neighbours"], found["threshold"]) == ("complete", clients - 1, threshold)
    assert found["min_survivors"] >= found["colluders"] + 2


def test_what_is_not_feasible_is_one_line_that_says_what_would_be(securefl):
    outcome = securefl("secagg-params", "--clients", "300", "--corrupted", "0.6", "--dropout", "0.4")
    assert outcome.code == 1
    assert "no k-regular graph on 300 parties" in outcome.err
    assert "Remedy" in outcome.err


@pytest.mark.parametrize(
    "command", ["secagg-params --clients 300 --corrupted", "secagg-params --clients 300 --dropout", "demo --dropout"]
)
def test_a_fraction_that_is_no_number_is_wrong_usage(securefl, command):
    outcome = securefl(*command.split(), "nan")
    assert outcome.code == 2
    assert command.split()[-1] in outcome.err
    assert "no number" in outcome.err
