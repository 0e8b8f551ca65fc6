"""What the reference raises: the page's two kinds of refusal, and the end of a round."""


class Malformed(Exception):  # noqa: N818
    """Bytes that are no message: not canonical, of another shape, out of bounds, or their checksum does not match."""


class Refused(Exception):  # noqa: N818
    """A well-formed message that breaks a rule, a key or signature that does not verify."""


class Aborted(Exception):  # noqa: N818
    """The round ends without a sum."""
