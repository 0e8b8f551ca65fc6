"""Hostile messages: recorded rounds, a mutator that knows the format and holds the insiders' pens, and the measured attempt.

Shared by `tests/properties/test_hostile_messages.py` and `scripts/fuzz_messages.py`. Everything is drawn from fixed seeds, so that an
attempt is the same in every process: a scene's number and a message are all that it takes to repeat one.
"""
