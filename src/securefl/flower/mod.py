"""`secure_mod`: put it first into a ClientApp's list of mods, and no update leaves the node in clear.

It reads everything about the node from the node's own config (see `node`), trains by the app's own function when the vector is
due, and answers with masked or encrypted bytes only. What it cannot protect it does not send: a train or evaluate message that is not
wrapped on the server's side gets an error for an answer.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from flwr.app import Context, Error, Message

from securefl.errors import ConfigError, SecureFLError
from securefl.flower.arrays import difference, to_numpy
from securefl.flower.holder import Holder
from securefl.flower.node import KEY, PARTY, Node
from securefl.flower.party import Party, Session
from securefl.flower.records import RECORD, WEIGHT, answer, asked
from securefl.policy import ClientPolicy
from securefl.types import KEY_HOLDER

_REFUSED: Final = 6
"""Flower's ErrorCode.MOD_FAILED_PRECONDITION."""

ClientFunction = Callable[[Message, Context], Message]


def secure_mod(message: Message, context: Context, call_next: ClientFunction) -> Message:
    """Answer the server's messages of secure aggregation; train when the vector is due.

    Args:
        message: from the SuperLink.
        context: of this node; its session rests there between exchanges, sealed.
        call_next: the app's own function, and the mods within.

    Returns:
        The answers as bytes, or an error that says which floor of this node's policy, or which rule, forbids more.
    """
    kind = message.metadata.message_type.partition(".")[0]
    if kind == "query":
        return call_next(message, context)
    try:
        questions = asked(message)
        if kind != "train" or questions is None:
            raise ConfigError(
                f"an unprotected {kind} message: this node's secure_mod answers nothing that would leave in clear",
                remedy="wrap the strategy in securefl.flower.SecureAggregation, and set fraction_evaluate=0.0",
            )
        node = Node.of(context)
        del message.content[RECORD]  # the app sees what it would see without us
        if node.key is not None:
            answers = Holder(node).answer(questions)
        else:
            policy = node.policy or ClientPolicy()
            answers = Party(node, context).answer(
                questions, lambda client: _train(client, policy, message, context, call_next)
            )
    except SecureFLError as refusal:
        return Message(Error(code=_REFUSED, reason=_reason(context, refusal)), reply_to=message)
    return Message(answer(node.party, answers), reply_to=message)


def _train(
    client: Session, policy: ClientPolicy, message: Message, context: Context, call_next: ClientFunction
) -> None:
    """Train by the app's own function, and hand the change of the model to the session."""
    if len(message.content.array_records) != 1:
        raise ConfigError(
            f"a train message with {len(message.content.array_records)} models", remedy="wrap a strategy that sends one"
        )
    before = to_numpy(next(iter(message.content.array_records.values())))
    policy.check_model(before)  # before the app sees it: what it trains on may be made to carry its data out
    reply = call_next(message, context)
    if reply.has_error():
        raise ConfigError(f"training failed: {reply.error.reason}", remedy="see this node's log")
    trained = reply.content.array_records
    if len(trained) != 1:
        raise ConfigError(f"training returned {len(trained)} models", remedy="return one ArrayRecord")
    told = {key: value for record in reply.content.metric_records.values() for key, value in record.items()}
    after = to_numpy(next(iter(trained.values())))
    plan = client.plan
    if plan is None:
        raise ConfigError("a vector is due before any plan", remedy="ignore this server")
    client.submit(
        difference(after, before),
        weight=_weight(told) if plan.max_weight > 1 else 1,
        metrics={name: _number(told[name]) for name in plan.metrics if name in told},
        model=before,
    )


def _weight(told: Mapping[str, object]) -> int:
    """The vector's weight; what is no whole number is not made one in silence."""
    weight = told.get(WEIGHT)
    if isinstance(weight, int | float) and float(weight).is_integer():
        return int(weight)
    # Not its value: how many examples a node has is its secret.
    raise ConfigError(
        f"training returned no {WEIGHT} that is a whole number, and the plan weighs vectors by it",
        remedy=f"return {WEIGHT} as a whole number among the metrics, or plan with max_weight=1",
    )


def _number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else float("nan")


def _reason(context: Context, refusal: SecureFLError) -> str:
    config = context.node_config
    party = KEY_HOLDER if KEY in config else config.get(PARTY, config.get("partition-id", "?"))
    return f"{party}: {type(refusal).__name__}: {refusal}"
