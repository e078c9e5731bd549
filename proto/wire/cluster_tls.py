"""TLS among the processes of a cluster, by the secret that all of them know.

Whoever knows it can make the cluster's authority: that one's key follows from the secret. Each
process issues itself a certificate for a key of its own, shows it, and believes only who shows one
of the same authority. So no key lies in a file or is sent to anybody, and nothing expires; who does
not know the secret is nobody, and hears nothing. On this machine's own address there is no TLS.
"""

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache, lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import GeneralName

OF_THIS_MACHINE = ("127.0.0.1", "::1", "localhost")
NAME = "raylax.cluster"
"""In every certificate: what counts is who has issued it."""
AUTHORITY = b"raylax: authority of a cluster"
ALWAYS = datetime(2000, 1, 1), datetime(9999, 12, 31, 23, 59, 59)
"""A cluster's clocks may say what they like; its secret lasts as long as the cluster does."""
WIDE = 48
"""Bytes of which a key is made: so many that none is likelier than another."""
SECRETS = 64
"""Of as many a process keeps what follows from them: the cluster's, and those of engines."""


def crosses_a_wire(host: str) -> bool:
    """Whether what is said to this address can leave the machine."""
    return host not in OF_THIS_MACHINE


@dataclass(frozen=True, slots=True)
class Identity:
    """What a process shows, and whom it believes, in PEM."""

    authority: bytes
    certificate: bytes
    key: bytes = field(repr=False)


@lru_cache(SECRETS)
def identity_of(secret: str | bytes) -> Identity:
    """Of this process, in the cluster with this secret."""
    return issued(secret, (NAME,))


def issued(secret: str | bytes, names: Sequence[str]) -> Identity:
    """A certificate for these names and addresses, by the authority of the cluster with this
    secret."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    pem, private = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    authority, key = authority_key(secret), own_key()
    issuer = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, f"authority of {NAME}")])
    issued_by = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())

    def signed(subject: x509.Name, public: ec.EllipticCurvePublicKey, is_authority: bool) -> bytes:
        made = x509.CertificateBuilder(
            issuer, subject, public, x509.random_serial_number(), *ALWAYS
        )
        made = made.add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        made = made.add_extension(x509.SubjectKeyIdentifier.from_public_key(public), False)
        made = made.add_extension(issued_by, False)
        if not is_authority:
            called = x509.SubjectAlternativeName([general_name(name) for name in names])
            made = made.add_extension(called, critical=False)
        return made.sign(authority, hashes.SHA256()).public_bytes(pem)

    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, NAME)])
    return Identity(
        signed(issuer, authority.public_key(), True),
        signed(subject, key.public_key(), False),
        key.private_bytes(pem, private, serialization.NoEncryption()),
    )


def general_name(name: str) -> "GeneralName":
    """An address, or a name of the domain system."""
    from cryptography import x509

    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def authority_key(secret: str | bytes) -> "EllipticCurvePrivateKey":
    """The key that follows from a secret, the same for all who know it."""
    from cryptography.hazmat.primitives.asymmetric import ec

    curve = ec.SECP256R1()
    drawn = int.from_bytes(derived(secret, AUTHORITY, WIDE))
    return ec.derive_private_key(drawn % (curve.group_order - 1) + 1, curve)


def derived(secret: str | bytes, purpose: bytes, size: int) -> bytes:
    """What follows from a secret, for one purpose: it tells nothing of what follows for another."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    content = secret.encode() if isinstance(secret, str) else secret
    return HKDF(hashes.SHA256(), size, salt=None, info=purpose).derive(content)


@cache
def own_key() -> "EllipticCurvePrivateKey":
    """This process's own."""
    from cryptography.hazmat.primitives.asymmetric import ec

    return ec.generate_private_key(ec.SECP256R1())


@lru_cache(2 * SECRETS)
def context_of(secret: str | bytes, accepts: bool) -> ssl.SSLContext:
    """TLS 1.3 with certificates at both ends, for who `accepts` a connection or makes one."""
    identity = identity_of(secret)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if accepts else ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname, context.verify_mode = False, ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=identity.authority.decode())
    with os.fdopen(os.memfd_create("certificate"), "wb") as file:  # it wants a file
        file.write(identity.certificate + identity.key)
        file.flush()
        context.load_cert_chain(f"/proc/self/fd/{file.fileno()}")
    if accepts:
        context.num_tickets = 0  # nobody comes back to a session
    return context
