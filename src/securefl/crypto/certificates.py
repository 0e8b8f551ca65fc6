"""X.509 certificates: how long they hold. Who trusts whom is TLS's business, and Flower's."""

from __future__ import annotations

import datetime as dt

from cryptography import x509

from securefl.errors import CryptoError


def validity(pem: bytes) -> tuple[dt.datetime, dt.datetime]:
    """From when to when a certificate holds, UTC; of several in one file the shortest span.

    Args:
        pem: one or more certificates.

    Raises:
        CryptoError: no certificate.
    """
    try:
        found = x509.load_pem_x509_certificates(pem)
    except ValueError as error:
        raise CryptoError(
            f"no PEM certificate: {error}", remedy="give the file that begins with BEGIN CERTIFICATE"
        ) from error
    return max(each.not_valid_before_utc for each in found), min(each.not_valid_after_utc for each in found)
