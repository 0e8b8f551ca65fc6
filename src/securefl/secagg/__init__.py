"""Secure aggregation by pairwise masks over integers mod 2^b: Bonawitz et al. 2017 on the complete graph.

A module a step, in the order of the paper; each holds what both roles do in it and the state that is kept from it:
`advertise` (R0), `share_keys` (R1), `masked_input` (R2), `consistency` (R3, active server only), `unmask` (R4). `states` is the one place
that decides which message may come when; `client` and `server` walk through it.
"""
