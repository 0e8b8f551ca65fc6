"""The security checks of the library, each with an edit that removes or weakens it and the attacks that must then succeed.

Used by `test_checks_bite.py`. A snippet must stand exactly once in its file: when the source changes so that it does not, the table is
out of date and the test says so.
"""

from __future__ import annotations

import dataclasses

NEVER = "if False:"


@dataclasses.dataclass(frozen=True)
class Check:
    """One edit.

    Args:
        name: what the edited library no longer does.
        file: inside the package.
        edits: (what stands there, what stands there instead).
        tests: the attack files of which one must go red.
    """

    name: str
    file: str
    edits: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


def check(name: str, file: str, old: str, new: str, *tests: str) -> Check:
    return Check(name, file, ((old, new),), tests)


CHECKS = [
    # R0
    check(
        "keys usable",
        "secagg/advertise.py",
        "if not (is_usable(entry.mask_key) and is_usable(entry.share_key)):",
        NEVER,
        "lying_keys",
    ),
    check(
        "keys in one form",
        "crypto/kex.py",
        "value < _FIELD and value not in _SMALL_ORDER",
        "value % _FIELD not in _SMALL_ORDER",
        "lying_keys",
    ),
    check(
        "keys of large order",
        "crypto/kex.py",
        "value < _FIELD and value not in _SMALL_ORDER",
        "value < _FIELD",
        "lying_keys",
    ),
    check("two keys alike", "secagg/advertise.py", "if entry.mask_key == entry.share_key:", NEVER, "lying_keys"),
    check("signed under semi-honest", "secagg/advertise.py", "if entry.signature:", NEVER, "lying_keys"),
    check(
        "key signature",
        "secagg/advertise.py",
        "verify(verify_key, entry.signature, _signed_data(ctx0, entry.party, entry.mask_key, entry.share_key))",
        "pass",
        "lying_keys",
    ),
    check(
        "key signature covers ctx0",
        "secagg/advertise.py",
        'digest("advertise", ctx0, party, mask_key, share_key)',
        'digest("advertise", party, mask_key, share_key)',
        "replay",
    ),
    # R1
    check(
        "plan digest in key list",
        "secagg/key_list.py",
        "if not equal(message.plan_digest, context.plan_digest):",
        NEVER,
        "downgrade",
    ),
    check(
        "key list in order and on the roster",
        "secagg/key_list.py",
        "if parties != sorted(set(parties)) or (parties and parties[-1] >= context.parties):",
        NEVER,
        "lying_keys",
    ),
    check(
        "key list without strangers",
        "secagg/key_list.py",
        "if parties != sorted(set(parties)) or (parties and parties[-1] >= context.parties):",
        "if parties != sorted(set(parties)):",
        "lying_keys",
        "huge_messages",
    ),
    check(
        "own keys in key list",
        "secagg/key_list.py",
        "if mine is None or (mine.mask_key, mine.share_key) != (own.mask.public, own.share.public):",
        "if mine is None:",
        "lying_keys",
    ),
    check(
        "own share key in key list",
        "secagg/key_list.py",
        "if mine is None or (mine.mask_key, mine.share_key) != (own.mask.public, own.share.public):",
        "if mine is None or mine.mask_key != own.mask.public:",
        "lying_keys",
    ),
    check("keys unique", "secagg/key_list.py", "if len(set(published)) != len(published):", NEVER, "lying_keys"),
    check(
        "keys in list signed",
        "secagg/key_list.py",
        "check_entry(ctx0, entry, verify_key=verify_key, name=names[entry.party])",
        "pass",
        "lying_keys",
    ),
    check("attendance", "secagg/key_list.py", "    context = fit(context, message.attending)\n", "", "downgrade"),
    check(
        "root of key list",
        "secagg/key_list.py",
        "if not equal(key_list_root(message.entries), message.root):",
        NEVER,
        "lying_keys",
    ),
    check("quorum of key list", "secagg/key_list.py", "if attending < context.quorum:", NEVER, "downgrade"),
    check(
        "active rule strict",
        "secagg/key_list.py",
        "2 * context.threshold <= attending + context.max_colluders",
        "2 * context.threshold < attending + context.max_colluders",
        "downgrade",
    ),
    check(
        "active rule counts colluders",
        "secagg/key_list.py",
        "2 * context.threshold <= attending + context.max_colluders",
        "2 * context.threshold <= attending",
        "downgrade",
    ),
    check("share key wiped", "secagg/share_keys.py", "    own.share.wipe()\n", "", "state_after_errors"),
    check(
        "destinations",
        "secagg/share_keys.py",
        "if destinations != sorted(neighbours - {party}):",
        NEVER,
        "lying_shares",
    ),
    check(
        "number of commitments",
        "secagg/share_keys.py",
        "if len(message.commitments) != len(labels) or any(",
        "if any(",
        "lying_shares",
    ),
    check(
        "number of digests",
        "secagg/share_keys.py",
        "if len(message.commitments) != len(labels) or any(",
        "if len(message.commitments) != len(labels) or 0 and any(",
        "lying_shares",
    ),
    # Contexts
    *(
        check(f"ctx covers {field}", "secagg/context.py", old, new, "flower_defects", "lying_keys")
        for field, old, new in (
            ("plan", "context.plan_digest, context.model_digest, root", "context.model_digest, root"),
            ("model", "context.plan_digest, context.model_digest, root", "context.plan_digest, root"),
            ("root", "context.plan_digest, context.model_digest, root", "context.plan_digest, context.model_digest"),
            ("session", '"ctx0", VERSION, session, round_number', '"ctx0", VERSION, round_number'),
            ("round", '"ctx0", VERSION, session, round_number', '"ctx0", VERSION, session'),
            ("roster", "VERSION, session, round_number, roster_digest)", "VERSION, session, round_number)"),
        )
    ),
    *(
        check(
            f"root covers {field}",
            "secagg/context.py",
            '"key", entry.party, entry.mask_key, entry.share_key',
            new,
            "lying_keys",
        )
        for field, new in (
            ("mask key", '"key", entry.party, entry.share_key'),
            ("share key", '"key", entry.party, entry.mask_key'),
            ("party", '"key", entry.mask_key, entry.share_key'),
        )
    ),
    # Dealing
    check(
        "associated data",
        "secagg/dealing.py",
        "return ctx + u32(source) + u32(destination)",
        'return b""',
        "lying_shares",
    ),
    check(
        "labels of a bundle",
        "secagg/dealing.py",
        "if tuple(share.label for share in bundle.shares) != tuple(labels):",
        NEVER,
        "lying_shares",
    ),
    check(
        "shares in the field", "secagg/dealing.py", "if not all(map(is_share, shares.values())):", NEVER, "lying_shares"
    ),
    check(
        "share digest at its holder",
        "secagg/dealing.py",
        "if not equal(expected, item.share_digests):",
        NEVER,
        "lying_shares",
    ),
    check(
        "one share released",
        "secagg/dealing.py",
        "held, self._shares = self._shares, {}",
        "held = self._shares",
        "both_shares",
    ),
    check(
        "commitment of a rebuilt secret",
        "secagg/dealing.py",
        "if not equal(commitment(self._ctx, owner, label, secret), expected):",
        NEVER,
        "lying_shares",
    ),
    # R2
    check(
        "sources of shares",
        "secagg/masked_input.py",
        "if sources != sorted(set(sources)) or not set(sources) <= set(keys.entries) - {party}:",
        NEVER,
        "asymmetric_neighbours",
    ),
    check(
        "sources once, in order",
        "secagg/masked_input.py",
        "if sources != sorted(set(sources)) or not set(sources) <= set(keys.entries) - {party}:",
        "if not set(sources) <= set(keys.entries) - {party}:",
        "asymmetric_neighbours",
    ),
    check(
        "sources other than oneself",
        "secagg/masked_input.py",
        "if sources != sorted(set(sources)) or not set(sources) <= set(keys.entries) - {party}:",
        "if sources != sorted(set(sources)) or not set(sources) <= set(keys.entries):",
        "asymmetric_neighbours",
    ),
    check("size of A_u", "secagg/masked_input.py", "if len(sources) < context.min_shares:", NEVER, "downgrade"),
    check(
        "size of A_u by one",
        "secagg/masked_input.py",
        "if len(sources) < context.min_shares:",
        "if len(sources) + 1 < context.min_shares:",
        "downgrade",
    ),
    check("dealer wiped", "secagg/masked_input.py", "    dealer.wipe()\n", "", "state_after_errors"),
    check(
        "values below 2^b",
        "secagg/masked_input.py",
        "if vector.size and int(vector.max()) > ring.mask:",
        NEVER,
        "state_after_errors",
    ),
    check(
        "shape of the vector",
        "secagg/masked_input.py",
        "if vector.dtype != ring.dtype or vector.shape != (length,):",
        NEVER,
        "state_after_errors",
    ),
    check("order of chunks", "secagg/masked_input.py", "if message.chunk != self._seen:", NEVER, "late_vector"),
    *(
        check(
            f"reported A_u {what}",
            "secagg/masked_input.py",
            "if message.neighbours != self._expected:",
            new,
            "asymmetric_neighbours",
        )
        for what, new in (
            ("checked", NEVER),
            (
                "of all that was forwarded",
                "if not bitmap.unpack(message.neighbours, self._context.parties) <= self._forwarded:",
            ),
            (
                "of nothing else",
                "if not bitmap.unpack(message.neighbours, self._context.parties) >= self._forwarded:",
            ),
        )
    ),
    check(
        "A_u excludes its party",
        "secagg/graph.py",
        "return self._all - {party}",
        "return self._all",
        "asymmetric_neighbours",
    ),
    check(
        "length of what is sealed",
        "secagg/share_keys.py",
        "!= (32 * len(labels), length)",
        "!= (32 * len(labels), len(item.ciphertext))",
        "huge_messages",
    ),
    check(
        "usable keys",
        "secagg/advertise.py",
        "if not (is_usable(entry.mask_key) and is_usable(entry.share_key)):",
        NEVER,
        "lying_keys",
    ),
    check(
        "one thread at a time",
        "secagg/client.py",
        "if not self._busy.acquire(blocking=False):",
        NEVER,
        "state_after_errors",
    ),
    # R3
    check(
        "U3 within A_u",
        "secagg/consistency.py",
        "if not seen <= neighbours | {party}:",
        NEVER,
        "asymmetric_neighbours",
        "split_survivors",
    ),
    check("oneself in U3", "secagg/consistency.py", "elif party not in survivors:", "elif False:", "both_shares"),
    check("floor of U3", "secagg/consistency.py", "elif len(survivors) < floor:", "elif False:", "both_shares"),
    *(
        check(
            f"floor of U3 counts {what}",
            "secagg/consistency.py",
            "floor = max(context.threshold, context.min_survivors)",
            new,
            "both_shares",
        )
        for what, new in (
            ("min_survivors", "floor = context.threshold"),
            ("threshold", "floor = context.min_survivors"),
        )
    ),
    check(
        "survivor signature covers ctx",
        "secagg/consistency.py",
        'digest("survivors", ctx, members)',
        'digest("survivors", members)',
        "both_shares",
        "replay",
    ),
    check(
        "survivor signature covers U3",
        "secagg/consistency.py",
        'digest("survivors", ctx, members)',
        'digest("survivors", ctx)',
        "both_shares",
    ),
    # R4
    check("no signatures under semi-honest", "secagg/unmask.py", "if message.signatures:", NEVER, "both_shares"),
    check(
        "the set that was signed",
        "secagg/unmask.py",
        "if verify_keys is None or signed != survivors:",
        "if verify_keys is None:",
        "both_shares",
    ),
    *(
        check(
            f"signers {what}",
            "secagg/unmask.py",
            "if signers != sorted(set(signers)) or not set(signers) <= survivors:",
            new,
            "both_shares",
        )
        for what, new in (
            ("once", "if not set(signers) <= survivors:"),
            ("survivors", "if signers != sorted(set(signers)):"),
        )
    ),
    check("t signatures", "secagg/unmask.py", "if len(signers) < context.threshold:", NEVER, "both_shares"),
    check(
        "t signatures, not t - 1",
        "secagg/unmask.py",
        "if len(signers) < context.threshold:",
        "if len(signers) < context.threshold - 1:",
        "both_shares",
    ),
    check(
        "survivor signatures verified",
        "secagg/unmask.py",
        "verify(verify_keys[item.party], item.signature, data)",
        "pass",
        "both_shares",
    ),
    check(
        "rules of R3 at R4",
        "secagg/unmask.py",
        "accept_survivors(keys, party, neighbours, survivors, phase=Step.UNMASK)",
        "pass",
        "both_shares",
    ),
    check(
        "owners answered for",
        "secagg/unmask.py",
        "if [item.owner for item in message.shares] != owners:",
        NEVER,
        "lying_shares",
    ),
    check(
        "label answered",
        "secagg/unmask.py",
        "if labels != owed or not equal(",
        "if not equal(",
        "lying_shares",
        "damaged_messages",
    ),
    check(
        "share as dealt",
        "secagg/unmask.py",
        "if labels != owed or not equal(",
        "if labels != owed or not all(",
        "lying_shares",
    ),
    check(
        "mask key as advertised",
        "secagg/unmask.py",
        "if not equal(mask.public, entries[party].mask_key):",
        NEVER,
        "lying_shares",
    ),
    # The party's machine
    check(
        "left on any exception",
        "secagg/client.py",
        "            answers = list(handler(envelope.body))\n        except BaseException:",
        "            answers = list(handler(envelope.body))\n        except ZeroDivisionError:",
        "state_after_errors",
    ),
    check(
        "left on any exception while masking",
        "secagg/client.py",
        "names=self._names)\n        except BaseException:\n            self.abort()",
        "names=self._names)\n        except ZeroDivisionError:\n            self.abort()",
        "state_after_errors",
    ),
    check("wiped when done", "secagg/client.py", "if following is ClientState.DONE:", NEVER, "state_after_errors"),
    check(
        "wiped when left",
        "secagg/client.py",
        "        self.state = ClientState.ABORTED\n        self._kept.wipe()",
        "        self.state = ClientState.ABORTED",
        "state_after_errors",
    ),
    check(
        "masked once",
        "secagg/client.py",
        "        self.state, self._sending = following, True\n",
        "        self._sending = True\n",
        "state_after_errors",
    ),
    check(
        "session and round at the party",
        "secagg/incoming.py",
        'step = STEP_OF.get(envelope.kind, "")\n    if (envelope.session, envelope.round) != (context.session, context.round):',
        'step = STEP_OF.get(envelope.kind, "")\n    if False:',
        "replay",
    ),
    check("server's index", "secagg/incoming.py", "if envelope.sender != SERVER_INDEX:", NEVER, "replay"),
    check(
        "seal at the party",
        "secagg/client.py",
        "check_seal(envelope, binding=self.binding, verify_key=None, suspect=SERVER)",
        "pass",
        "replay",
        "damaged_messages",
    ),
    check(
        "identity under active",
        "secagg/client.py",
        "if context.active and (identity is None or verify_keys is None):",
        NEVER,
        "downgrade",
    ),
    check(
        "admission",
        "secagg/client.py",
        "self._admit(keys.context, keys.attending)",
        "pass",
        "state_after_errors",
    ),
    check(
        "rules of R3 before signing",
        "secagg/client.py",
        "accept_survivors(keys, self._party, holder.neighbours, survivors, phase=Step.CONSISTENCY)",
        "pass",
        "both_shares",
    ),
    # The order of messages
    check(
        "only the server's kinds",
        "secagg/states.py",
        "following is None or kind in FROM_PARTIES",
        "following is None",
        "replay",
    ),
    check(
        "no opening before signing",
        "secagg/states.py",
        "        (ClientState.MASKED, Kind.SURVIVORS): ClientState.SIGNED,",
        "        (ClientState.MASKED, Kind.SURVIVORS): ClientState.SIGNED,\n"
        "        (ClientState.MASKED, Kind.UNMASK): ClientState.DONE,",
        "both_shares",
    ),
    check(
        "one signature",
        "secagg/states.py",
        "        (ClientState.MASKED, Kind.SURVIVORS): ClientState.SIGNED,",
        "        (ClientState.MASKED, Kind.SURVIVORS): ClientState.SIGNED,\n"
        "        (ClientState.SIGNED, Kind.SURVIVORS): ClientState.SIGNED,",
        "both_shares",
    ),
    check(
        "one answer",
        "secagg/states.py",
        "        (ClientState.SIGNED, Kind.UNMASK): ClientState.DONE,",
        "        (ClientState.SIGNED, Kind.UNMASK): ClientState.SIGNED,",
        "both_shares",
    ),
    check(
        "one key list",
        "secagg/states.py",
        "    (ClientState.SHARED, Kind.CIPHERTEXTS): ClientState.READY,",
        "    (ClientState.SHARED, Kind.CIPHERTEXTS): ClientState.READY,\n"
        "    (ClientState.SHARED, Kind.ROSTER): ClientState.SHARED,",
        "replay",
    ),
    # The server's machine
    check(
        "key advertised twice",
        "secagg/server.py",
        "if copied := [self._got.published[key] for key in published if key in self._got.published]:",
        NEVER,
        "lying_keys",
    ),
    check(
        "seal at the server",
        "secagg/server.py",
        "check_seal(envelope, binding=self.binding, verify_key=verify_key, suspect=name)",
        "pass",
        "replay",
        "lying_keys",
    ),
    check("sender on the roster", "secagg/incoming.py", "if envelope.sender >= context.parties:", NEVER, "lying_keys"),
    check(
        "session and round at the server",
        "secagg/incoming.py",
        "name = names[envelope.sender]\n    if (envelope.session, envelope.round) != (context.session, context.round):",
        "name = names[envelope.sender]\n    if False:",
        "replay",
    ),
    check(
        "kind of the phase",
        "secagg/incoming.py",
        "if envelope.kind is not SERVER_COLLECTS.get(state):",
        NEVER,
        "late_vector",
        "replay",
    ),
    check(
        "one message a phase, and only of who is in it",
        "secagg/incoming.py",
        "if envelope.sender not in waiting:",
        NEVER,
        "late_vector",
    ),
    check(
        "who was left out stays out",
        "secagg/incoming.py",
        "if envelope.sender not in waiting:",
        "if envelope.sender in answered:",
        "late_vector",
    ),
    check(
        "keys checked by the server",
        "secagg/server.py",
        "check_entry(self._ctx0, entry, verify_key=verify_key, name=name)",
        "pass",
        "lying_keys",
    ),
    check(
        "dealing checked by the server",
        "secagg/server.py",
        "check_shares(message, party=party, name=name, neighbours=neighbours, noise_labels=noise)",
        "pass",
        "lying_shares",
    ),
    check(
        "survivor signature checked by the server",
        "secagg/server.py",
        'verify(keys[party] if keys else b"", message.signature, survivors_data(self._ctx, self._got.survivors))',
        "pass",
        "replay",
    ),
    *(
        check(
            f"quorum at {phase}",
            "secagg/server.py",
            before + "self._need(answered, self.context.quorum, step)",
            before + "pass",
            "state_after_errors",
        )
        for phase, before in (
            ("advertise", "def _close_advertise(self, answered: frozenset[int], step: Step) -> Outgoing:\n        "),
            ("share_keys", "def _close_share_keys(self, answered: frozenset[int], step: Step) -> Outgoing:\n        "),
            ("masked_input", "self._got.arriving.clear()\n        "),
        )
    ),
    check(
        "t + 1 signers",
        "secagg/server.py",
        "are needed to open.\n        self._need(answered, self.context.threshold + 1, step)",
        "are needed to open.\n        self._need(answered, self.context.threshold, step)",
        "state_after_errors",
    ),
    check(
        "aborted when a phase cannot end",
        "secagg/server.py",
        "        except RoundAbortedError:\n            self.abort()",
        "        except ZeroDivisionError:\n            self.abort()",
        "state_after_errors",
    ),
    check(
        "answers forgotten",
        "secagg/collected.py",
        "(self.messages, self.arriving, self.answers, self.signatures, self.seeds)",
        "(self.messages, self.arriving, self.signatures, self.seeds)",
        "state_after_errors",
    ),
    check(
        "a vector counts when it is whole",
        "secagg/server.py",
        "        if not arriving.complete:\n            return False\n",
        "",
        "late_vector",
    ),
    # The k-regular graph
    check(
        "degree of the neighbourhood",
        "secagg/key_list.py",
        "if shown != context.degree(message.attending):",
        NEVER,
        "k_regular_graph",
    ),
    *(
        check(
            f"degree of the neighbourhood, {what}",
            "secagg/key_list.py",
            "if shown != context.degree(message.attending):",
            new,
            "k_regular_graph",
        )
        for what, new in (
            ("no fewer", "if shown > context.degree(message.attending):"),
            ("no more", "if shown < context.degree(message.attending):"),
        )
    ),
    check(
        "number of proofs",
        "secagg/key_list.py",
        "if len(message.proofs) != (len(message.entries) if context.graph is Graph.K_REGULAR else 0):",
        NEVER,
        "k_regular_graph",
    ),
    check(
        "no proofs on the complete graph",
        "secagg/key_list.py",
        "if len(message.proofs) != (len(message.entries) if context.graph is Graph.K_REGULAR else 0):",
        "if context.graph is Graph.K_REGULAR and len(message.proofs) != len(message.entries):",
        "k_regular_graph",
    ),
    check(
        "root of a Merkle path",
        "secagg/key_list.py",
        "if not equal(sized_root(root, message.attending), message.root):",
        NEVER,
        "k_regular_graph",
    ),
    check(
        "each entry by the proof of its own place",
        "secagg/key_list.py",
        "zip(message.entries, message.proofs, strict=True)",
        "zip(message.entries, sorted(message.proofs, key=lambda proof: proof.place), strict=True)",
        "k_regular_graph",
    ),
    check(
        "typed error of a Merkle path",
        "secagg/key_list.py",
        'except CryptoError as error:\n            raise _refuse(f"a Merkle proof',
        'except ZeroDivisionError as error:\n            raise _refuse(f"a Merkle proof',
        "k_regular_graph",
    ),
    check(
        "length of a Merkle path, too short",
        "crypto/merkle.py",
        "    if last:\n        raise",
        "    if False:\n        raise",
        "k_regular_graph",
    ),
    check(
        "length of a Merkle path, too long",
        "crypto/merkle.py",
        "        if last == 0:\n",
        "        if last == 0:\n            break\n",
        "k_regular_graph",
    ),
    check("nodes of a Merkle path", "crypto/merkle.py", "if len(sibling) != DIGEST_BYTES:", NEVER, "k_regular_graph"),
    check(
        "place within the list",
        "crypto/merkle.py",
        "    _check_index(index, size)\n    node, last",
        "    node, last",
        "k_regular_graph",
    ),
    *(
        check(f"places in order, {what}", "secagg/key_list.py", old, new, "k_regular_graph")
        for what, old, new in (
            ("at all", "    _check_places(context, message)\n", ""),
            ("rising", "if not 0 < distance <= parted:", "if not distance <= parted:"),
            ("no further than the parties", "if not 0 < distance <= parted:", "if not 0 < distance:"),
            (
                "from the first",
                "zip(_steps(parties), _steps(places), strict=True):",
                "zip(_steps(parties[1:]), _steps(places[1:]), strict=True):",
            ),
            (
                "to the last",
                "zip(_steps(parties), _steps(places), strict=True):",
                "zip(_steps(parties[:-1]), _steps(places[:-1]), strict=True):",
            ),
        )
    ),
    check(
        "limit of a body by the degree, at the party",
        "secagg/client.py",
        "body_limit(kind, self.context.parties, self.context.degree(self.context.parties))",
        "body_limit(kind, self.context.parties)",
        "k_regular_graph",
    ),
    check(
        "limit of a body by the degree, at the server",
        "secagg/server.py",
        "degree = self.context.degree(self.context.parties)",
        "degree = None",
        "k_regular_graph",
    ),
    # Noise that is taken off again
    check(
        "seeds of noise beyond those missing",
        "secagg/unmask.py",
        "range(context.parties - len(survivors) + 1, context.noise_labels + 1)",
        "range(1, context.noise_labels + 1)",
        "xnoise",
    ),
    check(
        "seeds of noise by one",
        "secagg/unmask.py",
        "range(context.parties - len(survivors) + 1, context.noise_labels + 1)",
        "range(max(1, context.parties - len(survivors)), context.noise_labels + 1)",
        "xnoise",
    ),
    check(
        "seeds of noise of survivors only",
        "secagg/unmask.py",
        "return tuple(map(noise_label, numbers)) if owner in survivors else ()",
        "return tuple(map(noise_label, numbers))",
        "xnoise",
    ),
    check(
        "seeds of noise with the self mask only",
        "secagg/dealing.py",
        "if noise and (label is",
        "if 0 and (label is",
        "xnoise",
    ),
    *(
        check(
            f"seeds of noise with the self mask only, {what}",
            "secagg/dealing.py",
            "if noise and (label is not Label.SELF_MASK or not set(LABELS).isdisjoint(noise)):",
            new,
            "xnoise",
        )
        for what, new in (
            ("not the mask key", "if noise and not set(LABELS).isdisjoint(noise):"),
            ("not both secrets", "if noise and label is not Label.SELF_MASK:"),
        )
    ),
    check(
        "noise for those missing",
        "secagg/consistency.py",
        "elif len(survivors) < context.noise_floor:",
        "elif False:",
        "xnoise",
    ),
    check(
        "noise for those missing, at the server",
        "secagg/server.py",
        "self._need(answered, self.context.noise_floor, step)",
        "pass",
        "xnoise",
    ),
    check(
        "noise for those missing, by one",
        "types.py",
        "return self.parties - self.noise_labels if",
        "return self.parties - self.noise_labels - 1 if",
        "xnoise",
    ),
    check("seeds of noise given once", "secagg/share_keys.py", "if self._given:", NEVER, "xnoise"),
    check(
        "seeds of noise wiped",
        "secagg/share_keys.py",
        "        for seed in self.noise:\n            seed.wipe()\n",
        "",
        "xnoise",
    ),
    check(
        "seeds of noise kept as dealt",
        "secagg/kept.py",
        "Dealer(Secret(seed), KeyPair.from_private(private), incoming, list(map(Secret, noise)))",
        "Dealer(Secret(seed), KeyPair.from_private(private), incoming, [Secret(bytes(32)) for _ in noise])",
        "xnoise",
    ),
    check("noise of every seed", "pipeline/private.py", "if len(noise_seeds) != release.seeds:", NEVER, "xnoise"),
    check(
        "seeds of noise within a dealing",
        "dp/mechanisms/mechanism.py",
        "if self.max_dropouts > MOST_DROPOUTS:",
        NEVER,
        "xnoise",
    ),
    check(
        "seeds of noise bounded on the wire",
        "secagg/server.py",
        "body_limit(kind, self.context.parties, degree, self.context.noise_labels)",
        "body_limit(kind, self.context.parties, degree, 62)",
        "xnoise",
    ),
    check(
        "no more than were invited",
        "secagg/key_list.py",
        "if message.attending > context.parties:",
        NEVER,
        "k_regular_graph",
    ),
    check(
        "t for those who came",
        "secagg/k_regular.py",
        "    return max(threshold, least)",
        "    return threshold",
        "k_regular_graph",
    ),
    check(
        "graph for those who came",
        "secagg/key_list.py",
        '        raise _refuse(str(error), "start a new round when more parties are there") from error',
        "        return context",
        "k_regular_graph",
    ),
    check(
        "connected for those who came",
        "secagg/k_regular.py",
        "if not connected(parties, corrupted + dropped, neighbours, sigma) or least > neighbours:",
        "if least > neighbours:",
        "k_regular_graph",
    ),
    check(
        "t within the degree",
        "secagg/k_regular.py",
        "if not connected(parties, corrupted + dropped, neighbours, sigma) or least > neighbours:",
        "if not connected(parties, corrupted + dropped, neighbours, sigma):",
        "k_regular_graph",
    ),
    check(
        "t raised at the server",
        "secagg/server.py",
        "self.context = fit(self.context, len(answered))",
        "fit(self.context, len(answered))",
        "k_regular_graph",
    ),
    check(
        "no more survivors than came",
        "secagg/consistency.py",
        "elif len(survivors) > keys.attending:",
        "elif False:",
        "k_regular_graph",
    ),
    check(
        "U3 within A_u where it can be seen",
        "secagg/consistency.py",
        "if not seen <= neighbours | {party}:",
        NEVER,
        "k_regular_graph",
    ),
    check(
        "U3 beyond one's part of the list",
        "secagg/consistency.py",
        "seen = survivors if context.graph is Graph.COMPLETE else survivors & keys.entries.keys()",
        "seen = survivors",
        "k_regular_graph",
    ),
    check(
        "dealing to the own neighbourhood",
        "secagg/server.py",
        "neighbours, noise = self._got.graph.of(party), ",
        "neighbours, noise = frozenset(item.party for item in message.sealed), ",
        "k_regular_graph",
    ),
    check(
        "A_u within the neighbourhood",
        "secagg/server.py",
        "self._got.graph.of(party) & self._got.dealt.keys()",
        "frozenset(self._got.dealt) - {party}",
        "k_regular_graph",
    ),
    check(
        "A_u of those who dealt",
        "secagg/server.py",
        "self._got.graph.of(party) & self._got.dealt.keys()",
        "self._got.graph.of(party)",
        "k_regular_graph",
    ),
    check(
        "k-regular under an active server",
        "secagg/parameters.py",
        "    if server is ServerModel.ACTIVE:\n        raise UnsafePlanError(",
        "    if False:\n        raise UnsafePlanError(",
        "view_splitting",
    ),
    check("even degree", "secagg/parameters.py", "if neighbours % 2:", NEVER, "k_regular_graph"),
    check(
        "floor counts the dropouts",
        "secagg/parameters.py",
        "        min_survivors = n - lost\n",
        "        min_survivors = n\n",
        "k_regular_graph",
    ),
    check(
        "room between floor and dropouts",
        "secagg/parameters.py",
        "        n - lost,\n",
        "        n,\n",
        "k_regular_graph",
    ),
    check(
        "graph chosen for the floor",
        "secagg/parameters.py",
        "choose_degree(n, max_colluders, n - min_survivors,",
        "choose_degree(n, max_colluders, lost,",
        "k_regular_graph",
    ),
    check(
        "length of the list under the root",
        "secagg/context.py",
        'digest("key list", attending, tree_root)',
        'digest("key list", tree_root)',
        "k_regular_graph",
    ),
    check(
        "connectivity of a degree that was given",
        "secagg/k_regular.py",
        "        if not connected(parties, corrupted + dropped, k, sigma):\n            continue\n",
        "",
        "k_regular_graph",
    ),
    check("threshold that was given", "secagg/k_regular.py", "if least <= t <= most:", "if True:", "k_regular_graph"),
    check(
        "threshold that was given, secure",
        "secagg/k_regular.py",
        "if least <= t <= most:",
        "if t <= most:",
        "k_regular_graph",
    ),
    check(
        "threshold that was given, live",
        "secagg/k_regular.py",
        "if least <= t <= most:",
        "if least <= t:",
        "k_regular_graph",
    ),
    # Keys that are sent ahead
    check("keys ahead of their sender", "session/server.py", "if envelope.sender != party:", NEVER, "prefetch"),
    check(
        "keys ahead that are refused",
        "session/server.py",
        "            except RemoteProtocolError:\n                continue",
        "            except ZeroDivisionError:\n                continue",
        "prefetch",
    ),
    check(
        "keys ahead as the plan says, at the server",
        "secagg/server.py",
        "if message.next_keys and not self.context.prefetch:",
        NEVER,
        "prefetch",
    ),
    check(
        "keys ahead as the plan says, at the party",
        "secagg/client.py",
        "self._next_keys = next_keys if context.prefetch else None",
        "self._next_keys = next_keys",
        "prefetch",
    ),
    check(
        "keys ahead are of the next round",
        "secagg/incoming.py",
        "name = names[envelope.sender]\n    if (envelope.session, envelope.round) != (context.session, context.round):",
        "name = names[envelope.sender]\n    if False:",
        "prefetch",
    ),
    check(
        "keys ahead are signed",
        "secagg/server.py",
        "check_seal(envelope, binding=self.binding, verify_key=verify_key, suspect=name)",
        "pass",
        "prefetch",
    ),
    check(
        "policy on keys ahead",
        "session/client.py",
        "            self._policy.check(plan, self._roster, rounds_before=self.rounds_joined)\n        except PolicyRefusedError:",
        "            pass\n        except PolicyRefusedError:",
        "prefetch",
    ),
    check(
        "policy on entering the round ahead",
        "session/client.py",
        "self._policy.check(plan, self._roster, rounds_before=self.rounds_joined - counted)",
        "pass",
        "prefetch",
    ),
    check(
        "keys ahead forgotten when others are made",
        "session/client.py",
        "        if self._next is not None and self._next is not following:\n            self._next.abort()\n",
        "",
        "prefetch",
    ),
    check(
        "keys ahead serve once",
        "session/client.py",
        "self._round, self._next = following, None\n",
        "self._round = following\n",
        "prefetch",
    ),
    # The wire
    check("limit of the codec", "wire/codec.py", "if len(data) > limit:", NEVER, "huge_messages"),
    check("canonical form", "wire/codec.py", "if _encoder.encode(message) != data:", NEVER, "damaged_messages"),
    check(
        "typed errors of the codec",
        "wire/codec.py",
        "except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:",
        "except msgspec.ValidationError as error:",
        "damaged_messages",
    ),
    check(
        "limit of a body",
        "wire/envelope.py",
        "if len(envelope.body) > limit:",
        NEVER,
        "huge_messages",
    ),
    check(
        "checksum",
        "wire/envelope.py",
        'if not equal(envelope.seal, checksum("envelope", *fields)):',
        NEVER,
        "damaged_messages",
    ),
    check(
        "signature of the envelope",
        "wire/envelope.py",
        'verify(verify_key, envelope.seal, digest("envelope", *fields))',
        "pass",
        "lying_keys",
    ),
    *(
        Check(f"seal covers {what}", "wire/envelope.py", edits, ("damaged_messages", "replay"))
        for what, edits in (
            (
                "binding",
                (
                    ("(binding, int(kind), session", "(int(kind), session"),
                    ("        binding,\n        int(env", "        int(env"),
                ),
            ),
            (
                "kind",
                (("(binding, int(kind), session", "(binding, session"), ("        int(envelope.kind),\n", "")),
            ),
            (
                "sender",
                (
                    ("round_number, sender, data)\n    mark", "round_number, data)\n    mark"),
                    ("        envelope.sender,\n        envelope.body,", "        envelope.body,"),
                ),
            ),
            (
                "body",
                (
                    ("sender, data)\n    mark", "sender)\n    mark"),
                    ("        envelope.sender,\n        envelope.body,", "        envelope.sender,"),
                ),
            ),
        )
    ),
    check(
        "version",
        "wire/envelope.py",
        "msgspec.Meta(ge=VERSION, le=VERSION)",
        "msgspec.Meta(ge=0, le=99)",
        "damaged_messages",
    ),
    check("size of a set", "wire/bitmap.py", "if len(data) != size:", NEVER, "both_shares"),
    check("no party beyond the last", "wire/bitmap.py", "if bits[parties:].any():", NEVER, "both_shares"),
    check(
        "bounded index",
        "wire/messages.py",
        "PartyIndex: TypeAlias = Annotated[int, msgspec.Meta(ge=0, lt=MAX_PARTIES)]",
        "PartyIndex: TypeAlias = Annotated[int, msgspec.Meta(ge=0)]",
        "huge_messages",
    ),
    check(
        "frozen messages",
        "wire/messages.py",
        "class Message(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):",
        "class Message(msgspec.Struct, frozen=True, array_like=True):",
        "damaged_messages",
    ),
    # The session
    check("a policy there", "session/client.py", "if not isinstance(policy, ClientPolicy):", NEVER, "downgrade"),
    check(
        "own identity",
        "session/client.py",
        "if identity is not None and roster.signed and identity.verify_key != roster.members[self._index].verify_key:",
        NEVER,
        "downgrade",
    ),
    check("invited by the server", "session/invitation.py", "if envelope.sender != SERVER_INDEX:", NEVER, "downgrade"),
    check(
        "own roster",
        "session/invitation.py",
        "if not equal(message.roster_digest, roster.digest()):",
        NEVER,
        "downgrade",
    ),
    check(
        "seal of an invitation",
        "session/invitation.py",
        "check_seal(envelope, binding=binding, verify_key=None, suspect=SERVER)",
        "pass",
        "replay",
    ),
    check(
        "a round joined once",
        "session/client.py",
        "if envelope.round <= self._latest.get(envelope.session, -1):",
        NEVER,
        "replay",
    ),
    check(
        "the same round not again",
        "session/client.py",
        "if envelope.round <= self._latest.get(envelope.session, -1):",
        "if envelope.round < self._latest.get(envelope.session, -1):",
        "replay",
    ),
    check(
        "policy on the invitation",
        "session/client.py",
        "            self._policy.check(plan, self._roster, rounds_before=self.rounds_joined)\n"
        "        except PolicyRefusedError as refusal:",
        "            pass\n        except PolicyRefusedError as refusal:",
        "downgrade",
    ),
    check(
        "policy on the key list",
        "session/client.py",
        "self._policy.check_attendance(attending)",
        "pass",
        "downgrade",
    ),
    check(
        "parties of the plan",
        "plan/plan.py",
        "if parties is not None and message.parties != parties:",
        NEVER,
        "downgrade",
    ),
    check(
        "open round left",
        "session/client.py",
        "        self._leave_round()\n        if self._submission",
        "        if self._submission",
        "state_after_errors",
    ),
    check(
        "rounds counted",
        "session/client.py",
        "self._joined += 1",
        "pass",
        "downgrade",
    ),
    check(
        "model compared",
        "session/client.py",
        "submission.check_model(plan, current.model_digest)",
        "pass",
        "downgrade",
    ),
    check(
        "update used once",
        "session/client.py",
        "        self._submission = None\n        try:",
        "        try:",
        "state_after_errors",
    ),
    check(
        "update dies with its round",
        "session/client.py",
        "if self._submission is not None and self._submission.meant_for is self._round:",
        NEVER,
        "state_after_errors",
    ),
    check(
        "round left when the update fails",
        "session/client.py",
        "            current.abort()\n            raise",
        "            raise",
        "state_after_errors",
    ),
    check(
        "sender by the transport",
        "session/server.py",
        "self._roster.names[envelope.sender] != party):",
        "False):",
        "state_after_errors",
    ),
    check(
        "keys under active", "session/server.py", "if plan.parameters.active and not roster.signed:", NEVER, "downgrade"
    ),
    # The policy
    check("expiry", "policy/policy.py", "if date > self.expires:", NEVER, "downgrade"),
    check(
        "expiry by a day",
        "policy/policy.py",
        "if date > self.expires:",
        "if (date - self.expires).days > 1:",
        "downgrade",
    ),
    check(
        "server model",
        "policy/policy.py",
        "if self.server is ServerModel.ACTIVE and chosen.server is not ServerModel.ACTIVE:",
        NEVER,
        "downgrade",
    ),
    check("graph", "policy/policy.py", "if chosen.graph not in self.graphs:", NEVER, "downgrade"),
    *(
        check(
            floor,
            "policy/policy.py",
            f'("{floor}", chosen.{offered}, self.{floor})',
            f'("{floor}", 99, self.{floor})',
            "downgrade",
        )
        for floor, offered in (
            ("min_parties", "parties"),
            ("min_survivors", "min_survivors"),
            ("min_threshold", "threshold"),
            ("min_colluders", "max_colluders"),
        )
    ),
    check(
        "max_rounds",
        "policy/policy.py",
        "rounds_before >= self.max_rounds:",
        "rounds_before > self.max_rounds:",
        "downgrade",
    ),
    check("purpose", "policy/policy.py", "if self.purposes and plan.purpose not in self.purposes:", NEVER, "downgrade"),
    check(
        "roster fingerprint",
        "policy/policy.py",
        "if self.roster_fingerprint and roster.fingerprint != self.roster_fingerprint:",
        NEVER,
        "downgrade",
    ),
    check("noise demanded", "policy/policy.py", "if not demanded:", "if True:", "downgrade"),
    check(
        "policy digest",
        "policy/policy.py",
        "if plan.policy_digest and plan.policy_digest != self.digest():",
        NEVER,
        "downgrade",
    ),
    check("min_parties attending", "policy/policy.py", "if attending < self.min_parties:", NEVER, "downgrade"),
    # The parameters
    check(
        "active plan strict",
        "secagg/parameters.py",
        "if active and 2 * threshold <= n + colluders:",
        "if active and 2 * threshold < n + colluders:",
        "downgrade",
    ),
    check(
        "semi-honest plan strict",
        "secagg/parameters.py",
        "if not active and threshold <= colluders:",
        "if not active and threshold < colluders:",
        "downgrade",
    ),
    check(
        "floor beside colluders",
        "secagg/parameters.py",
        "floor = max(MIN_PARTIES, max_colluders + 2)",
        "floor = max(MIN_PARTIES, max_colluders + 1)",
        "downgrade",
    ),
    check(
        "threshold of two",
        "secagg/parameters.py",
        '"threshold", threshold, 2, n - 1, "one share must open nothing, and n - 1',
        '"threshold", threshold, 1, n - 1, "one share must open nothing, and n - 1',
        "downgrade",
        "flower_defects",
    ),
    check("three parties", "secagg/k_regular.py", "MIN_PARTIES: Final = 3", "MIN_PARTIES: Final = 2", "downgrade"),
    # The keys
    check(
        "a mask key for each pair",
        "secagg/derive.py",
        'info=b"pair" + u32(min(one, other)) + u32(max(one, other))',
        'info=b"pair"',
        "flower_defects",
    ),
    check(
        "a share key for each direction",
        "secagg/derive.py",
        'info=b"share" + u32(source) + u32(destination)',
        'info=b"share" + u32(min(source, destination)) + u32(max(source, destination))',
        "flower_defects",
    ),
    check(
        "mask keys of the round",
        "secagg/derive.py",
        'derive_key(agreed, salt=ctx, info=b"pair"',
        'derive_key(agreed, salt=b"", info=b"pair"',
        "flower_defects",
    ),
    # Plan, roster, encoding
    check("a plan's one form", "plan/plan.py", "if plan.to_bytes() != data:", NEVER, "downgrade"),
    check(
        "ring that overflows",
        "plan/plan.py",
        "not needed <= bits <= 64",
        "not 8 <= bits <= 64",
        "downgrade",
        "flower_defects",
    ),
    check(
        "weight within bounds",
        "pipeline/encode.py",
        "or not 1 <= weight <= plan.max_weight:",
        "or False:",
        "flower_defects",
    ),
    check(
        "sum of weights",
        "pipeline/decode.py",
        "if not survivors <= weight_sum <= survivors * plan.max_weight:",
        NEVER,
        "state_after_errors",
    ),
    check("names printable", "plan/roster.py", "        or not name.isprintable()\n", "", "names"),
    check("name of the server", "plan/roster.py", "        or _folded(name) == SERVER\n", "", "names"),
    check(
        "names once",
        "plan/roster.py",
        '_refuse_doubles("name", [_folded(member.name) for member in self.members])',
        "pass",
        "names",
    ),
    check(
        "keys once",
        "plan/roster.py",
        '_refuse_doubles("key", [member.verify_key.hex() for member in self.members if member.verify_key])',
        "pass",
        "names",
    ),
    check(
        "words below 2^b off the wire",
        "encoding/words.py",
        "if bits % 8 and count and words.max() > ring.mask:",
        NEVER,
        "huge_messages",
    ),
    check("points of shares", "crypto/shamir.py", "if x in seen:", NEVER, "lying_shares"),
    check("shares at zero", "crypto/shamir.py", "if not 0 < x < PRIME:", NEVER, "lying_shares"),
    check("shares below p", "crypto/shamir.py", "if value >= PRIME:", NEVER, "lying_shares"),
    check("secrets below 2^256", "crypto/shamir.py", "if secret >> 8 * SECRET_BYTES:", NEVER, "lying_shares"),
    check(
        "degree of the polynomial",
        "crypto/shamir.py",
        "range(threshold - 1)",
        "range(threshold - 2)",
        "lying_shares",
        "split_survivors",
    ),
    # Privacy
    check("noise as said", "dp/mechanisms/release.py", "if not self.noise_multiplier >= asked:", NEVER, "privacy"),
    check(
        "noise as demanded",
        "policy/policy.py",
        "if self.min_noise_multiplier is not None and release.noise_multiplier < self.min_noise_multiplier:",
        NEVER,
        "privacy",
    ),
    check("noise of the parties", "policy/policy.py", "if release.noise_by_server:", NEVER, "privacy"),
    check("epsilon of a party", "policy/policy.py", "if not spent <= self.max_epsilon:", NEVER, "privacy"),
    check("a ledger at all", "session/charging.py", "    if ledger is None:", "    if False:", "privacy"),
    check(
        "charged before y_u",
        "session/client.py",
        "head = ledger.charge(self._charge(plan, current.context, current.binding))",
        "head = ledger.head",
        "privacy",
    ),
    check(
        "budget asked before keys",
        "session/client.py",
        "ledger.check(self._charge(plan, context, binding))",
        "pass",
        "privacy",
    ),
    check(
        "charged before opening",
        "session/server.py",
        "heads = ledger.charge_all(self._charges(survivors, ctx))",
        "heads = ()",
        "privacy",
    ),
    check(
        "budget asked before inviting",
        "session/server.py",
        "ledger.check(*self._charges(range(len(self._roster)), bytes(32)))",
        "pass",
        "privacy",
    ),
    check("ledgers that were cut off", "session/charging.py", "ledger.require(head)", "pass", "privacy"),
    check(
        "colluders of XNoise", "dp/mechanisms/mechanism.py", "if not 0 <= floor.colluders <= most:", NEVER, "privacy"
    ),
    check("metrics beside noise", "plan/privacy.py", "    if metrics:", "    if False:", "privacy"),
    check(
        "counters beside noise",
        "plan/privacy.py",
        'if not leaf.dtype.startswith(("float", "<f", ">f")):',
        NEVER,
        "privacy",
    ),
    check("keys ahead of a clip", "plan/privacy.py", "if mechanism.adaptive and prefetch:", NEVER, "privacy"),
    check("a bound a layer", "plan/privacy.py", "len(mechanism.clip.bounds) != len(layout.leaves)", "False", "privacy"),
    check(
        "one kind of grid",
        "plan/plan.py",
        "if isinstance(encoding, FixedPoint) != (privacy is None):",
        NEVER,
        "privacy",
    ),
    check("a draft is not sent", "plan/plan.py", "if self.private and self.release is None:", NEVER, "privacy"),
    check(
        "relation of the mechanism",
        "dp/mechanisms/mechanism.py",
        "if self.relation not in self.relations:",
        NEVER,
        "privacy",
    ),
    check(
        "unit of the mechanism",
        "dp/mechanisms/mechanism.py",
        "Unit.parse(self.unit).require_yielded(dp_sgd=False)",
        "pass",
        "privacy",
    ),
    check("least sigma", "dp/mechanisms/mechanism.py", "if variance < Fraction(least) ** 2:", NEVER, "privacy"),
    check(
        "least of least sigmas",
        "dp/mechanisms/mechanism.py",
        "if not LEAST_SIGMA <= self.min_sigma < math.inf:",
        NEVER,
        "privacy",
    ),
]
