"""Page, "Party sets": party i is bit i mod 8 of byte i div 8."""

from reference.errors import Malformed


def pack(members, parties):
    return sum(1 << member for member in set(members)).to_bytes(-(-parties // 8), "little")


def unpack(data, parties):
    number = int.from_bytes(data, "little")
    if len(data) != -(-parties // 8) or number >> parties:
        raise Malformed("a set of another length, or with a party beyond the last")
    return {member for member in range(parties) if number >> member & 1}
