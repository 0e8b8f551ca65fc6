from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from securefl.crypto.digest import digest

fields = st.lists(st.binary(max_size=12), max_size=4)
texts = st.text("abc/é", max_size=8)


@given(fields, fields)
def test_digests_are_equal_only_for_equal_field_lists(a, b):
    assert (digest("x", *a) == digest("x", *b)) == (a == b)


@given(st.binary(max_size=20), st.integers(0, 20), st.integers(0, 20))
def test_moving_a_boundary_between_fields_changes_the_digest(data, i, j):
    i, j = min(i, len(data)), min(j, len(data))
    assert (digest("x", data[:i], data[i:]) == digest("x", data[:j], data[j:])) == (i == j)


@given(texts, texts)
def test_labels_separate_domains(a, b):
    assert (digest(a, b"data") == digest(b, b"data")) == (a == b)


@given(texts, texts)
def test_a_label_never_runs_into_its_first_field(label, field):
    assert digest(label, field) != digest(label + field)
