"""The ledger: charges that outlive everything, budgets that hold, and files that were changed."""

import dataclasses
import datetime as dt
import json
import threading

import pytest

from securefl.crypto.digest import digest
from securefl.dp.accounting import (
    Composed,
    DistributedSkellam,
    GaussianRelease,
    PoissonSampled,
    Relation,
    Repeated,
    Unit,
    calibrate_noise_multiplier,
    epsilons,
    rdp_epsilon,
)
from securefl.dp.ledger import Budget, Charge, Entry, Head, PrivacyBudgetError, PrivacyLedger, verify_file
from securefl.errors import ConfigError, CryptoError, LocalProtocolError, SecureFLError, UnsafePlanError

BUDGET = Budget(epsilon=8.0, delta=1e-6)
GAUSSIAN = GaussianRelease(5.0)
SKELLAM = DistributedSkellam(100.0, 1000.0, 1e5, 10, 2)


def charge(ctx=0, owner="a", *, party=None, attempt=b"\x01", event=GAUSSIAN, **more):
    given = {"relation": Relation.ZERO_OUT, "unit": Unit.PARTY, "session": bytes(16), "plan": bytes(32), **more}
    return Charge(owner=owner, party=party or owner, ctx=ctx.to_bytes(32, "big"), attempt=attempt, event=event, **given)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ledger.jsonl"


@pytest.fixture
def ledger(path):
    return PrivacyLedger(path, BUDGET)


def fill(ledger, owner="a", **more):
    """Charge until the budget is spent; the number of charges."""
    for number in range(1000):
        try:
            ledger.charge(charge(number, owner, **more))
        except PrivacyBudgetError:
            return number
    raise AssertionError("the budget never ended")


def reference(count, event=GAUSSIAN, draws=0):
    return rdp_epsilon(Repeated(event, count), BUDGET.delta, Relation.ZERO_OUT, draws=draws)


# Budgets


def test_charges_add_up_as_the_accountant_says_and_end_before_the_budget(ledger):
    count = fill(ledger)
    assert count > 10
    assert ledger.spent("a") <= 8.0 < reference(count + 1)
    assert ledger.spent("a") == pytest.approx(reference(count), rel=1e-9)
    assert ledger.head.number == count
    assert 0.0 < ledger.remaining("a") <= 8.0 - ledger.spent("a")


@pytest.mark.parametrize(("event", "draws"), [(GaussianRelease(5.0), 0), (SKELLAM, 1000), (SKELLAM, 10**12)])
def test_rounds_charged_one_by_one_never_cost_more_than_the_same_rounds_planned_at_once(path, event, draws):
    """A plan whose budget is exactly what its rounds cost can be carried out to its last round."""
    at = {"floor": 10, "colluders": 2} if event is SKELLAM else {}
    for rounds in (1, 2, 3, 7, 30, 100):
        planned = rdp_epsilon(Repeated(event, rounds), 1e-6, Relation.ZERO_OUT, draws=draws * rounds)
        ledger = PrivacyLedger(path.with_name(str(rounds)), Budget(planned, 1e-6))
        for number in range(rounds):
            ledger.charge(charge(number, event=event, draws=draws, **at))
        assert ledger.spent() == pytest.approx(planned, rel=1e-9)
        with pytest.raises(PrivacyBudgetError):
            ledger.charge(charge(rounds, event=event, draws=draws, **at))


def test_a_calibrated_plan_fits_its_budget(path):
    found = calibrate_noise_multiplier(epsilon=8.0, delta=1e-6, rounds=30, relation=Relation.ZERO_OUT)
    noise = getattr(found, "noise", found)
    assert fill(PrivacyLedger(path, BUDGET), event=GaussianRelease(noise)) == 30


def test_a_refusal_says_who_had_how_much_and_writes_nothing(ledger, path):
    fill(ledger)
    before = path.read_bytes()
    with pytest.raises(
        PrivacyBudgetError, match=r"budget of 'a', epsilon 8 at delta 1e-06.*Remedy: stop here"
    ) as caught:
        ledger.charge(charge(9999))
    error = caught.value
    assert (error.owner, error.budget, error.spent) == ("a", 8.0, ledger.spent("a"))
    assert error.spent <= 8.0 < error.needed
    assert path.read_bytes() == before


def test_a_budget_is_compared_without_tolerance(path):
    one = reference(1)
    PrivacyLedger(path, Budget(one, 1e-6)).charge(charge())
    with pytest.raises(PrivacyBudgetError):
        PrivacyLedger(path.with_name("b"), Budget(one * (1 - 1e-9), 1e-6)).charge(charge())


def test_an_event_without_privacy_is_never_charged(ledger):
    with pytest.raises(PrivacyBudgetError, match="infinite"):
        ledger.charge(charge(event=GaussianRelease(1e-160)))
    assert ledger.head == Head()


def test_owners_have_a_budget_each_across_parties_sessions_and_plans(ledger):
    count = fill(ledger)
    ledger.charge(charge(0, "b"))
    elsewhere = {"session": b"\x02" * 16, "plan": b"\x03" * 32}
    with pytest.raises(PrivacyBudgetError, match="'a'"):
        ledger.charge(charge(9999, "a", party="another-of-a", **elsewhere))
    assert ledger.spent("b") == pytest.approx(reference(1))
    assert ledger.spent() == ledger.spent("a") == pytest.approx(reference(count))
    assert ledger.remaining() == ledger.remaining("a")
    assert ledger.spent("nobody") == 0.0


def test_spellings_of_a_name_share_one_account(ledger):
    count = fill(ledger, "Hôpital")
    for owner in ("hôpital", "HO\u0302PITAL"):
        assert ledger.spent(owner) == pytest.approx(reference(count))
        with pytest.raises(PrivacyBudgetError):
            ledger.charge(charge(9999, owner))


def test_different_events_compose_and_what_was_shown_never_gets_less(ledger):
    """Integer orders reach beyond the defaults: the bound for what was there may be lower at them."""
    shown = []
    faint = DistributedSkellam(1.0, 1.0, 1e12, 10)
    for number in range(4):
        ledger.charge(charge(number, event=GaussianRelease(40.0)))
        shown.append(ledger.spent())
    ledger.charge(charge(4, event=faint, floor=10))
    shown.append(ledger.spent())
    together = Composed((Repeated(GaussianRelease(40.0), 4), faint))
    assert shown[-1] >= rdp_epsilon(together, 1e-6, Relation.ZERO_OUT) * (1 - 1e-9)
    assert shown == sorted(shown)
    assert shown[-1] == shown[-2] > rdp_epsilon(together, 1e-6, Relation.ZERO_OUT)
    assert PrivacyLedger(ledger.path, BUDGET).spent() == shown[-1]


def test_one_order_fixed_beforehand_makes_a_filter(path):
    ledger = PrivacyLedger(path, Budget(8.0, 1e-6, order=8.0))
    fill(ledger)
    ledger.charge(charge(0, "b", event=SKELLAM, floor=10, colluders=2))
    entries = ledger.entries
    assert entries[0].budget.order == "8.0"
    account = Repeated(GaussianRelease(5.0), ledger.head.number - 1)
    assert ledger.spent("a") == pytest.approx(rdp_epsilon(account, 1e-6, Relation.ZERO_OUT, orders=[8.0]), rel=1e-9)
    broken = PrivacyLedger(path.with_name("b"), Budget(8.0, 1e-6, order=2.5))
    with pytest.raises(UnsafePlanError, match="does not hold at the order"):
        broken.charge(charge(event=SKELLAM, floor=10, colluders=2))
    assert broken.head == Head()


def test_the_tighter_accountant_is_told_and_buys_nothing(ledger):
    count = fill(ledger)
    told = ledger.epsilons("a")
    assert told == epsilons(Repeated(GaussianRelease(5.0), count), 1e-6, Relation.ZERO_OUT)
    assert told["pld"] < ledger.spent("a")
    assert ledger.epsilons("b") == {"rdp": 0.0, "pld": 0.0}


@pytest.mark.parametrize(
    "numbers", [(0.0, 1e-6), (-1.0, 1e-6), (float("nan"), 1e-6), (float("inf"), 1e-6), (1.0, 0.0), (1.0, 1.0)]
)
def test_an_impossible_budget_is_refused(numbers):
    with pytest.raises(UnsafePlanError):
        Budget(*numbers)
    with pytest.raises(UnsafePlanError):
        Budget(1.0, 1e-6, order=1.0)


# Attempts


def test_the_same_attempt_is_charged_once_and_a_retry_again(ledger):
    first = ledger.charge(charge())
    assert ledger.charge(charge()) == first == ledger.head
    assert ledger.charged("a", bytes(32), b"\x01") == first
    assert ledger.charged("a", bytes(32), b"\x02") is None
    spent = ledger.spent()
    second = ledger.charge(charge(attempt=b"\x02"))
    assert second.number == 2
    assert ledger.spent() > spent
    again = PrivacyLedger(ledger.path, BUDGET)
    assert again.charge(charge()) == first
    assert again.head == second


def test_an_attempt_entered_before_is_recognised_when_the_budget_is_spent(ledger):
    fill(ledger)
    assert ledger.charge(charge(0)).number == 1


@pytest.mark.parametrize(
    "other",
    [
        {"owner": "b", "party": "a"},
        {"event": GaussianRelease(6.0)},
        {"plan": b"\x01" * 32},
        {"session": b"\x01" * 16},
        {"draws": 1},
    ],
)
def test_an_attempt_cannot_be_charged_for_something_else(ledger, other):
    ledger.charge(charge())
    with pytest.raises(LocalProtocolError, match="something else before"):
        ledger.charge(charge(**{"owner": "a", **other}))
    with pytest.raises(LocalProtocolError, match="something else before"):
        ledger.charge_all([charge(1), charge(1, **{"owner": "a", **other})])
    assert ledger.head.number == 1


def test_a_round_is_charged_whole_or_not_at_all(ledger):
    fill(ledger, "b")
    before = ledger.head
    given = [charge(9999, owner) for owner in ("a", "b", "c")]
    with pytest.raises(PrivacyBudgetError, match="'b'"):
        ledger.charge_all(given)
    with pytest.raises(PrivacyBudgetError, match="'b'"):
        ledger.check(*given)
    assert ledger.head == before
    ledger.check(given[0], given[2])
    assert ledger.head == before
    heads = ledger.charge_all([given[0], given[2], given[0]])
    assert [head.number - before.number for head in heads] == [1, 2, 1]
    assert ledger.charge_all([given[0], charge(10000, "c"), given[2]])[1].number == before.number + 3
    assert ledger.charge_all([]) == ()


def test_one_owner_with_many_parties_is_held_to_one_budget_within_a_round(path):
    ledger = PrivacyLedger(path, Budget(reference(2), 1e-6))
    parties = [charge(party=f"p{i}") for i in range(3)]
    with pytest.raises(PrivacyBudgetError):
        ledger.charge_all(parties)
    assert len(ledger.charge_all(parties[:2])) == 2


def test_different_relations_and_units_are_not_composed(ledger):
    ledger.charge(charge())
    for other in ({"relation": Relation.ADD_REMOVE}, {"unit": Unit.EXAMPLE}):
        with pytest.raises(ConfigError, match=r"accounts per party under zero-out.*cannot be composed"):
            ledger.charge(charge(1, "b", **other))
        with pytest.raises(ConfigError, match="cannot be composed"):
            PrivacyLedger(ledger.path.with_name("b"), BUDGET).charge_all([charge(), charge(1, "b", **other)])
    assert ledger.head.number == 1


def test_a_relation_that_does_not_fit_the_event_is_refused(ledger):
    with pytest.raises(UnsafePlanError, match="zero-out only"):
        ledger.charge(charge(event=SKELLAM, floor=10, colluders=2, relation=Relation.ADD_REMOVE))
    assert ledger.head == Head()


@pytest.mark.parametrize(
    "wrong",
    [
        {"owner": ""},
        {"owner": " a"},
        {"party": "a\n"},
        {"owner": "\ud800"},
        {"owner": "x" * 201},
        {"session": bytes(15)},
        {"ctx": "0" * 32},
        {"attempt": b""},
        {"attempt": bytes(33)},
        {"plan": bytes(31)},
        {"floor": -1},
        {"draws": 1.5},
        {"draws": True},
        {"relation": "zero-out"},
        {"event": SKELLAM},
        {"event": SKELLAM, "floor": 10},
        {"event": PoissonSampled(GaussianRelease(1.0), 0.1)},
    ],
)
def test_a_charge_that_cannot_be_or_contradicts_its_event_is_refused(wrong):
    with pytest.raises(LocalProtocolError, match="no charge can have"):
        dataclasses.replace(charge(), **wrong)


def test_a_sampled_event_names_its_sampler(ledger):
    ledger.charge(charge(event=PoissonSampled(GaussianRelease(1.0), 0.1), sampler="poisson"))
    assert ledger.entries[0].charge.sampler == "poisson"


# Files


def test_an_entry_says_everything_and_is_frozen(path):
    ledger = PrivacyLedger(path, BUDGET, clock=lambda: dt.datetime(2026, 1, 2, 3, 4, 5, tzinfo=dt.UTC))
    ledger.charge(charge(7, "Ana", party="p", event=SKELLAM, floor=10, colluders=2, draws=512))
    assert path.stat().st_mode & 0o777 == 0o600
    line = json.loads(path.read_bytes())
    assert line["entry"] == {
        "version": 1,
        "number": 1,
        "previous": "0" * 64,
        "time": "2026-01-02T03:04:05Z",
        "budget": {"epsilon": "8.0", "delta": "1e-06", "order": None},
        "charge": {
            "owner": "Ana",
            "party": "p",
            "session": "0" * 32,
            "ctx": "0" * 63 + "7",
            "attempt": "01",
            "plan": "0" * 64,
            "event": {
                "kind": "distributed-skellam",
                "d2": "100.0",
                "d1": "1000.0",
                "local_sigma2": "100000.0",
                "survivors": 10,
                "colluders": 2,
                "threshold": None,
            },
            "relation": "zero-out",
            "unit": "party",
            "sampler": "none",
            "floor": 10,
            "colluders": 2,
            "draws": 512,
        },
    }
    canonical = json.dumps(line["entry"], separators=(",", ":"), ensure_ascii=False).encode()
    assert line["digest"] == digest("ledger entry", canonical).hex() == ledger.head.digest.hex()
    (entry,) = ledger.entries
    assert entry.charge.released == SKELLAM


def test_a_reopened_ledger_goes_on_where_it_was(ledger, path):
    for number in range(5):
        ledger.charge(charge(number))
    again = PrivacyLedger(path, BUDGET, head=ledger.head)
    assert (again.head, again.spent()) == (ledger.head, ledger.spent())
    again.charge(charge(5))
    assert ledger.charge(charge(6)).number == 7
    assert again.spent() == ledger.spent() == pytest.approx(reference(7))


def test_a_budget_below_what_is_spent_is_refused_by_name(ledger, path):
    ledger.charge_all([charge(0, "a"), charge(0, "b"), charge(1, "b")])
    with pytest.raises(PrivacyBudgetError, match=r"budget, epsilon 1 at .*, is below what 'b' has spent already"):
        PrivacyLedger(path, Budget(1.0, 1e-6))
    with pytest.raises(PrivacyBudgetError, match="'b'"):
        PrivacyLedger(path, Budget(ledger.spent() * (1 - 1e-9), 1e-6))
    with pytest.raises(PrivacyBudgetError, match="'b'"):
        PrivacyLedger(path, Budget(ledger.spent(), 1e-9))
    assert PrivacyLedger(path, Budget(ledger.spent(), 1e-6)).remaining() == 0.0


def test_a_handle_with_a_smaller_budget_stops_at_its_own(ledger, path):
    small = PrivacyLedger(path, Budget(reference(3), 1e-6))
    for number in range(5):
        ledger.charge(charge(number))
    with pytest.raises(PrivacyBudgetError):
        small.charge(charge(5))
    assert [entry.budget.epsilon for entry in ledger.entries] == ["8.0"] * 5


def edited(path, number, change):
    lines = path.read_bytes().splitlines(keepends=True)
    lines[number - 1 : number] = change(lines[number - 1])
    path.write_bytes(b"".join(lines))


def rewritten(line, change):
    """A line with an entry changed by somebody who knows how digests are made."""
    entry = json.loads(line)["entry"]
    change(entry)
    canonical = json.dumps(entry, separators=(",", ":")).encode()
    return b'{"entry":%s,"digest":"%s"}\n' % (canonical, digest("ledger entry", canonical).hex().encode())


def set_draws(entry):
    entry["charge"]["draws"] = 7


@pytest.mark.parametrize(
    ("number", "change", "line", "said"),
    [
        (2, lambda line: [line.replace(b'"5.0"', b'"9.0"')], 2, "was altered: its digest is another"),
        (4, lambda line: [line.replace(b'"owner":"a"', b'"owner":"b"')], 4, "was altered"),
        (2, lambda line: [], 2, "entry 2 is missing or out of order: number 3"),
        (1, lambda line: [], 1, "entry 1 is missing"),
        (2, lambda line: [line, line], 3, "number 2 stands in its place"),
        (2, lambda line: [rewritten(line, set_draws)], 3, "entry 3 continues another chain"),
        (2, lambda line: [line.replace(b'":', b'": ', 1)], 2, "not in the form"),
        (2, lambda line: [line.replace(b'{"entry"', b'{"x":1,"entry"')], 2, "no entry of a privacy ledger"),
        (2, lambda line: [b"\x00" * len(line[:-1]) + b"\n"], 2, "no entry"),
        (2, lambda line: [rewritten(line, lambda entry: entry.update(version=2))], 2, "no entry"),
        (
            2,
            lambda line: [rewritten(line, lambda entry: entry["budget"].update(epsilon="-1.0"))],
            2,
            "impossible budget",
        ),
        (2, lambda line: [rewritten(line, lambda entry: entry["charge"]["event"].update(kind="x"))], 2, "unknown kind"),
        (4, lambda line: [rewritten(line, lambda entry: entry["charge"].update(ctx="0" * 64))], 4, "charged before"),
        (4, lambda line: [rewritten(line, lambda entry: entry["charge"].update(unit="user"))], 4, "cannot be composed"),
    ],
)
def test_an_edited_ledger_is_refused_naming_the_line(ledger, path, number, change, line, said):
    for ctx in range(4):
        ledger.charge(charge(ctx))
    edited(path, number, change)
    with pytest.raises(ConfigError, match=rf"line {line} of the privacy ledger .*{said}"):
        PrivacyLedger(path, BUDGET)
    with pytest.raises(CryptoError, match=rf"line {line}: .*{said}"):
        verify_file(path)


def test_a_shorter_or_another_chain_than_the_anchor_is_refused(ledger, path):
    for ctx in range(4):
        ledger.charge(charge(ctx))
    head = ledger.head
    whole = path.read_bytes()
    for kept in range(4):
        path.write_bytes(b"".join(whole.splitlines(keepends=True)[:kept]))
        with pytest.raises(ConfigError, match=rf"entry {kept + 1} is missing: the chain ends at {kept}, .* is 4"):
            PrivacyLedger(path, BUDGET, head=head)
        with pytest.raises(CryptoError, match="is missing"):
            verify_file(path, head=head)
        assert PrivacyLedger(path, BUDGET).head.number == kept  # without an anchor a shorter chain is a chain
    path.write_bytes(whole)
    edited(path, 4, lambda line: [rewritten(line, set_draws)])
    with pytest.raises(ConfigError, match="entry 4 is not the one whose head was noted down"):
        PrivacyLedger(path, BUDGET, head=head)
    path.unlink()
    with pytest.raises(ConfigError, match="cannot be used"):
        PrivacyLedger(path, BUDGET, head=head)
    assert not path.exists()
    with pytest.raises(ConfigError, match="no head of a ledger"):
        PrivacyLedger(path, BUDGET, head=Head(0, b"\x01" * 32))


def test_a_longer_chain_than_the_anchor_is_taken(ledger, path):
    heads = [ledger.charge(charge(ctx)) for ctx in range(4)]
    for head in (Head(), *heads):
        assert PrivacyLedger(path, BUDGET, head=head).head == heads[-1]
        assert len(verify_file(path, head=head)) == 4


def test_a_handle_notices_that_the_file_was_rolled_back(ledger, path):
    ledger.charge(charge(0))
    old = path.read_bytes()
    ledger.charge(charge(1))
    path.write_bytes(old)
    for use in (lambda: ledger.charge(charge(2)), ledger.spent, lambda: ledger.head):
        with pytest.raises(ConfigError, match="rolled back"):
            use()
    assert path.read_bytes() == old


def test_another_file_is_refused_and_left_as_it_is(path):
    for foreign in (b"something else", b"something else\n", b'{"receipt":{'):
        path.write_bytes(foreign)
        with pytest.raises(ConfigError, match="line 1 of the privacy ledger"):
            PrivacyLedger(path, BUDGET)
        assert path.read_bytes() == foreign


def test_an_entry_that_could_not_be_read_again_is_not_written(path):
    ledger = PrivacyLedger(path, BUDGET, clock=lambda: dt.datetime(10, 1, 1, tzinfo=dt.UTC))
    try:
        ledger.charge(charge())
    except LocalProtocolError as error:
        assert "no entry can say this" in str(error)  # noqa: PT017 - a C library may pad the year
        assert path.read_bytes() == b""
    else:
        assert PrivacyLedger(path, BUDGET).head.number == 1


def test_threads_on_two_handles_enter_each_charge_once(path):
    ledgers = [PrivacyLedger(path, BUDGET) for _ in range(2)]
    gate = threading.Barrier(4)

    def work(ledger):
        gate.wait()
        for number in range(40):
            try:
                ledger.charge(charge(number))
            except PrivacyBudgetError:
                refused.append(number)

    refused = []
    threads = [threading.Thread(target=work, args=(ledger,)) for ledger in (*ledgers, *ledgers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    most = fill(PrivacyLedger(path.with_name("alone"), BUDGET))
    entries = verify_file(path)
    assert len(entries) == min(40, most) == len({entry.charge.key for entry in entries})
    assert ledgers[0].spent() == ledgers[1].spent() <= 8.0


def test_epsilon_by_round_is_the_course_of_the_maximum(ledger):
    assert ledger.epsilon_by_round() == ()
    for number in range(3):
        ledger.charge_all([charge(number, "a"), *([charge(number, "b")] if number != 1 else [])])
    ledger.charge(charge(2, "b", attempt=b"\x02"))
    ledger.charge(charge(2, "b", attempt=b"\x03"))
    course = ledger.epsilon_by_round()
    assert course == pytest.approx([reference(1), reference(2), reference(4)])
    assert course[-1] == ledger.spent()
    assert ledger.epsilon_by_round("b") == pytest.approx([reference(1), reference(4)])


def test_a_charge_costs_the_same_however_long_the_history(path, monkeypatch):
    """One curve is computed for each distinct event, never one for each entry."""
    from securefl.dp.ledger import spending

    computed = []
    original = spending.rdp_curve

    def counted(event, orders, relation):
        computed.append(event)
        return original(event, orders, relation)

    monkeypatch.setattr(spending, "rdp_curve", counted)
    kinds = [GaussianRelease(31.0), GaussianRelease(37.0)]
    ledger = PrivacyLedger(path, BUDGET)
    for number in range(50):
        ledger.charge(charge(number, f"o{number % 3}", event=kinds[number % 2]))
    assert PrivacyLedger(path, BUDGET).spent() == ledger.spent()
    assert sorted(computed, key=repr) == kinds


def test_errors_are_ours():
    assert issubclass(PrivacyBudgetError, SecureFLError)
    assert Entry.__struct_fields__[:3] == ("version", "number", "previous")
