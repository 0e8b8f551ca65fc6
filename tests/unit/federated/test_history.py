from __future__ import annotations

import json

import msgspec
import pytest

from securefl.errors import ConfigError
from securefl.federated import History, RoundRecord
from securefl.federated.history import size_text


def record(number, accuracy=0.5, **changes):
    return RoundRecord(
        **{
            "round": number,
            "survivors": ("a", "b"),
            "dropped": {"c": "share_keys"},
            "weight_sum": 30,
            "train_metrics": {"loss": 1.5, "accuracy": 0.25},
            "test_metrics": {"loss": 1.25, "accuracy": accuracy},
            "bytes_up": 1234,
            "bytes_down": 99,
            "bytes_by_step": {"unmask": (10, 20)},
            "seconds_by_step": {"unmask": (0.5, 1.0)},
            "train_seconds": 1.0,
            "seconds": 2.0,
            **changes,
        }
    )


@pytest.fixture
def history():
    return History([record(1, 0.5), record(2, 0.75)])


def test_a_history_survives_json(history):
    data = history.to_dict()
    assert json.loads(json.dumps(data)) == data
    assert History.from_dict(data) == history


def test_curves_and_accuracy_are_those_of_the_records(history):
    assert len(history) == 2
    assert [r.round for r in history] == [1, 2]
    assert history.accuracy == 0.75
    assert history.curve("accuracy") == [0.5, 0.75]
    assert history.curve("loss", train=True) == [1.5, 1.5]


def test_text_shows_every_round(history):
    assert repr(history) == "<History: rounds=2, loss=1.2500, accuracy=0.7500>"
    assert repr(History()) == "<History: rounds=0>"
    header, first, second = str(history).splitlines()
    assert header.split()[:2] == ["round", "accuracy"]
    assert first.split() == ["1", "0.5000", "1.2500", "2", "1", "1.2", "kB", "99", "B", "2.00"]
    assert second.split()[1] == "0.7500"


def test_a_round_without_a_test_set_shows_dashes():
    assert str(History([record(1, test_metrics={})])).splitlines()[1].split()[:3] == ["1", "-", "-"]


def test_records_come_in_order(history):
    with pytest.raises(ConfigError, match="got round 4, needs round 3"):
        history.append(record(4))
    history.append(record(3))
    assert len(history) == 3


def test_metrics_that_do_not_exist_are_named():
    with pytest.raises(ConfigError, match="no round has finished"):
        _ = History().accuracy
    with pytest.raises(ConfigError, match="pass test= to Federation"):
        _ = History([record(1, test_metrics={})]).accuracy
    with pytest.raises(ConfigError, match="got 'auc', round 1 has loss, accuracy"):
        History([record(1)]).curve("auc")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data.pop("rounds"),
        lambda data: data.update(extra=1),
        lambda data: data["rounds"][0].pop("round"),
        lambda data: data["rounds"][0].update(extra=1),
        lambda data: data["rounds"][0].update(bytes_up="many"),
        lambda data: data["rounds"].reverse(),
    ],
)
def test_a_damaged_file_is_refused(history, damage):
    data = history.to_dict()
    damage(data)
    with pytest.raises(ConfigError, match="history"):
        History.from_dict(data)


def test_records_are_frozen():
    with pytest.raises(AttributeError):
        record(1).round = 2
    assert msgspec.structs.replace(record(1), round=2).round == 2


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (10**13, "10000.0 GB")]
)
def test_sizes_are_decimal(count, text):
    assert size_text(count) == text
