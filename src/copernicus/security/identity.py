"""Who a server and its workers are.

A server is its own certificate authority and is named by the hash of that authority's key, so the
name cannot be forged and survives a change of address. A worker makes its key itself; the server
certifies it for a day and re-certifies it while it is trusted. Trust in the certificate is checked
twice: by TLS, which accepts every authority in its store, and by ``verify_worker_certificate``,
which accepts only the authority that owns the name.
"""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID

from copernicus.errors import BadSettings, BadValue, Conflict, NotAuthenticated
from copernicus.security.certificates import (
    Issuer,
    Validity,
    build_authority,
    build_server_leaf,
    build_worker_leaf,
    canonical_name,
    certificate_from_pem,
    certificate_to_pem,
    key_from_pem,
    key_to_pem,
    names_of,
    new_key,
    request_key,
    server_id_of_key,
    tls_name,
    validity_of,
)
from copernicus.security.files import make_private_folder, read_private, write_private

CA_KEY, CA_CERTIFICATE = "ca.key", "ca.pem"
SERVER_KEY, SERVER_CERTIFICATE = "server.key", "server.pem"

SERVER_LEAF_LIFE = timedelta(days=90)
NO_GRACE = timedelta(0)

_WORKER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_WORKER_URI = re.compile(rf"cpc://([a-z2-7]{{26}})/worker/({_WORKER_ID.pattern})")
# The key that opens TLS also signs challenges: the prefix keeps the two uses apart.
_CHALLENGE_CONTEXT = b"copernicus renew v1\0"


@dataclass(frozen=True, slots=True)
class WorkerIdentity:
    """What a worker's certificate proves; ``fingerprint`` is the SHA-256 of its DER form, hex."""

    server_id: str
    worker_id: str
    fingerprint: str
    not_before: datetime
    not_after: datetime


def create_authority(folder: Path, names: Sequence[str], now: datetime) -> None:
    """Make a new server identity: ``ca.key``, ``ca.pem``, ``server.key``, ``server.pem``.

    Args:
        folder: made with mode 0700 if it is missing; the files get mode 0600.
        names: host names and IP addresses under which the server is reached.
        now: aware time.

    Raises:
        Conflict: the folder already holds an authority.
        BadSettings: the folder cannot be used, or a name is wrong.
    """
    make_private_folder(folder)
    if (folder / CA_KEY).exists():
        raise Conflict(
            f"{folder} already holds a server identity ({CA_KEY}); it is never replaced."
        )
    ca_key, leaf_key = new_key(), new_key()
    issuer = Issuer(build_authority(ca_key, now), ca_key)
    leaf = _server_leaf(issuer, leaf_key.public_key(), names, now)
    write_private(folder / CA_CERTIFICATE, certificate_to_pem(issuer.certificate).encode())
    write_private(folder / SERVER_KEY, key_to_pem(leaf_key))
    write_private(folder / SERVER_CERTIFICATE, certificate_to_pem(leaf).encode())
    # Last: the authority's key marks the identity as complete, so a cut before it can be repeated.
    write_private(folder / CA_KEY, key_to_pem(ca_key))


class Authority:
    """A server's certificate authority, with its key: issues and renews certificates."""

    def __init__(self, folder: Path, issuer: Issuer) -> None:
        self._folder = folder
        self._issuer = issuer
        self.server_id: str = server_id_of_key(issuer.key.public_key())
        self.ca_pem: str = certificate_to_pem(issuer.certificate)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """Open the identity that ``create_authority`` made.

        Raises:
            BadSettings: a file is missing, damaged, open to others, or of another authority.
        """
        key = key_from_pem(read_private(folder / CA_KEY), str(folder / CA_KEY))
        certificate = _read_certificate(folder / CA_CERTIFICATE)
        if certificate.public_key() != key.public_key():
            raise BadSettings(f"{CA_KEY} and {CA_CERTIFICATE} in {folder} do not belong together.")
        return cls(folder, Issuer(certificate, key))

    def issue_worker(self, csr_pem: str, worker_id: str, lifetime: timedelta, now: datetime) -> str:
        """Certify a worker's key; returns the certificate as PEM.

        Raises:
            BadValue: the request is damaged or not for a P-256 key, or the id is malformed.
        """
        if not _WORKER_ID.fullmatch(worker_id):
            raise BadValue(f"{worker_id!r} cannot be a worker id: letters, digits, - and _ only.")
        uri = f"cpc://{self.server_id}/worker/{worker_id}"
        leaf = build_worker_leaf(self._issuer, request_key(csr_pem), uri, lifetime, now)
        return certificate_to_pem(leaf)

    def sign(self, challenge: bytes) -> bytes:
        """Prove to be this server, to another one that knows its authority's certificate."""
        return self._issuer.key.sign(_CHALLENGE_CONTEXT + challenge, ec.ECDSA(hashes.SHA256()))

    def renew_leaf_if_due(self, now: datetime, names: Sequence[str] | None = None) -> bool:
        """Replace ``server.pem`` when two thirds of its life are over or the names have changed.

        The key stays, so one file is replaced and no crash can part key and certificate.

        Args:
            now: aware time.
            names: the host names and addresses wanted from now on; None keeps the present ones.

        Returns:
            True if there is a new certificate, which the live TLS contexts have yet to load.
        """
        path = self._folder / SERVER_CERTIFICATE
        leaf = _read_certificate(path)
        present = names_of(leaf)
        wanted = present if names is None else _with_internal_name(self.server_id, names)
        if wanted == present and not validity_of(leaf).renewal_due(now):
            return False
        key_path = self._folder / SERVER_KEY
        key = key_from_pem(read_private(key_path), str(key_path))
        renewed = _server_leaf(self._issuer, key.public_key(), wanted, now)
        write_private(path, certificate_to_pem(renewed).encode())
        return True


@functools.lru_cache(maxsize=256)
def server_id_of(ca_pem: str) -> str:
    """The server's name that this authority certificate proves.

    Raises:
        BadSettings: it is not a certificate of an elliptic-curve key.
    """
    return server_id_of_key(_public_key(_authority(ca_pem), "The authority's certificate"))


def verify_worker_certificate(
    der: bytes, ca_pem: str, now: datetime, *, grace: timedelta = NO_GRACE
) -> WorkerIdentity:
    """Who shows this certificate to the server of this authority.

    Call it on every request, not once per connection: connections outlive ``not_after``. The
    signature is checked once per certificate, the dates every time.

    Args:
        der: the certificate as TLS hands it over.
        ca_pem: the server's own authority; others that TLS trusts may not name our workers.
        now: aware time.
        grace: how long after its end it is still taken (only to renew, with a signed challenge);
            with it, one of a date to come is taken too: our own clock was ahead when it was made.

    Raises:
        NotAuthenticated: another issuer, a name of another server, not for clients, or out of date.
    """
    identity = _proven_identity(der, ca_pem)
    if now < identity.not_before and not grace:
        raise NotAuthenticated(
            f"The certificate of worker {identity.worker_id} is not valid before "
            f"{identity.not_before.isoformat()}: compare the clocks."
        )
    if now > identity.not_after + grace:
        raise NotAuthenticated(
            f"The certificate of worker {identity.worker_id} expired at "
            f"{identity.not_after.isoformat()}: renew it, or join again."
        )
    return identity


def make_key_and_csr() -> tuple[str, str]:
    """A worker's new private key and the request to certify it, both PEM."""
    key = new_key()
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    request = csr.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    return key_to_pem(key).decode("ascii"), request.decode("ascii")


def certificate_validity(cert_pem: str) -> Validity:
    """The dates of a certificate, for its owner to know when to renew it.

    Raises:
        BadSettings: it is not a certificate.
    """
    return validity_of(certificate_from_pem(cert_pem, "The certificate"))


def certificate_der(cert_pem: str) -> bytes:
    """The DER form of a PEM certificate, as TLS would hand it over.

    Raises:
        BadSettings: it is not a certificate.
    """
    certificate = certificate_from_pem(cert_pem, "The certificate")
    return certificate.public_bytes(serialization.Encoding.DER)


def sign_challenge(key_pem: str, challenge: bytes) -> bytes:
    """Prove to own the key, for renewing a certificate that TLS no longer takes.

    Raises:
        BadSettings: the key cannot be read.
    """
    key = key_from_pem(key_pem.encode(), "The worker's key")
    return key.sign(_CHALLENGE_CONTEXT + challenge, ec.ECDSA(hashes.SHA256()))


def verify_challenge(cert_pem: str, challenge: bytes, signature: bytes) -> bool:
    """True if the key of this certificate signed this challenge.

    Raises:
        BadSettings: it is not a certificate of an elliptic-curve key.
    """
    key = _public_key(certificate_from_pem(cert_pem, "The certificate"), "The certificate")
    try:
        key.verify(signature, _CHALLENGE_CONTEXT + challenge, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True


def _server_leaf(
    issuer: Issuer, key: ec.EllipticCurvePublicKey, names: Sequence[str], now: datetime
) -> x509.Certificate:
    server_id = server_id_of_key(issuer.key.public_key())
    all_names = _with_internal_name(server_id, names)
    return build_server_leaf(issuer, key, all_names, SERVER_LEAF_LIFE, now)


def _with_internal_name(server_id: str, names: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([tls_name(server_id), *map(canonical_name, names)]))


def _read_certificate(path: Path) -> x509.Certificate:
    try:
        pem = path.read_bytes().decode("ascii")
    except OSError as error:
        raise BadSettings(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise BadSettings(f"{path} is not a certificate in PEM form.") from error
    return certificate_from_pem(pem, str(path))


@functools.lru_cache(maxsize=256)
def _authority(ca_pem: str) -> x509.Certificate:
    return certificate_from_pem(ca_pem, "The authority's certificate")


def _public_key(certificate: x509.Certificate, source: str) -> ec.EllipticCurvePublicKey:
    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadSettings(f"{source} is not for an elliptic-curve key.")
    return key


@functools.lru_cache(maxsize=4096)
def _proven_identity(der: bytes, ca_pem: str) -> WorkerIdentity:
    """Everything but the dates; the refusal does not teach a forger which check failed."""
    try:
        leaf = x509.load_der_x509_certificate(der)
        leaf.verify_directly_issued_by(_authority(ca_pem))
        server_id = server_id_of(ca_pem)
        worker_id = _named_worker(leaf, server_id)
    except (ValueError, TypeError, InvalidSignature, x509.ExtensionNotFound) as error:
        raise NotAuthenticated("This certificate is not one of a worker of this server.") from error
    return WorkerIdentity(
        server_id,
        worker_id,
        hashlib.sha256(der).hexdigest(),
        leaf.not_valid_before_utc,
        leaf.not_valid_after_utc,
    )


def _named_worker(leaf: x509.Certificate, server_id: str) -> str:
    extensions = leaf.extensions
    usages = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    if list(usages) != [ExtendedKeyUsageOID.CLIENT_AUTH]:
        raise ValueError("not for clients only")
    if extensions.get_extension_for_class(x509.BasicConstraints).value.ca:
        raise ValueError("an authority, not a worker")
    names = list(extensions.get_extension_for_class(x509.SubjectAlternativeName).value)
    if len(names) != 1 or not isinstance(names[0], x509.UniformResourceIdentifier):
        raise ValueError("not exactly one URI")
    match = _WORKER_URI.fullmatch(names[0].value)
    if match is None or match[1] != server_id:
        raise ValueError("not a worker of this server")
    return match[2]
