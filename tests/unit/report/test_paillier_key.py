"""Experiments under a Paillier key: the plan that a configuration means, and the mistakes that it refuses."""

import copy

import pytest

from securefl.errors import ConfigError, SecretMisuseError
from securefl.report import Experiment, ExperimentConfig
from securefl.report.key_files import fingerprint_of, public_text
from securefl.report.key_words import decrypts, doers, hidden, key_note, step_names, who_holds
from unit.report.keys import ordinary, safe

TABLES = """
[data]
parties = {parties}
[training]
rounds = 1
epochs = 1
[faults]
dropout = 0.2
[plan]
server = "{server}"
{plan}
[paillier]
{paillier}
"""


def config(paillier: str, *, server: str = "semi-honest", plan: str = "", parties: int = 5) -> ExperimentConfig:
    text = TABLES.format(parties=parties, server=server, plan=plan, paillier=paillier)
    return ExperimentConfig.from_toml(text, source="my.toml")


@pytest.fixture
def files(tmp_path):
    """Private keys, sealed, beside their password and the public key."""
    (tmp_path / "pw").write_text("secret\n")
    for name, key in (("ordinary", ordinary()), ("safe", safe())):
        (tmp_path / f"{name}.paillier").write_bytes(key.to_bytes("secret"))
        (tmp_path / f"{name}.pub").write_text(public_text(key.public_key))
    return tmp_path


def named(files, name: str, holder: str, more: str = "") -> str:
    return f'holder = "{holder}"\nkey = "{files / name}.paillier"\nkey_password_file = "{files / "pw"}"\n{more}'


@pytest.mark.parametrize(
    ("holder", "name", "server", "more"),
    [
        ("separate", "ordinary", "semi-honest", "randomness = 'standard'"),
        ("separate", "ordinary", "active", "audited = true"),
        ("clients", "ordinary", "semi-honest", ""),
        ("threshold", "safe", "semi-honest", "threshold = 4"),
        ("threshold", "safe", "active", "audited = true"),
    ],
)
def test_the_plan_is_under_the_key_and_the_holder_of_the_file(files, holder, name, server, more):
    wanted = config(named(files, name, holder, more), server=server)
    plan = Experiment.prepare(wanted).plan
    facts = plan.to_dict()
    assert (facts["key_holder"], facts["audited"], facts["server"]) == (holder, "audited" in more, server)
    assert facts["randomness"] == ("standard" if "standard" in more else "djn")
    if holder == "threshold":
        assert facts["threshold"] == (4 if "4" in more else 3)
    else:
        assert facts["key_fingerprint"] == ordinary().public_key.fingerprint
    assert who_holds(plan) in hidden(plan)
    assert "read from a file" in key_note(plan, wanted)


def test_without_a_file_each_experiment_has_a_key_of_its_own():
    wanted = config('holder = "separate"')
    one, two = (Experiment.prepare(wanted) for _ in range(2))
    assert one.plan.to_dict()["key_bits"] == 3072
    assert fingerprint_of(one.key.public) != fingerprint_of(two.key.public)
    assert "was made for this run and is forgotten" in key_note(one.plan, wanted)


def test_the_search_for_safe_primes_is_told(monkeypatch):
    from securefl.paillier import threshold

    told = []

    def found(bits, progress):
        progress(0, 64)
        assert bits == 3072
        return safe()

    monkeypatch.setattr(threshold, "safe_private_key", found)
    Experiment.prepare(config('holder = "threshold"'), lambda *counts: told.append(counts))
    assert told == [(0, 64)]


def test_with_a_public_key_there_is_a_plan_and_no_training(files):
    experiment = Experiment.prepare(config(f'holder = "separate"\nkey = "{files / "ordinary.pub"}"'))
    assert experiment.plan.to_dict()["key_fingerprint"] == ordinary().public_key.fingerprint
    with pytest.raises(ConfigError, match=r"my.toml: paillier.key is public"):
        experiment.run()


def test_an_experiment_shows_and_copies_no_key(files):
    experiment = Experiment.prepare(config(named(files, "ordinary", "separate")))
    assert "redacted" in repr(experiment.key)
    assert not any(str(prime) in repr(experiment) for prime in ordinary().primes)
    with pytest.raises(SecretMisuseError):
        copy.deepcopy(experiment.key)


@pytest.mark.parametrize(
    ("paillier", "options", "message"),
    [
        ("bits = 2048", {}, "paillier.bits is set, and paillier.holder is 'none'"),
        ("audited = true", {}, "paillier.audited is set, and paillier.holder is 'none'"),
        ("key = 'x'", {}, "paillier.key is set, and paillier.holder is 'none'"),
        ('holder = "separate"\nthreshold = 3', {}, "paillier.threshold is 3"),
        ('holder = "separate"', {"server": "active"}, "plan.server is 'active'"),
        ('holder = "separate"', {"plan": "threshold = 4"}, "plan.threshold is 4"),
        ('holder = "clients"\nkey = "none.paillier"', {}, "[paillier] the Paillier key none.paillier cannot be read"),
        ('holder = "separate"\nbits = 2050', {}, "paillier.bits is 2050"),
        ('holder = "sepparate"', {}, "paillier.holder is 'sepparate'"),
        ('holder = "separate"\nkey_pasword_file = "x"', {}, "unknown key paillier.key_pasword_file"),
    ],
)
def test_a_mistake_names_file_table_and_remedy(paillier, options, message):
    with pytest.raises(ConfigError) as caught:
        Experiment.prepare(config(paillier, **options))
    assert caught.value.message.startswith("my.toml: ")
    assert message in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("name", "holder", "more", "message"),
    [
        ("ordinary", "threshold", "", "[paillier] the primes of this key are not safe primes"),
        ("safe", "threshold", "threshold = 6", "[paillier] a threshold of 6 among 5 parties"),
        ("safe", "threshold", "threshold = 5", "[plan] with 20% dropouts too few of 5 parties stay"),
    ],
)
def test_a_key_that_does_not_go_with_the_holder_names_the_table(files, name, holder, more, message):
    with pytest.raises(ConfigError) as caught:
        Experiment.prepare(config(named(files, name, holder, more)))
    assert caught.value.message.startswith(f"my.toml: {message}")


def test_an_audited_dealing_with_too_low_a_threshold_names_the_table(files):
    low = named(files, "safe", "threshold", "audited = true\nthreshold = 2")
    with pytest.raises(ConfigError, match=r"my.toml: \[paillier\] two groups of share-holders"):
        Experiment.prepare(config(low, server="active", plan="max_colluders = 0"))


def test_a_missing_password_file_is_asked_for(files):
    with pytest.raises(ConfigError, match="key_password_file is not set"):
        Experiment.prepare(config(f'holder = "separate"\nkey = "{files / "ordinary.paillier"}"'))
    (files / "pw").write_text("wrong")
    with pytest.raises(ConfigError, match=r"my.toml: \[paillier\] .*wrong password"):
        Experiment.prepare(config(named(files, "ordinary", "separate")))


def test_decryption_is_one_holders_work_unless_all_decrypt(files):
    plans = {
        holder: Experiment.prepare(config(named(files, name, holder))).plan
        for holder, name in (("separate", "ordinary"), ("clients", "ordinary"), ("threshold", "safe"))
    }
    assert {holder: doers(plan, "unmask") for holder, plan in plans.items()} == {
        "separate": 1,
        "clients": 1,
        "threshold": 5,
    }
    assert {doers(plan, "masked_input") for plan in plans.values()} == {5}
    assert [bool(decrypts(plan)) for plan in plans.values()] == [True, True, False]
    for plan in plans.values():
        assert set(step_names(plan)) == {step.value for step in plan.steps}
    assert len({who_holds(plan) for plan in plans.values()}) == 3


def test_under_masks_no_key_is_spoken_of(result):
    assert "key" not in hidden(result.plan)
    assert (who_holds(result.plan), key_note(result.plan, None), decrypts(result.plan)) == ("", "", "")
    assert set(step_names(result.plan)) == {step.value for step in result.plan.steps}
