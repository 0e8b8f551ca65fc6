"""A finished experiment, made by hand: no training, names that try to break the page."""

import pytest

import securefl as sfl
from securefl.federated import History, RoundRecord
from securefl.report import ExperimentResult, Refusal

HOSTILE = "<script>alert(1)</script>"
STEPS = ("advertise", "share_keys", "masked_input", "consistency", "unmask")
NAMES = (HOSTILE, "a & b", "$x^2$", 'quote"', "Universitätsklinikum 医院 of a long name")


def record(number: int, *, secure: bool, accuracy: float) -> RoundRecord:
    return RoundRecord(
        round=number,
        survivors=NAMES[1:],
        dropped={HOSTILE: STEPS[number % 5]},
        weight_sum=40,
        train_metrics={},
        test_metrics={"accuracy": accuracy, "loss": 1 - accuracy},
        bytes_up=5_000,
        bytes_down=6_000 if secure else 0,
        bytes_by_step=dict.fromkeys(STEPS, (1000, 1200)) if secure else {},
        seconds_by_step=dict.fromkeys(STEPS, (0.01, 0.002)) if secure else {},
        train_seconds=0.1,
        seconds=0.2,
    )


@pytest.fixture
def result() -> ExperimentResult:
    plan = sfl.Plan(
        template={"w": ((10,), "float32")}, parties=5, protocol=sfl.SecAgg(server="active", max_colluders=1)
    )
    secure, plain = History(), History()
    for number in range(1, 7):
        secure.append(record(number, secure=True, accuracy=0.1 * number))
        plain.append(record(number, secure=False, accuracy=0.1 * number + 0.001))
    return ExperimentResult(
        plan=plan,
        parties=dict.fromkeys(NAMES, 10),
        secure=secure,
        plain=plain,
        secure_seconds=2.0,
        plain_seconds=1.0,
        refusals=(Refusal(round=2, message=f"a forged share [suspects: {HOSTILE}]"),),
        saturated=3,
    )
