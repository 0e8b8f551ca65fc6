"""Plan: everything that both sides of a session must agree on, and that cannot be constructed unsafe."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from securefl.crypto.digest import digest
from securefl.dp.mechanisms import Mechanism, QuantileClip, Release
from securefl.dp.mechanisms import choose as choose_noise
from securefl.dp.mechanisms.release import no_noise
from securefl.dp.modular_grid import ModularGrid
from securefl.dp.rotation import padded
from securefl.encoding.fixed_point import FixedPoint
from securefl.encoding.layout import Layout, tree_digest
from securefl.encoding.ring import Ring, required_bits
from securefl.encoding.words import packed_size
from securefl.errors import MalformedMessageError, UnsafePlanError
from securefl.plan import privacy as private
from securefl.plan.describe import facts, text
from securefl.plan.fields import check_text, check_types, check_weight, encoding_of, ranges_of
from securefl.plan.message import decoded, fields_of, message_of
from securefl.plan.paillier import Paillier
from securefl.plan.protocol import SecAgg
from securefl.plan.roster import Roster
from securefl.secagg.parameters import Parameters
from securefl.types import Graph, RoundContext, Step, Tree
from securefl.wire import codec

if TYPE_CHECKING:
    from securefl.paillier import SlotLayout

NO_MODEL = bytes(32)
"""The model digest of a round that starts from no model, such as a one-off sum."""


@dataclasses.dataclass(frozen=True, kw_only=True, eq=False)
class Plan:
    """The agreement for a session: frozen, hashed, sent as bounded bytes.

    Args:
        template: names, shapes and dtypes of an update: a tree of `(shape, dtype)` pairs or arrays, or a `Layout`.
        parties: n, or the roster of the parties.
        protocol: how the sum is protected.
        encoding: how floats become integers: a `FixedPoint`, or under differential privacy a `ModularGrid`.
        max_weight: the largest weight of a party; above 1 the weight travels as one more masked coordinate.
        metrics: range (low, high) of each metric that travels masked beside the update; values outside are clamped.
        ring_bits: b of the ring Z_{2^b}; by default the fewest bits in which no sum can overflow. A `ModularGrid` has its own.
        privacy: the mechanism of differential privacy; None for none. Without a noise multiplier the plan is a draft, for
            `securefl.dp.calibrate`.
        purpose: what the sum is for; a party's policy may demand it.
        policy_digest: digest of the policy that the parties agreed on, 32 bytes, or empty.

    Attributes:
        layout: the template as a `Layout`.
        parameters: threshold, colluders and floor, computed or checked.
        ring: the ring.
        release: the mechanism in numbers; None without privacy, and in a draft.
        slots: how vectors lie in Paillier plaintexts; None under another protocol, and in a draft.

    Raises:
        UnsafePlanError: it could overflow, is under-noised, releases something beside the noise, its threshold or floor is unsafe,
            or a value is out of bounds.
        EncodingError: the template is not one of arrays.
    """

    template: Tree
    parties: int | Roster
    protocol: SecAgg | Paillier = dataclasses.field(default_factory=SecAgg)
    encoding: FixedPoint | ModularGrid | None = None
    max_weight: int = 1
    metrics: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    ring_bits: int | None = None
    privacy: Mechanism | Release | None = None
    purpose: str = ""
    policy_digest: bytes = b""
    layout: Layout = dataclasses.field(init=False)
    parameters: Parameters = dataclasses.field(init=False)
    ring: Ring = dataclasses.field(init=False)
    release: Release | None = dataclasses.field(init=False)
    slots: SlotLayout | None = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "encoding", encoding_of(self.encoding, self.privacy))
        check_types(self.protocol, self.metrics)
        template = self.template
        layout = template if isinstance(template, Layout) else Layout.from_template(template)
        identities = isinstance(self.parties, Roster) and self.parties.signed
        parties = len(self.parties) if isinstance(self.parties, Roster) else self.parties
        parameters = self.protocol.resolve(parties, identities=identities, noisy=self.private)
        check_weight(self.max_weight)
        object.__setattr__(self, "template", layout)
        object.__setattr__(self, "layout", layout)
        if identities:
            object.__setattr__(self, "protocol", self.protocol.settled(parameters))
        object.__setattr__(self, "parties", parties)
        object.__setattr__(self, "parameters", parameters)
        object.__setattr__(self, "metrics", ranges_of(self.metrics))
        object.__setattr__(self, "ring", self._choose_ring(parties))
        self._choose_release()
        object.__setattr__(self, "slots", self._choose_slots(parties))
        check_text(self.purpose, self.policy_digest)

    @classmethod
    def for_updates(cls, updates: Mapping[str, Tree], **fields: Any) -> Plan:
        """The plan that fits a set of updates: their template and their number; other fields as in `Plan`.

        Raises:
            UnsafePlanError: fewer than 3 updates, or as `Plan`.
            LayoutMismatchError: two updates differ in names, shapes or dtypes.
        """
        if not updates:
            raise UnsafePlanError("there are no updates", value=0, bound=">= 3", remedy="give one update a party")
        layout = Layout.of(next(iter(updates.values())))
        for update in updates.values():
            layout.arrays(update)
        return cls(template=layout, parties=len(updates), **fields)

    def replace(self, **changes: Any) -> Plan:
        """A new plan with some fields changed; computed values are computed again.

        With privacy come or gone, the encoding is the default of the other kind, unless it is given, too.
        """
        if "privacy" in changes and (changes["privacy"] is None) != (self.privacy is None):
            changes = {"encoding": None, "ring_bits": None, **changes}
        return dataclasses.replace(self, **changes)

    @property
    def private(self) -> bool:
        """Whether there is differential privacy in it."""
        return self.privacy is not None

    @property
    def steps(self) -> tuple[Step, ...]:
        """The steps of a round, in order."""
        if isinstance(self.protocol, Paillier):
            return (Step.MASKED_INPUT, Step.UNMASK)
        return tuple(step for step in Step if self.parameters.active or step is not Step.CONSISTENCY)

    @property
    def fixed_point(self) -> FixedPoint:
        """The grid of a plan without differential privacy.

        Raises:
            UnsafePlanError: the plan has a `ModularGrid`.
        """
        if isinstance(self.encoding, FixedPoint):
            return self.encoding
        raise UnsafePlanError(
            "a private plan has no fixed grid",
            value=repr(self.encoding),
            bound="a FixedPoint",
            remedy="see Plan.release for its scale",
        )

    def _choose_release(self) -> None:
        """Lower the mechanism to numbers, or check those that came with it."""
        release: Release | None = None
        if self.privacy is not None:
            given = self.privacy if isinstance(self.privacy, Release) else None
            asked = given.mechanism if given is not None else self.privacy
            assert isinstance(asked, Mechanism)  # noqa: S101 - for type checkers; _encoding_of has looked
            grid = self.encoding
            assert isinstance(grid, ModularGrid)  # noqa: S101
            private.check_beside(asked, self.layout, metrics=self.metrics, prefetch=self.protocol.prefetch)
            floor = private.floor_of(self.parameters)
            if given is not None and (given.floor, given.size, given.grid) == (floor, self.layout.size, grid):
                release = given
            elif asked.noise_multiplier is not None:
                release = choose_noise(asked, floor, self.layout.size, grid)
            object.__setattr__(self, "privacy", asked)
        object.__setattr__(self, "release", release)

    def _choose_slots(self, parties: int) -> SlotLayout | None:
        """The layout in which no sum can overflow its slot; a plan for which there is none cannot be constructed."""
        if not isinstance(self.protocol, Paillier) or self.draft:
            return None
        if self.release is not None:
            return self.protocol.slots_for(self.release)
        return self.protocol.slots(parties, self.fixed_point.max_value, self.max_weight)

    def _choose_ring(self, parties: int) -> Ring:
        if isinstance(self.encoding, ModularGrid):
            if self.ring_bits is not None and (
                type(self.ring_bits) is not int or self.ring_bits != self.encoding.ring_bits
            ):
                raise UnsafePlanError(
                    "ring_bits beside a ModularGrid, which has its own",
                    value=repr(self.ring_bits),
                    bound=str(self.encoding.ring_bits),
                    remedy="leave ring_bits out",
                )
            return Ring(self.encoding.ring_bits)
        needed = required_bits(parties, self.max_weight, self.fixed_point.max_value)
        bits = needed if self.ring_bits is None else self.ring_bits
        if isinstance(bits, bool) or not isinstance(bits, int) or not needed <= bits <= 64:
            raise UnsafePlanError(
                f"a sum of {parties} values of {self.fixed_point.value_bits} bits with weights up to {self.max_weight} "
                "would overflow the ring, or its size is out of bounds",
                value=repr(bits),
                bound=f"{needed}..64 ring bits",
                remedy="leave ring_bits out; fewer value_bits or a smaller max_weight need fewer",
            )
        return Ring(bits)

    @property
    def length(self) -> int:
        """Coordinates of the masked vector: values, the weight if there is one, metrics; under privacy a power of two."""
        if self.privacy is not None:
            assert isinstance(self.privacy, Mechanism)  # noqa: S101 - for type checkers
            return padded(self.layout.size + self.privacy.adaptive)
        return self.layout.size + self.weighted + len(self.metrics)

    @property
    def weighted(self) -> bool:
        """Whether the weight travels as a masked coordinate; under privacy it is folded in before the clip."""
        return self.max_weight > 1 and not self.private

    @property
    def masked_bytes(self) -> int:
        """Bytes of one party's masked, or encrypted, vector on the wire, headers aside."""
        if isinstance(self.protocol, Paillier):
            return 0 if self.slots is None else self.slots.plaintexts(self.length) * self.protocol.public_key.bits // 4
        return packed_size(self.length, self.ring.bits)

    def to_bytes(self) -> bytes:
        """The plan on the wire; the same plan has the same bytes everywhere.

        Raises:
            UnsafePlanError: a draft, whose noise nobody has chosen.
        """
        if self.draft:
            raise no_noise()
        return codec.encode(message_of(self))

    @classmethod
    def from_bytes(cls, data: bytes, *, parties: int | None = None) -> Plan:
        """The plan that `to_bytes` wrote, checked as any other.

        Args:
            data: the plan.
            parties: n, where the reader knows it; a plan for another number is refused before anything is computed from it.

        Raises:
            MalformedMessageError: no plan, or not in canonical form.
            UnsafePlanError, EncodingError, CryptoError: a plan that cannot be constructed.
        """
        message = decoded(data)
        if parties is not None and message.parties != parties:
            raise UnsafePlanError(
                "the plan is for another number of parties",
                value=message.parties,
                bound=f"{parties}, the parties on the roster",
                remedy="make the plan from the roster",
            )
        plan = cls(**fields_of(message))
        if plan.to_bytes() != data:
            raise MalformedMessageError(
                "a plan is not in canonical form: its metrics or leaves are unordered or doubled",
                remedy="write it with Plan.to_bytes",
            )
        return plan

    def digest(self) -> bytes:
        """SHA-256 of the plan, 32 bytes; it enters every key, ciphertext and signature of a round."""
        return digest("plan", self.to_bytes())

    def with_next_clip(self, bit_sum: float, survivors: int) -> Plan:
        """The plan of the next round, after an adaptive clip has seen this one's noisy sum of bits.

        Args:
            bit_sum: noisy sum of the survivors' bits.
            survivors: |U3|.
        """
        release, asked = self.release, self.privacy
        state = None if release is None else release.adaptive
        if state is None or not isinstance(asked, Mechanism) or not isinstance(asked.clip, QuantileClip):
            return self
        clip = asked.clip.following(state.after(bit_sum, survivors))
        return self.replace(privacy=dataclasses.replace(asked, clip=clip))

    def rotation_seed(self, session: bytes, round_number: int) -> bytes:
        """The public seed of a round's rotation under privacy, 32 bytes; nobody chooses it, everybody derives it."""
        return digest("rotation", session, round_number, self.digest())

    def model_digest(self, model: Tree | None) -> bytes:
        """Digest of a model's names, shapes, dtypes and values, 32 bytes; zero bytes for no model."""
        return NO_MODEL if model is None else tree_digest(Layout.of(model), model)

    def for_round(
        self, session: bytes, round_number: int, *, roster: Roster, model_digest: bytes = NO_MODEL
    ) -> RoundContext:
        """What the protocol needs to know of one round: integers and bytes.

        Args:
            session: 16 bytes.
            round_number: number of the round in its session.
            roster: this side's own roster.
            model_digest: see `model_digest`.
        """
        chosen = self.parameters
        return RoundContext(
            session=session,
            round=round_number,
            roster_digest=roster.digest(),
            plan_digest=self.digest(),
            model_digest=model_digest,
            parties=chosen.parties,
            threshold=chosen.threshold,
            max_colluders=chosen.max_colluders,
            min_survivors=chosen.min_survivors,
            server=chosen.server,
            ring_bits=self.ring.bits,
            length=self.length,
            graph=chosen.graph,
            neighbours=chosen.neighbours if chosen.graph is Graph.K_REGULAR else 0,
            prefetch=self.protocol.prefetch,
            noise_labels=self.release.seeds if self.release is not None else 0,
        )

    def to_dict(self) -> dict[str, Any]:
        """The plan for people and JSON: what was agreed and what follows from it."""
        return facts(self)

    @property
    def draft(self) -> bool:
        """Whether its noise is still to be chosen: such a plan cannot be used or sent."""
        return self.private and self.release is None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Plan):
            return NotImplemented
        if self.draft or other.draft:
            return self is other
        return self.to_bytes() == other.to_bytes()

    def __hash__(self) -> int:
        return id(self) if self.draft else hash(self.to_bytes())

    def __str__(self) -> str:
        return text(self)
