"""The law that everything else serves: the exact sum, or a typed abort (protocol.md, attack list, point 10)."""

from __future__ import annotations

from hypothesis import event, given
from hypothesis import strategies as st

from securefl.errors import BelowThresholdError
from securefl.types import Step
from unit.secagg.harness import Round, any_size, integer_sum, parameters, run


@st.composite
def rounds_with_dropouts(draw):
    chosen = draw(parameters(any_size))
    # One more than the round can bear, at most: beyond that every round aborts in the same way.
    count = draw(st.integers(0, min(chosen.parties, chosen.max_dropouts + 1)))
    who = draw(st.permutations(range(chosen.parties)))[:count]
    return chosen, {party: draw(st.sampled_from(Step)) for party in who}


def expected_survivors(chosen, drops):
    """U3 if the round must succeed, else None: written from protocol.md, not from the code."""
    steps = [step for step in Step if chosen.active or step is not Step.CONSISTENCY]
    left = {
        step: {p for p in range(chosen.parties) if p not in drops or drops[p] not in steps[: steps.index(step) + 1]}
        for step in steps
    }
    openers = chosen.threshold + 1  # t holders of a secret, and nobody holds a share of its own
    quorum = max(openers, chosen.min_survivors)
    needed = {Step.CONSISTENCY: openers, Step.UNMASK: openers}
    if any(len(left[step]) < needed.get(step, quorum) for step in steps):
        return None
    return left[Step.MASKED_INPUT]


@given(case=rounds_with_dropouts(), bits=st.integers(8, 64), length=st.integers(0, 5), seed=st.integers(0, 2**32))
def test_sum_equals_integer_sum_or_typed_abort(case, bits, length, seed):
    chosen, drops = case
    expected = expected_survivors(chosen, drops)
    outcome = run(chosen, bits=bits, length=length, seed=seed, drops=drops)
    event("a sum" if expected is not None else "an abort")
    if expected is None:
        assert isinstance(outcome, BelowThresholdError)
        assert outcome.phase
        assert outcome.remedy
        return
    assert isinstance(outcome, Round), outcome
    result = outcome.server.result()
    assert result.survivors == expected
    assert result.total.tolist() == integer_sum(outcome.vectors, expected, bits)
    acting = {party: step for party, step in drops.items() if chosen.active or step is not Step.CONSISTENCY}
    assert result.dropped == acting
