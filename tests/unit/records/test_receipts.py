"""Receipts: a chain in which nothing can be changed, left out, moved or slipped in; and the book that is kept in a file."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import stat

import msgspec
import pytest

from securefl.crypto.signing import SigningKey
from securefl.errors import ConfigError, CryptoError, LocalProtocolError
from securefl.records.receipt import Answered, Outcome, SignedReceipt
from securefl.records.receipt_book import ReceiptBook, verify_file
from securefl.records.receipt_chain import Head, verify
from securefl.types import Step

KEY, OTHER_KEY = (SigningKey.from_bytes(bytes([n]) * 32) for n in (1, 2))
NOON = dt.datetime(2030, 1, 2, 12, 0, 0, 987, tzinfo=dt.timezone(dt.timedelta(hours=2)))
ROUND = {
    "party": "a",
    "session": bytes(range(16)),
    "outcome": Outcome.OPENED,
    "roster": b"\x01" * 32,
    "plan": b"\x02" * 32,
    "model": b"\x03" * 32,
    "policy": b"\x04" * 32,
    "survivors": ("a", "b", "c"),
    "answered": (Answered.of(Step.ADVERTISE, b"keys"), Answered.of(Step.UNMASK, b"shares")),
    "opened_self_masks": ("b", "c"),
    "opened_mask_keys": ("d",),
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "a.receipts"


def filled(path=None, identity=KEY, rounds=4):
    book = ReceiptBook(path, identity, clock=lambda: NOON)
    for number in range(book.head.number, book.head.number + rounds):
        book.enter(round_number=number, **ROUND)
    return book


def signed_chain():
    return list(filled().receipts)


def with_field(signed, **fields):
    return msgspec.structs.replace(signed, receipt=msgspec.structs.replace(signed.receipt, **fields))


def rewritten(path, number, change):
    """Put another text in the place of a line, counted from 1."""
    lines = path.read_bytes().split(b"\n")
    lines[number - 1] = change(lines[number - 1])
    path.write_bytes(b"\n".join(lines))


# A receipt


def test_a_receipt_says_what_left_the_party():
    (signed,) = filled(rounds=1).receipts
    receipt = signed.receipt
    assert (receipt.number, receipt.previous, receipt.time) == (1, "00" * 32, "2030-01-02T10:00:00Z")
    assert (receipt.session, receipt.round) == (bytes(range(16)).hex(), 0)
    assert receipt.decision == "accepted"
    assert [(answer.step, answer.sha256, answer.size) for answer in receipt.answered] == [
        ("advertise", hashlib.sha256(b"keys").hexdigest(), 4),
        ("unmask", hashlib.sha256(b"shares").hexdigest(), 6),
    ]


def test_the_digest_can_be_made_again_from_the_line_in_the_file(path):
    """With hashlib and the label's framing alone, as an auditor would."""
    book = filled(path, rounds=1)
    line = path.read_bytes().rstrip(b"\n")
    body = line[len(b'{"receipt":') : line.index(b',"signature":')]
    label = b"securefl/v1/receipt"
    framed = len(label).to_bytes(8, "big") + label + len(body).to_bytes(8, "big") + body
    assert book.head == Head(1, hashlib.sha256(framed).digest())
    assert json.loads(line)["signature"] == KEY.sign(book.head.digest).hex()


def test_without_an_identity_the_signature_is_empty():
    assert [signed.signature for signed in filled(identity=None, rounds=2).receipts] == ["", ""]


def test_a_receipt_comes_back_from_its_line():
    for signed in signed_chain():
        assert SignedReceipt.from_json(signed.to_json()) == signed


@pytest.mark.parametrize(
    "change",
    [
        lambda line: line.replace(b'"version":1', b'"version":2'),
        lambda line: line.replace(b'"round":0', b'"round":-1'),
        lambda line: line.replace(b'"round":0', b'"round":0,"round":0'),
        lambda line: line.replace(b'"round":0', b'"round": 0'),
        lambda line: line.replace(b'"round":0', b'"extra":1,"round":0'),
        lambda line: line.replace(b'"outcome":"opened"', b'"outcome":"fine"'),
        lambda line: line.replace(b'"accepted"', b'"refused"'),
        lambda line: line.replace(b"10:00:00Z", b"10:00:00"),
        lambda line: line.replace(b'"previous":"00', b'"previous":"0'),
        lambda line: line.replace(b'"plan":"02', b'"plan":"0G'),
        lambda line: line.replace(b'"party":"a"', b'"party":"\xff"'),
        lambda line: line[:-1],
        lambda line: line + b" ",
        lambda line: b"",
        lambda line: b"[" * 5000,
    ],
)
def test_what_is_no_receipt_or_not_in_its_one_form_is_refused(change):
    line = signed_chain()[0].to_json()
    assert change(line) != line
    with pytest.raises(CryptoError, match=r"this is no receipt|not in the form"):
        SignedReceipt.from_json(change(line))


# The chain


def test_a_whole_chain_verifies():
    chain = signed_chain()
    head = verify(chain, verify_key=KEY.verify_key, party="a")
    assert head == Head(4, chain[-1].receipt.digest())
    assert verify(chain) == head
    assert verify([], verify_key=KEY.verify_key) == Head()


FIELDS = {
    "time": "2030-01-02T10:00:01Z",
    "session": "ff" * 16,
    "round": 99,
    "roster": "ff" * 32,
    "plan": "ff" * 32,
    "model": "ff" * 32,
    "policy": "ff" * 32,
    "decision": "refused: min_parties",
    "outcome": Outcome.LEFT,
    "reason": "x",
    "survivors": ("a", "b"),
    "answered": (),
    "opened_self_masks": ("b",),
    "opened_mask_keys": (),
    "party": "b",
    "previous": "ff" * 32,
    "number": 9,
}


def test_every_field_is_tried():
    assert set(FIELDS) == set(signed_chain()[0].receipt.__struct_fields__) - {"version"}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize("place", [0, 1, 3])
def test_an_altered_field_is_found_at_its_receipt(field, place):
    chain = signed_chain()
    chain[place] = with_field(chain[place], **{field: FIELDS[field]})
    with pytest.raises(CryptoError, match=rf"receipt {place + 1} "):
        verify(chain, verify_key=KEY.verify_key)


@pytest.mark.parametrize("field", sorted(set(FIELDS) - {"number", "previous", "party"}))
def test_without_a_key_an_altered_field_is_found_by_the_next_receipt(field):
    chain = signed_chain()
    chain[1] = with_field(chain[1], **{field: FIELDS[field]})
    with pytest.raises(CryptoError, match="receipt 2 was altered, or receipt 3 continues another chain"):
        verify(chain)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_missing_receipt_is_named(place):
    chain = signed_chain()
    del chain[place]
    with pytest.raises(CryptoError, match=f"receipt {place + 1} is missing or out of order: number {place + 2}"):
        verify(chain)


def test_reordered_and_repeated_receipts_are_named():
    one, two, three, four = signed_chain()
    with pytest.raises(CryptoError, match="receipt 2 is missing or out of order: number 3"):
        verify([one, three, two, four])
    with pytest.raises(CryptoError, match="receipt 3 is missing or out of order: number 2"):
        verify([one, two, two, three, four])


def test_a_receipt_signed_by_the_party_does_not_fit_into_another_chain_of_its_own():
    chain, other = signed_chain(), ReceiptBook(identity=KEY)
    for number in range(4):
        other.enter(round_number=10 + number, **ROUND)
    chain[2] = other.receipts[2]
    with pytest.raises(CryptoError, match="receipt 3 continues another chain"):
        verify(chain, verify_key=KEY.verify_key)


def test_an_unsigned_receipt_is_named_where_a_key_is_given():
    chain = signed_chain()
    chain[2] = msgspec.structs.replace(chain[2], signature="")
    verify(chain)
    with pytest.raises(CryptoError, match="receipt 3 is unsigned"):
        verify(chain, verify_key=KEY.verify_key)


def test_another_key_and_a_wrong_signature_are_named():
    chain = signed_chain()
    with pytest.raises(CryptoError, match=r"receipt 1 is not what the key .* signed"):
        verify(chain, verify_key=OTHER_KEY.verify_key)
    chain[1] = msgspec.structs.replace(chain[1], signature=chain[2].signature)
    with pytest.raises(CryptoError, match=r"receipt 2 is not what the key .* signed"):
        verify(chain, verify_key=KEY.verify_key)


def test_a_chain_is_of_one_party():
    chain = signed_chain()
    with pytest.raises(CryptoError, match="receipt 1 is of 'a', not of 'b'"):
        verify(chain, party="b")
    previous = chain[0].receipt.digest().hex()
    chain[1:] = [with_field(chain[1], party="b", previous=previous)]
    with pytest.raises(CryptoError, match="receipt 2 is of 'b', not of 'a'"):
        verify(chain)


def test_what_was_cut_off_at_the_end_is_seen_by_a_head_alone():
    chain = signed_chain()
    head = verify(chain)
    assert verify(chain[:3], verify_key=KEY.verify_key).number == 3
    with pytest.raises(CryptoError, match="receipt 4 is missing: the chain ends at 3, the head noted down is 4"):
        verify(chain[:3], head=head)
    with pytest.raises(CryptoError, match="receipt 1 is missing"):
        verify([], head=head)


def test_a_head_stays_good_while_the_chain_grows():
    book = filled(rounds=2)
    head = book.head
    book.enter(round_number=2, **ROUND)
    verify(book.receipts, head=head)
    verify(book.receipts, head=Head())


def test_a_chain_that_was_written_anew_is_not_the_one_noted_down():
    head = filled(rounds=2).head
    anew = ReceiptBook(identity=KEY)
    for number in range(3):
        anew.enter(round_number=50 + number, **ROUND)
    with pytest.raises(CryptoError, match="receipt 2 is not the one whose head was noted down"):
        verify(anew.receipts, head=head)


def test_a_head_is_written_and_read():
    head = filled().head
    assert Head.parse(f" {str(head).upper()}\n") == head
    for text in ("", "4", f"4:{'0' * 63}", f"-4:{'0' * 64}", f"٤:{'0' * 64}"):
        with pytest.raises(ConfigError, match="is no head"):
            Head.parse(text)


# The book


def test_a_book_in_a_file_goes_on_where_it_ended(path):
    filled(path, rounds=2)
    book = filled(path, rounds=2)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [signed.receipt.number for signed in book.receipts] == [1, 2, 3, 4]
    assert verify_file(path, KEY.verify_key, party="a", head=book.head) == list(book.receipts)
    assert book.receipts == filled().receipts


def test_two_holders_of_a_book_write_one_chain(path):
    one, other = ReceiptBook(path, KEY), ReceiptBook(path, KEY)
    for number in range(3):
        one.enter(round_number=number, **ROUND)
        other.enter(round_number=number, **ROUND)
    assert len(verify_file(path, KEY.verify_key)) == 6


def test_a_new_book_is_empty(path):
    assert ReceiptBook(path).head == Head()
    assert verify_file(path) == []


def test_what_is_not_told_is_empty():
    signed = ReceiptBook().enter(party="a", session=bytes(16), round_number=1, outcome=Outcome.LEFT)
    receipt = signed.receipt
    assert (receipt.survivors, receipt.answered, receipt.reason) == ((), (), "")
    assert receipt.plan == receipt.roster == receipt.model == receipt.policy == "00" * 32
    assert dt.datetime.fromisoformat(receipt.time) <= dt.datetime.now(dt.UTC)


def test_a_reason_is_shortened_and_may_quote_anything():
    book = ReceiptBook()
    book.enter(party="a", session=bytes(16), round_number=1, outcome=Outcome.REFUSED, reason="x" * 5000)
    book.enter(party="a", session=bytes(16), round_number=2, outcome=Outcome.REFUSED, reason="line\n\udcff\x1b")
    assert [signed.receipt.reason for signed in book.receipts] == ["x" * 1000, "line\n\\udcff\x1b"]
    verify(book.receipts)


@pytest.mark.parametrize(
    "wrong",
    [
        {"party": ""},
        {"party": "b"},
        {"session": bytes(15)},
        {"round_number": -1},
        {"plan": bytes(31)},
        {"decision": "perhaps"},
        {"decision": "refused: "},
        {"outcome": "fine"},
        {"answered": [Answered("unmask", "00", 1)]},
    ],
)
@pytest.mark.parametrize("kept_in", ["memory", "file"])
def test_what_no_receipt_can_say_is_refused_before_it_is_written(path, wrong, kept_in):
    book = filled(path if kept_in == "file" else None, rounds=1)
    before = book.receipts
    with pytest.raises(LocalProtocolError, match="no receipt can say this"):
        book.enter(**{"round_number": 1, **ROUND, **wrong})
    assert book.receipts == before
    book.enter(round_number=1, **ROUND)
    verify(book.receipts, verify_key=KEY.verify_key)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda line: line.replace(b'"round":1', b'"round":7'), "line 2 .*receipt 2 is not what the key"),
        (lambda line: line.replace(b'"number":2', b'"number":3'), "line 2 .*receipt 2 is missing"),
        (lambda line: b"{}", "line 2 .*this is no receipt"),
        (lambda line: b"", "line 2 .*this is no receipt"),
    ],
)
def test_a_broken_book_is_not_continued(path, change, said):
    filled(path, rounds=3)
    rewritten(path, 2, change)
    before = path.read_bytes()
    with pytest.raises(ConfigError, match=said):
        ReceiptBook(path, KEY)
    assert path.read_bytes() == before


def test_an_unsigned_book_is_checked_by_its_links(path):
    filled(path, identity=None, rounds=3)
    rewritten(path, 2, lambda line: line.replace(b'"round":1', b'"round":7'))
    with pytest.raises(ConfigError, match=r"line 3 .*receipt 2 was altered, or receipt 3"):
        ReceiptBook(path)


@pytest.mark.parametrize("identity", [None, OTHER_KEY])
def test_a_book_begun_unsigned_or_under_another_key_is_not_continued(path, identity):
    filled(path, identity=identity, rounds=1)
    with pytest.raises(ConfigError, match=r"line 1 .*receipt 1 is "):
        ReceiptBook(path, KEY)


def test_a_torn_last_line_is_cut_off_and_its_receipt_written_again(path):
    filled(path, rounds=2)
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with pytest.raises(CryptoError, match="receipt 2 is torn"):
        verify_file(path)
    filled(path, rounds=1)
    assert path.read_bytes() == whole


def test_a_torn_first_line_is_cut_off_and_another_file_is_not(path):
    path.write_bytes(b'{"receipt":{"version"')
    assert ReceiptBook(path).head == Head()
    path.write_bytes(b"precious")
    with pytest.raises(ConfigError, match=r"line 1 .*this is no receipt"):
        ReceiptBook(path)
    assert path.read_bytes() == b"precious"


def test_a_book_that_was_rolled_back_while_in_use_is_refused(path):
    book = filled(path, rounds=1)
    before = path.read_bytes()
    book.enter(round_number=1, **ROUND)
    path.write_bytes(before)
    with pytest.raises(ConfigError, match="rolled back"):
        book.enter(round_number=2, **ROUND)


def test_the_first_broken_receipt_of_a_file_is_named_with_the_file(path):
    filled(path)
    rewritten(path, 4, lambda line: b"garbage")
    with pytest.raises(CryptoError, match="receipt 4: this is no receipt"):
        verify_file(path, KEY.verify_key)
    rewritten(path, 2, lambda line: line.replace(b'"b","c"', b'"b","x"'))
    with pytest.raises(CryptoError, match="receipt 2 is not what the key") as caught:
        verify_file(path, KEY.verify_key)
    assert str(path) in caught.value.__notes__


def test_a_file_that_cannot_be_read_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        verify_file(tmp_path / "none")
    with pytest.raises(ConfigError, match="cannot be used: Is a directory"):
        ReceiptBook(tmp_path)
