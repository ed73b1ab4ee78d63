"""Building and reading X.509 certificates: what every certificate of Copernicus looks like.

An authority signs two kinds of leaf. The *server leaf* may only serve (EKU serverAuth) and names
``<server_id>.cpc.internal`` beside the real names. A *worker leaf* may only call (EKU clientAuth)
and its one name is the URI ``cpc://<server_id>/worker/<worker_id>``. All keys are P-256.
"""

from __future__ import annotations

import base64
import hashlib
import ipaddress
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from copernicus.errors import BadSettings, BadValue

INTERNAL_DOMAIN = "cpc.internal"
CLOCK_SKEW = timedelta(minutes=10)
"""Certificates begin this much in the past: clocks of a cluster's nodes differ."""

_AUTHORITY_LIFE = timedelta(days=20 * 365)
_HOST_NAME = re.compile(r"(?=.{1,253}$)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*")


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority's certificate with its private key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey


@dataclass(frozen=True, slots=True)
class Validity:
    """From when until when a certificate holds (aware, UTC)."""

    not_before: datetime
    not_after: datetime

    def renewal_due(self, now: datetime) -> bool:
        """True once two thirds of the life are over; or if it was made by a clock far ahead."""
        due = self.not_before + (self.not_after - self.not_before) * 2 / 3
        return now >= due or now < self.not_before


def new_key() -> ec.EllipticCurvePrivateKey:
    """A fresh P-256 key."""
    return ec.generate_private_key(ec.SECP256R1())


def key_to_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """The unencrypted PKCS#8 form; keep it in a private file."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def key_from_pem(pem: bytes, source: str) -> ec.EllipticCurvePrivateKey:
    """Read a private key; ``source`` names it in errors.

    Raises:
        BadSettings: it is not an unencrypted elliptic-curve key.
    """
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise BadSettings(f"{source} is not a private key in PEM form.") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise BadSettings(f"{source} is not an elliptic-curve key.")
    return key


def certificate_from_pem(pem: str, source: str) -> x509.Certificate:
    """Read one certificate; ``source`` names it in errors.

    Raises:
        BadSettings: it is not a certificate.
    """
    try:
        return x509.load_pem_x509_certificate(pem.encode("ascii"))
    except ValueError as error:
        raise BadSettings(f"{source} is not a certificate in PEM form.") from error


def certificate_to_pem(certificate: x509.Certificate) -> str:
    """The PEM text, with a newline at its end."""
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")


def validity_of(certificate: x509.Certificate) -> Validity:
    """From when until when it holds."""
    return Validity(certificate.not_valid_before_utc, certificate.not_valid_after_utc)


def server_id_of_key(key: ec.EllipticCurvePublicKey) -> str:
    """The name that an authority's key gives its server: 130 bits of its SHA-256, base32."""
    spki = key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return base64.b32encode(hashlib.sha256(spki).digest()).decode("ascii")[:26].lower()


def tls_name(server_id: str) -> str:
    """The name to expect in a server's certificate, wherever that server is reached."""
    return f"{server_id}.{INTERNAL_DOMAIN}"


def build_authority(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    """The self-signed certificate of a new authority, valid for 20 years."""
    name = _common_name(f"Copernicus {server_id_of_key(key.public_key())}")
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(_second(now - CLOCK_SKEW))
        .not_valid_after(_second(now + _AUTHORITY_LIFE))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def build_server_leaf(
    issuer: Issuer,
    key: ec.EllipticCurvePublicKey,
    names: Sequence[str],
    lifetime: timedelta,
    now: datetime,
) -> x509.Certificate:
    """A certificate to serve with, for these canonical host names and IP addresses."""
    return _build_leaf(
        issuer,
        key,
        common_name=names[0],
        alternative_names=[_general_name(name) for name in names],
        usage=ExtendedKeyUsageOID.SERVER_AUTH,
        validity=Validity(now - CLOCK_SKEW, now + lifetime),
    )


def build_worker_leaf(
    issuer: Issuer,
    key: ec.EllipticCurvePublicKey,
    uri: str,
    lifetime: timedelta,
    now: datetime,
) -> x509.Certificate:
    """A certificate to call with, whose only name is the URI."""
    return _build_leaf(
        issuer,
        key,
        common_name="Copernicus worker",
        alternative_names=[x509.UniformResourceIdentifier(uri)],
        usage=ExtendedKeyUsageOID.CLIENT_AUTH,
        validity=Validity(now - CLOCK_SKEW, now + lifetime),
    )


def canonical_name(name: str) -> str:
    """A host name in ASCII and lower case, or an IP address in its shortest form.

    Raises:
        BadSettings: it is neither.
    """
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        host = name.encode("idna").decode("ascii").lower()
    except UnicodeError:
        host = ""
    if not _HOST_NAME.fullmatch(host):
        raise BadSettings(f"{name!r} is neither a host name nor an IP address.")
    return host


def names_of(leaf: x509.Certificate) -> list[str]:
    """The host names and addresses of a server leaf, in their order."""
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [str(name.value) for name in names]


def request_key(csr_pem: str) -> ec.EllipticCurvePublicKey:
    """The key in a certificate request whose sender has proved to own it.

    Raises:
        BadValue: it is no request, its signature is wrong, or its key is not P-256.
    """
    try:
        request = x509.load_pem_x509_csr(csr_pem.encode("ascii"))
        key = request.public_key()
        proved = request.is_signature_valid
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm) as error:
        raise BadValue("The certificate request cannot be read as PEM.") from error
    if not proved:
        raise BadValue("The certificate request is not signed by its own key.")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise BadValue("The certificate request must be for a P-256 key.")
    return key


def _build_leaf(
    issuer: Issuer,
    key: ec.EllipticCurvePublicKey,
    *,
    common_name: str,
    alternative_names: Sequence[x509.GeneralName],
    usage: ObjectIdentifier,
    validity: Validity,
) -> x509.Certificate:
    authority = issuer.certificate
    not_after = min(validity.not_after, authority.not_valid_after_utc)
    authority_key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(_common_name(common_name))
        .issuer_name(authority.subject)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(_second(validity.not_before))
        .not_valid_after(_second(not_after))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        .add_extension(x509.SubjectAlternativeName(alternative_names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(authority_key_id, critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def _common_name(text: str) -> x509.Name:
    # A common name holds 64 characters; longer host names are in the alternative names anyway.
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text[:64])])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _second(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(microsecond=0)
