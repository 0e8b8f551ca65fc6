"""What reports say of a plan under a Paillier key: who has it, what each step is called, and who does it."""

from __future__ import annotations

from securefl.plan import Plan
from securefl.plan.paillier import Paillier
from securefl.report.config import ExperimentConfig
from securefl.report.paillier_key import fresh_key
from securefl.types import KeyModel, Step

_STEP_NAMES = {
    "advertise": "advertise keys",
    "share_keys": "share keys",
    "masked_input": "masked input",
    "consistency": "consistency",
    "unmask": "unmask",
}
_STEP_NAMES_UNDER_A_KEY = {"masked_input": "encryption", "unmask": "decryption"}


def step_names(plan: Plan) -> dict[str, str]:
    """The steps that parties can leave at, and what reports call them."""
    return _STEP_NAMES_UNDER_A_KEY if isinstance(plan.protocol, Paillier) else _STEP_NAMES


def doers(plan: Plan, step: str) -> int:
    """How many share the work and the bytes of a step in one round: the parties, or the one who decrypts."""
    protocol = plan.protocol
    alone = isinstance(protocol, Paillier) and protocol.holder != KeyModel.THRESHOLD and step == Step.UNMASK
    return 1 if alone else plan.parameters.parties


def decrypts(plan: Plan) -> str:
    """Whose the bars of decryption are, as a sentence; empty for masks, or where all parties decrypt."""
    protocol = plan.protocol
    if not isinstance(protocol, Paillier):
        return ""
    return {
        KeyModel.SEPARATE: "Decryption is the key holder's alone, all else one party's.",
        KeyModel.CLIENTS: "Decryption is that of the one party that is asked, all else every party's.",
        KeyModel.THRESHOLD: "",
    }[_model(protocol)]


def who_holds(plan: Plan) -> str:
    """Who has the key, and could open what with it, as a sentence; empty for masks."""
    protocol = plan.protocol
    if not isinstance(protocol, Paillier):
        return ""
    together = plan.parameters.threshold
    return {
        KeyModel.SEPARATE: "A key holder, who is neither the server nor a party, decrypts the sums; together with the server it can "
        "open every vector.",
        KeyModel.CLIENTS: "Every party has the key: any one of them together with the server, or with the network, can open every "
        "vector.",
        KeyModel.THRESHOLD: f"The key was dealt to the parties: any {together} of them decrypt together; {together} who side with the "
        "server can open every vector, and so can the dealer.",
    }[_model(protocol)]


def hidden(plan: Plan) -> str:
    """From whom one party's updates are hidden, as the sentence with which a report begins."""
    chosen = plan.parameters
    server = "a server that breaks the protocol" if chosen.active else "a server that follows the protocol"
    helpers = f" together with {chosen.max_colluders} of them" if chosen.max_colluders else ""
    if holds := who_holds(plan):
        return f"Without the key no one but a party itself can see its updates, not even {server}{helpers}. {holds}"
    return f"No one but a party itself can see its updates, not even {server}{helpers}."


def key_note(plan: Plan, config: ExperimentConfig | None) -> str:
    """Where a rehearsal's key came from; empty for masks."""
    if not isinstance(plan.protocol, Paillier):
        return ""
    dealer = (
        "which was dealer and parties in one"
        if plan.protocol.holder == KeyModel.THRESHOLD
        else "with all that it opens"
    )
    made = "was made for this run and is forgotten" if fresh_key(config) else "was read from a file"
    return f"The Paillier key {made}; it was in this process, {dealer}."


def plan_rows(plan: Plan, protocol: Paillier) -> list[tuple[str, str]]:
    """What a report's plan says of the protocol, in place of graph and ring."""
    chosen, slots = plan.parameters, plan.slots
    together = f"{chosen.threshold} parties decrypt together; " if protocol.holder == KeyModel.THRESHOLD else ""
    rows = [
        ("protocol", f"packed Paillier encryption under a key of {protocol.public_key.bits} bits"),
        ("key", protocol.fingerprint),
        ("held by", who_holds(plan)),
        (
            "server",
            f"{chosen.server} "
            + (
                "(may deviate in any way: who decrypts adds signed ciphertexts itself)"
                if chosen.active
                else "(follows the protocol: who decrypts takes its word that a ciphertext is the sum)"
            ),
        ),
        ("randomness", f"{protocol.randomness}: {protocol.assumption}"),
        ("decryption", f"{together}{chosen.quorum} parties must stay to the end"),
    ]
    if slots is not None:
        rows.append(
            (
                "slots",
                (
                    f"{slots.slots} of {slots.slot_bits} bits in a ciphertext, {slots.plaintexts(plan.length)} ciphertexts and "
                    f"{plan.masked_bytes} bytes a party"
                ),
            )
        )
    return rows


def _model(protocol: Paillier) -> KeyModel:
    return KeyModel(protocol.holder or KeyModel.SEPARATE)
