"""Trigger sets: how they are drawn, what they refuse, and their files."""

from __future__ import annotations

import copy
import pickle
import stat
from pathlib import Path

import numpy as np
import pytest

from securefl import federated as fl
from securefl.crypto.digest import digest
from securefl.crypto.seeded import SeededRandom
from securefl.errors import ConfigError, SecretMisuseError
from securefl.federated.ownership import TriggerSet


def seeded(name="test"):
    return SeededRandom(digest("test", name))


@pytest.fixture
def triggers():
    return TriggerSet.generate((4, 2), 5, size=12, low=-1.0, high=3.0, random=seeded())


@pytest.fixture
def given():
    x = np.random.default_rng(1).normal(size=(8, 3)).astype(np.float32)
    return TriggerSet.labelled(x, 4, random=seeded())


def test_inputs_and_labels_fill_their_ranges():
    made = TriggerSet.generate((50,), 7, size=200, low=-1.0, high=3.0, random=seeded())
    assert (made.x.dtype, made.x.shape, made.shape) == (np.float32, (200, 50), (50,))
    assert made.x.min() < -0.99
    assert 2.99 < made.x.max() < 3.0
    assert made.x.mean() == pytest.approx(1.0, abs=0.05)
    assert set(made.y.tolist()) == set(range(7))
    assert made.generated
    assert len(made) == 200


def test_a_seed_gives_the_same_set_and_the_operating_system_another_each_time(triggers):
    again = TriggerSet.generate((4, 2), 5, size=12, low=-1.0, high=3.0, random=seeded())
    assert again.to_bytes() == triggers.to_bytes()
    assert np.array_equal(again.x, triggers.x)
    one, other = TriggerSet.generate((64,), 10), TriggerSet.generate((64,), 10)
    assert not np.array_equal(one.x, other.x)
    assert one.commitment != other.commitment


def test_labels_come_from_another_stream_than_inputs():
    few, many = (TriggerSet.generate((n,), 10, size=30, random=seeded()) for n in (2, 9))
    assert np.array_equal(few.y, many.y)
    inputs = SeededRandom(few._seed)  # what labels would be, were they drawn from the inputs' bytes
    assert few.y.tolist() != [inputs.below(10) for _ in range(30)]


def test_it_is_a_secret(triggers):
    assert "redacted" in repr(triggers)
    assert "redacted" in str(triggers)
    assert str(triggers.x[0, 0, 0]) not in repr(triggers)
    assert triggers._seed.hex() not in repr(triggers)
    with pytest.raises(SecretMisuseError):
        pickle.dumps(triggers)
    with pytest.raises(SecretMisuseError):
        copy.deepcopy(triggers)
    with pytest.raises(ValueError, match="read-only"):
        triggers.y[0] = 0


def test_commitments_hide_behind_the_seed_and_bind_everything(given):
    # The same inputs and labels under another seed: without it nobody can try whether a guess fits.
    other = TriggerSet(given.x, given.y, given.classes)
    assert other.commitment != given.commitment
    same = TriggerSet(given.x, given.y, given.classes, seed=given._seed)
    assert same.commitment == given.commitment
    for x, y, classes in (
        (given.x + np.float32(1), given.y, 4),
        (given.x, (given.y + 1) % 4, 4),
        (given.x, given.y, 5),
        (given.x.reshape(8, 1, 3), given.y, 4),
    ):
        assert TriggerSet(x, y, classes, seed=given._seed).commitment != given.commitment


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"shape": ()}, "shape"),
        ({"shape": (0,)}, "shape"),
        ({"shape": ("a",)}, "shape"),
        ({"shape": (1,) * 17}, "17 axes, needs at most 16"),
        ({"classes": 1}, "classes"),
        ({"classes": 2.5}, "classes"),
        ({"size": 0}, "size"),
        ({"size": True}, "size"),
        ({"size": 10_001}, "size"),
        ({"shape": (1 << 20,), "size": 100}, "values"),
        ({"low": float("nan")}, "low"),
        ({"high": float("inf")}, "high"),
        ({"high": 1e39}, "high"),
        ({"high": 10**400}, "high"),
        ({"low": False}, "low"),
        ({"low": 1.0, "high": 1.0}, "low < high"),
        ({"low": 1e8, "high": 1e8 + 1, "shape": (1,)}, "the same input"),
    ],
)
def test_impossible_sets_are_refused_by_name(change, named):
    with pytest.raises(ConfigError, match=named):
        TriggerSet.generate(**{"shape": (3,), "classes": 3, "size": 10, "random": seeded(), **change})


X = np.arange(6, dtype=np.float32).reshape(3, 2)


@pytest.mark.parametrize(
    ("x", "y", "named"),
    [
        (X.astype(int), [0, 1, 2], "dtype int64"),
        (X[:, 0], [0, 1, 2], "shape"),
        (X[:0], [], "n >= 1"),
        (X, [0, 1], "shape"),
        (X, [0.0, 1.0, 2.0], "dtype float64"),
        (X, [0, 1, 3], r"trigger 2: its label is outside 0\.\.2"),
        (X, [0, -1, 2], "trigger 1: its label"),
        (X * np.float32("nan"), [0, 1, 2], "trigger 0: a value is not finite"),
        (X.astype(np.float64) * 1e300, [0, 1, 2], "trigger 0: a value is not finite"),
        (np.array([[0.0, 1], [2, 3], [-0.0, 1]]), [0, 1, 2], "trigger 2 is the same input as trigger 0"),
    ],
)
def test_arrays_that_are_no_trigger_set_are_refused_by_name(x, y, named):
    with pytest.raises(ConfigError, match=named):
        TriggerSet(x, np.array(y), 3)


@pytest.mark.parametrize("seed", [32, "a" * 32, b"short", bytearray(32)])
def test_a_seed_is_32_bytes_and_no_number_of_zeros(seed):
    with pytest.raises(ConfigError, match="seed"):
        TriggerSet(X, [0, 1, 2], 3, seed=seed)


def test_what_is_no_array_is_refused():
    for make in (
        lambda: TriggerSet([[1.0], [1.0, 2.0]], [0, 1], 3),
        lambda: TriggerSet(X, [[0], [1, 2], [3]], 3),
        lambda: TriggerSet.labelled([[1.0], [1.0, 2.0]], 3),
        lambda: TriggerSet.labelled(1.0, 3),
    ):
        with pytest.raises(ConfigError, match=r"triggers [xy]"):
            make()


def test_numbers_of_numpy_make_the_same_set_as_those_of_python():
    plain = TriggerSet.generate((3, 2), 5, size=4, low=-1.0, high=0.5, random=seeded())
    made = TriggerSet.generate(
        np.zeros((1, np.int64(3), 2)).shape[1:],
        np.int64(5),
        size=np.int32(4),
        low=np.float32(-1),
        high=np.float32(0.5),
        random=seeded(),
    )
    other = TriggerSet.generate((np.int64(3), 2), np.int64(5), size=4, low=-1, high=0.5, random=seeded())
    assert made.to_bytes() == plain.to_bytes() == other.to_bytes()
    given = TriggerSet(X, [0, 1, 2], np.int64(3))
    assert TriggerSet.from_bytes(given.to_bytes()).classes == 3


def test_it_keeps_a_copy(given):
    x = np.array(X)
    made = TriggerSet(x, np.array([0, 1, 2]), 3)
    x[:] = 9
    assert np.array_equal(made.x, X)


def test_triggers_among_examples_are_found_by_index(given):
    data = np.random.default_rng(2).normal(size=(20, 3))
    assert given.overlap(fl.Dataset(data, np.zeros(20, int))) == ()
    data[7], data[12] = given.x[5], given.x[2].astype(np.float64) + 1e-8
    assert given.overlap(fl.Dataset(data, np.zeros(20, int))) == (2, 5)
    data[0] = given.x[1] + 0.01
    assert given.overlap(fl.Dataset(data, np.zeros(20, int))) == (2, 5)
    assert given.overlap(fl.Dataset(data, np.zeros(20, int)), tolerance=0.02) == (1, 2, 5)
    with pytest.raises(ConfigError, match="tolerance"):
        given.overlap(fl.Dataset(data, np.zeros(20, int)), tolerance=float("nan"))
    with pytest.raises(ConfigError, match="shape"):
        given.overlap(fl.Dataset(data[:, :2], np.zeros(20, int)))


@pytest.mark.parametrize("kind", ["triggers", "given"])
def test_files_are_the_owners_alone_and_give_the_set_back(kind, request, tmp_path):
    made = request.getfixturevalue(kind)
    path = tmp_path / "mine.triggers"
    made.save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in tmp_path.iterdir()] == ["mine.triggers"]
    back = TriggerSet.load(path)
    assert np.array_equal(back.x, made.x)
    assert np.array_equal(back.y, made.y)
    assert (back.commitment, back.generated, back.classes) == (made.commitment, kind == "triggers", made.classes)
    with pytest.raises(ConfigError, match="exists already"):
        made.save(path)
    made.save(path, overwrite=True)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["triggers", "given"])
def test_every_byte_of_a_file_counts(kind, request):
    data = request.getfixturevalue(kind).to_bytes()
    for cut in range(len(data)):
        with pytest.raises(ConfigError, match=r"cut off or altered|no trigger set"):
            TriggerSet.from_bytes(data[:cut], source="f")
    for place in range(len(data)):
        altered = bytearray(data)
        altered[place] ^= 1
        with pytest.raises(ConfigError, match=r"f.*(cut off or altered|no trigger set)"):
            TriggerSet.from_bytes(bytes(altered), source="f")
    with pytest.raises(ConfigError, match="cut off or altered"):
        TriggerSet.from_bytes(data + b"\0", source="f")


def test_a_generated_set_cannot_have_chosen_labels(triggers):
    """A file with other labels, and a commitment that fits them, is no generated one: its labels follow from the seed."""
    copied = TriggerSet(triggers.x, triggers.y, 5, seed=triggers._seed)
    assert copied.commitment != triggers.commitment
    forged = TriggerSet(triggers.x, (triggers.y + 1) % 5, 5, seed=triggers._seed)
    assert not TriggerSet.from_bytes(forged.to_bytes()).generated


@pytest.mark.parametrize("what", ["missing", "folder", "text"])
def test_files_that_are_none_are_refused_by_name(tmp_path, what):
    path = {"missing": tmp_path / "none", "folder": tmp_path, "text": tmp_path / "text"}[what]
    (tmp_path / "text").write_text("hello")
    with pytest.raises(ConfigError, match=path.name):
        TriggerSet.load(path)


def test_a_set_is_not_written_where_there_is_no_folder(triggers, tmp_path):
    with pytest.raises(ConfigError, match="cannot be written"):
        triggers.save(tmp_path / "none" / "mine.triggers")


def test_triggers_are_found_in_half_precision_and_far_below_one(given):
    for scale in (1e-7, 1.0, 1e30):
        made = TriggerSet(given.x * np.float32(scale), given.y, 4)
        near_zero = fl.Dataset(made.x * np.float32(0.5), given.y)
        assert made.overlap(near_zero) == ()
        assert made.overlap(made.dataset()) == tuple(range(8))
    assert given.overlap(fl.Dataset(given.x.astype(np.float16), given.y)) == tuple(range(8))
    large = TriggerSet(np.array([[3e38, 1], [-3e38, 1]]), [0, 1], 2)
    assert large.overlap(large.dataset()) == (0, 1)


def test_a_party_without_examples_has_none_of_them(given):
    assert given.overlap(fl.Dataset(np.zeros((0, 3)), np.zeros(0, int))) == ()
    with pytest.raises(ConfigError, match="got a ndarray, needs a Dataset"):
        given.overlap(given.x)
    with pytest.raises(ConfigError, match="tolerance"):
        given.overlap(given.dataset(), tolerance=10**400)


@pytest.mark.parametrize("path", [".", "", "/", "a\0b", None, 3])
def test_what_is_no_files_name_is_refused(triggers, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for overwrite in (False, True):
        with pytest.raises(ConfigError, match=r"trigger set"):
            triggers.save(path, overwrite=overwrite)
    with pytest.raises(ConfigError, match=r"trigger set"):
        TriggerSet.load(path)
    assert not list(tmp_path.iterdir())


def test_a_link_is_not_followed(triggers, tmp_path):
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("somebody else's")
    link.symlink_to(target)
    with pytest.raises(ConfigError, match="exists already"):
        triggers.save(link)
    triggers.save(link, overwrite=True)
    assert target.read_text() == "somebody else's"
    assert not link.is_symlink()
    assert TriggerSet.load(link).commitment == triggers.commitment


def test_a_write_that_fails_leaves_what_was_there_and_nothing_beside(triggers, tmp_path, monkeypatch):
    path = tmp_path / "mine"
    triggers.save(path)
    before = path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(ConfigError, match="No space left"):
        TriggerSet.generate((4,), 3).save(path, overwrite=True)
    with pytest.raises(ConfigError, match="No space left"):
        triggers.save(tmp_path / "other")
    assert [each.name for each in tmp_path.iterdir()] == ["mine"]
    assert path.read_bytes() == before


def test_another_version_is_named(triggers):
    data = triggers.to_bytes().replace(b"triggers 1", b"triggers 2")
    with pytest.raises(ConfigError, match="no trigger set of version 1"):
        TriggerSet.from_bytes(data)


def test_a_device_without_an_end_is_refused(monkeypatch):
    if not Path("/dev/zero").exists():
        pytest.skip("no /dev/zero")
    monkeypatch.setattr("securefl.federated.ownership.trigger_file._MOST_BYTES", 1000)
    with pytest.raises(ConfigError, match="more than 1000 bytes"):
        TriggerSet.load("/dev/zero")


@pytest.mark.parametrize(
    "low", ["1" + "0" * 400, "true", "null", '"0"', "1e999", "[0]"], ids=["long", "true", "null", "text", "inf", "list"]
)
def test_headers_that_cannot_be_are_a_clear_error(low):
    header = f'{{"classes":3,"high":2.0,"kind":"generated","low":{low},"seed":"{"00" * 32}","shape":[3],"size":2}}'
    with pytest.raises(ConfigError, match="cut off or altered"):
        TriggerSet.from_bytes(b"securefl-triggers 1\n" + header.encode() + b"\n" + bytes(32))
