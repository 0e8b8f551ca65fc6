"""The numbers of an experiment: totals by step and by round, and the JSON that other programs rely on."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

from securefl.federated import History
from securefl.pipeline.private import release_of
from securefl.report.adversarial import robust_dict
from securefl.report.environment import machine, versions
from securefl.report.experiment import ExperimentResult, PrivateRun
from securefl.report.key_words import doers, who_holds
from securefl.report.learning_words import accuracy_text
from securefl.report.limits import NO_PRIVACY
from securefl.report.measure import RETURN
from securefl.report.paillier_key import fresh_key
from securefl.session.disclosure import disclosures
from securefl.types import Step


def bytes_by_step(history: History) -> dict[str, tuple[int, int]]:
    """(up, down) in bytes by step, all rounds and parties together."""
    return {
        step: (
            sum(record.bytes_by_step[step][0] for record in history if step in record.bytes_by_step),
            sum(record.bytes_by_step[step][1] for record in history if step in record.bytes_by_step),
        )
        for step in _steps(history)
    }


def seconds_by_step(history: History) -> dict[str, tuple[float, float]]:
    """(all clients together, server) in seconds by step, all rounds together."""
    return {
        step: (
            sum(record.seconds_by_step[step][0] for record in history if step in record.seconds_by_step),
            sum(record.seconds_by_step[step][1] for record in history if step in record.seconds_by_step),
        )
        for step in _steps(history)
    }


def dropouts_by_step(history: History) -> dict[str, int]:
    """How many parties left at each step, all rounds together; steps at which nobody left are missing."""
    left = [step for record in history for step in record.dropped.values()]
    return {step.value: left.count(step.value) for step in Step if step.value in left}


def doing(result: ExperimentResult) -> dict[str, int]:
    """By step, how many share its work and its bytes in one round, in all groups together."""
    shared = {step.value: doers(result.plan, step) for step in Step}
    return {step: result.taking_part if count > 1 else count for step, count in shared.items()}


def bytes_up(history: History) -> int:
    """Bytes that all parties sent in all rounds."""
    return sum(record.bytes_up for record in history)


def bytes_up_of_a_party(result: ExperimentResult) -> float:
    """Bytes that a party sent who was in all rounds, on average; what a key holder or another who decrypts alone sent is not in it."""
    shared = {step for step in Step if doers(result.plan, step) > 1}
    return (
        sum(
            record.bytes_up - sum(up for step, (up, _) in record.bytes_by_step.items() if step not in shared)
            for record in result.secure
        )
        / result.taking_part
    )


def bytes_down(history: History) -> int:
    """Bytes that the server sent in all rounds."""
    return sum(record.bytes_down for record in history)


def train_seconds(history: History) -> float:
    """Local training in all rounds, all parties together."""
    return sum(record.train_seconds for record in history)


def to_dict(result: ExperimentResult) -> dict[str, Any]:
    """An experiment as JSON has it; `rounds` are those of the secure training."""
    secure, plain = result.secure, result.plain
    rounds = secure.to_dict()["rounds"]
    private = None if result.private is None else result.private.history
    acting = result.measure is RETURN
    here = {each.round: each for each in result.attendance}
    for number, record in enumerate(rounds, 1):
        record["accuracy"] = record["test_metrics"].get("accuracy")
        record["private_accuracy"] = _accuracy_of(private, number)
        record["plain_accuracy"] = _accuracy_of(plain, number)
        if number in here:
            record["sampled"] = list(here[number].sampled)
            record["partial_epochs"] = dict(here[number].partial)
            record["missed_deadline"] = list(here[number].missing)
    seconds = seconds_by_step(secure)
    return {
        "accuracy": _accuracy_of(secure),
        "secure_accuracy": _accuracy_of(secure),
        "plain_accuracy": _accuracy_of(plain),
        "difference_points": None if result.difference is None or acting else 100 * result.difference,
        "private_accuracy": _accuracy_of(private),
        "return": {
            arm: result.measure.last(each)
            for arm, each in (("secure", secure), ("plain", plain), ("private", private))
            if each is not None
        }
        if acting
        else None,
        "epsilon": _epsilon(result.private),
        "private": None if result.private is None else _private(result.private),
        "parties": dict(result.parties),
        "accuracy_is": accuracy_text(result),
        "balanced_accuracy": dict(result.balanced),
        "robust_accuracy": robust_dict(result.config, result.robust),
        "pretrained_accuracy": result.pretrained,
        "examples_by_class": [list(row) for row in result.counts],
        "traffic": None
        if result.traffic is None
        else {**dataclasses.asdict(result.traffic), "factor": result.traffic.factor},
        "resumed_after": result.resumed,
        "watermark": None if result.owned is None else result.owned.to_dict(),
        "bytes_up": bytes_up(secure),
        "bytes_down": bytes_down(secure),
        "bytes_by_step": {step: list(both) for step, both in bytes_by_step(secure).items()},
        "plain_bytes_up": None if plain is None else bytes_up(plain),
        "seconds": {
            "total": result.secure_seconds + result.plain_seconds + (result.private.seconds if result.private else 0.0),
            "private": None if result.private is None else result.private.seconds,
            "secure": result.secure_seconds,
            "plain": None if plain is None else result.plain_seconds,
            "training": train_seconds(secure),
            "clients": sum(clients for clients, _ in seconds.values()),
            "server": sum(server for _, server in seconds.values()),
            "by_step": {step: list(both) for step, both in seconds.items()},
        },
        "dropouts": {
            "by_step": dropouts_by_step(secure),
            "by_round": [dict(record.dropped) for record in secure],
        },
        "refusals": [{"round": refusal.round, "message": refusal.message} for refusal in result.refusals],
        "saturated_values": result.saturated,
        "simulated_policy": True,
        "key": _key(result),
        "disclosures": [{"what": row.what, "who": row.who} for row in disclosures(result.plan)],
        "plan": result.plan.to_dict(),
        "config": None if result.config is None else result.config.to_dict(),
        "versions": versions(),
        "machine": machine(),
        "rounds": rounds,
    }


def _accuracy_of(history: History | None, number: int = 0) -> float | None:
    """Test accuracy after a round, by default the last; None where that training had stopped, there was none, or it is a policy's."""
    if history is None or not len(history) or number > len(history):
        return None
    return history.records[number - 1].test_metrics.get("accuracy")


def _key(result: ExperimentResult) -> dict[str, Any] | None:
    """Who has the Paillier key and where it came from; None for masks."""
    facts = result.plan.to_dict()
    if "key_fingerprint" not in facts:
        return None
    return {
        "holder": facts["key_holder"],
        "fingerprint": facts["key_fingerprint"],
        "bits": facts["key_bits"],
        "fresh": fresh_key(result.config),
        "who_holds": who_holds(result.plan),
    }


def _epsilon(run: PrivateRun | None) -> dict[str, Any]:
    """Both epsilons; "infinite" as text, since JSON has no such number."""
    if run is None:
        return {"server": None, "observer": None, "note": NO_PRIVACY}
    spent, asked = run.spent, release_of(run.plan).mechanism
    return {
        "server": spent.server if math.isfinite(spent.server) else "infinite",
        "observer": spent.observer,
        "delta": spent.delta,
        "relation": str(asked.relation),
        "unit": str(asked.unit),
        "accountant": "rdp",
    }


def _private(run: PrivateRun) -> dict[str, Any]:
    return {
        "accuracy": _accuracy_of(run.history),
        "bytes_up": bytes_up(run.history),
        "bytes_down": bytes_down(run.history),
        "clipped_vectors": run.clipped,
        "epsilon_by_round": [record.epsilon for record in run.history],
        "ledger": run.ledger.name,
        "plan": run.plan.to_dict(),
        "disclosures": [{"what": row.what, "who": row.who} for row in disclosures(run.plan)],
        "refusals": [{"round": refusal.round, "message": refusal.message} for refusal in run.refusals],
        "rounds": run.history.to_dict()["rounds"],
    }


def _steps(history: History) -> list[str]:
    seen = {step for record in history for step in record.bytes_by_step}
    return [step.value for step in Step if step.value in seen]
