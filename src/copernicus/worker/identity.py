"""Becoming and staying a worker of a server: join, reuse, renew, and say why not."""

from __future__ import annotations

import platform
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx2
import msgspec

from copernicus.calling.clocks import (
    ClockIsOff,
    ask_for_clock,
    explain_tls,
    refusal,
)
from copernicus.calling.link import Link
from copernicus.errors import (
    BadSettings,
    CopernicusError,
    ServerBusy,
    ServerUnreachable,
    error_for_code,
)
from copernicus.protocol import (
    PROTOCOL,
    Certificate,
    ErrorBody,
    JoinRequest,
    RenewRequest,
    WorkerFacts,
)
from copernicus.security.bundle import WorkerBundle, read_worker_bundle
from copernicus.security.clocks import clock_note
from copernicus.security.files import make_private_folder, read_private, write_private
from copernicus.security.identity import (
    certificate_der,
    certificate_validity,
    make_key_and_csr,
    verify_worker_certificate,
)
from copernicus.security.renewal import make_challenge, sign_renewal
from copernicus.security.tls import client_context, host_header, server_name_extension
from copernicus.version import __version__
from copernicus.worker.probe import Machine

_CERTIFICATE = "-----BEGIN CERTIFICATE-----"
PAIR = "worker.pem"
_JSON = {"content-type": "application/json", "accept": "application/json"}


@dataclass(frozen=True, slots=True)
class Identity:
    """Who the worker is: its server's bundle, its id, and where its key and certificate are.

    Both are in one private file, so that a crash cannot part them. The key never leaves it.
    """

    bundle: WorkerBundle
    worker_id: str
    folder: Path

    @property
    def pair_file(self) -> Path:
        """The file with the private key and the certificate in force."""
        return self.folder / PAIR

    @property
    def certificate(self) -> str:
        """The certificate in force (PEM)."""
        return _read_pair(self.pair_file)[1]

    def context(self) -> ssl.SSLContext:
        """The TLS context that shows the certificate."""
        return client_context(self.bundle.ca_pem, cert_file=self.pair_file, key_file=self.pair_file)

    def seconds_to_renewal(self, now: datetime) -> float:
        """Seconds until two thirds of the certificate's life are over; not negative.

        None of a certificate of a date to come: the server's clock was ahead when it made that.
        """
        life = certificate_validity(self.certificate)
        due = life.not_before + (life.not_after - life.not_before) * 2 / 3
        return 0.0 if life.renewal_due(now) else (due - now).total_seconds()

    def out_of_date(self, now: datetime) -> bool:
        """Whether TLS would refuse the certificate by its dates."""
        life = certificate_validity(self.certificate)
        return not life.not_before <= now <= life.not_after


def _read_pair(path: Path) -> tuple[str, str]:
    key, begin, certificate = read_private(path).decode("ascii", "replace").partition(_CERTIFICATE)
    if not begin:
        raise BadSettings(f"{path} is damaged: remove it to join again with the bundle")
    return key, begin + certificate


async def obtain_identity(bundle_file: Path, work_dir: Path, machine: Machine) -> Identity:
    """The identity for this bundle's server: that of before, renewed if need be, or a new one.

    Raises:
        BadSettings: The bundle or the identity on disk cannot be used.
        NotAuthenticated: The server refuses; the message says why, as far as can be known here.
        ServerUnreachable: None of the addresses answers.
    """
    bundle = read_worker_bundle(bundle_file, None)
    make_private_folder(work_dir / "identity")
    folder = work_dir / "identity" / bundle.server_id
    now = datetime.now(UTC)
    if not (folder / PAIR).exists():
        return await _join(read_worker_bundle(bundle_file, now), folder, machine)
    certificate = _read_pair(folder / PAIR)[1]
    life = certificate_validity(certificate)
    known = verify_worker_certificate(
        certificate_der(certificate), bundle.ca_pem, max(life.not_before, min(now, life.not_after))
    )
    identity = Identity(bundle, known.worker_id, folder)
    if identity.out_of_date(now):
        await renew_by_challenge(identity)
    return identity


async def _join(bundle: WorkerBundle, folder: Path, machine: Machine) -> Identity:
    make_private_folder(folder)
    key, csr = make_key_and_csr()
    facts = WorkerFacts(
        host=socket.gethostname(),
        platform=platform.platform(),
        cores=machine.cores,
        memory_mb=machine.memory_mb,
        version=__version__,
        protocol=PROTOCOL,
    )
    request = JoinRequest(token=bundle.join_token, csr=csr, facts=facts)
    granted = await _ask_user_port(bundle, "/v1/join", request)
    write_private(folder / PAIR, (key + granted.certificate).encode())
    return Identity(bundle, granted.worker_id, folder)


async def renew_by_challenge(identity: Identity) -> None:
    """Renew a certificate, be it one that TLS no longer takes, by proving to own its key.

    Raises:
        NotAuthenticated: The server refuses.
        ServerUnreachable: No address answers.
    """
    key, request = _renewal(identity)
    granted = await _ask_user_port(identity.bundle, "/v1/renew", request)
    _store(identity, key, granted)


async def renew(identity: Identity, link: Link) -> None:
    """Renew a certificate in force; the link uses the new one from then on.

    The machine port is asked where the user port cannot be reached, as from inside a cluster.

    Raises:
        NotAuthenticated: The server refuses.
        ServerUnreachable: No address answers.
    """
    try:
        await renew_by_challenge(identity)
    except ServerUnreachable:
        key, request = _renewal(identity)
        _store(identity, key, await link.ask("/v1/work/renew", request, Certificate))
    link.renew(identity.context())


def _renewal(identity: Identity) -> tuple[str, RenewRequest]:
    old_key, certificate = _read_pair(identity.pair_file)
    key, csr = make_key_and_csr()
    now = datetime.now(UTC)
    challenge = make_challenge(identity.bundle.server_id, identity.worker_id, now)
    return key, RenewRequest(
        certificate=certificate,
        csr=csr,
        challenge=challenge,
        signature=sign_renewal(old_key, challenge, csr),
    )


def _store(identity: Identity, key: str, granted: Certificate) -> None:
    write_private(identity.pair_file, (key + granted.certificate).encode())


async def _ask_user_port(
    bundle: WorkerBundle, path: str, body: JoinRequest | RenewRequest
) -> Certificate:
    problems = []
    async with httpx2.AsyncClient(
        verify=client_context(bundle.ca_pem), trust_env=False, timeout=30.0
    ) as client:
        for url in bundle.join_urls:
            try:
                response = await client.post(
                    url.rstrip("/") + path,
                    content=msgspec.json.encode(body),
                    headers={**_JSON, **host_header(bundle.server_id)},
                    extensions=server_name_extension(bundle.server_id),
                )
            except (httpx2.TransportError, ssl.SSLError, OSError) as error:
                problems.append(f"{url}: {explain_tls(error)}")
                continue
            if response.status_code >= 400:
                raise _refused(response.status_code, response.content, response.headers)
            return msgspec.json.decode(response.content, type=Certificate)
    note = await ask_for_clock(bundle)
    raise ServerUnreachable(
        f"server {bundle.server_id} cannot be reached ({'; '.join(problems)})"
        f"{note or ': is it running, and are these still its addresses?'}"
    )


def _refused(status: int, content: bytes, headers: Mapping[str, str]) -> CopernicusError:
    try:
        body = msgspec.json.decode(content, type=ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError):
        body = ErrorBody("error", f"the server answers {status}")
    if status in (401, 403):
        return refusal(body.message, headers)
    if status in (429, 500, 502, 503, 507):
        return ServerBusy(body.message)
    return error_for_code(body.code)(body.message + clock_note(headers))


async def diagnose(identity: Identity, error: CopernicusError) -> str:
    """Why the server does not take this worker, as far as can be found out from here."""
    bundle = identity.bundle
    life = certificate_validity(identity.certificate)
    now = datetime.now(UTC)
    message = error.message
    if now > life.not_after:
        message += f" The certificate of this worker expired at {life.not_after}."
    if now < life.not_before:
        message += (
            f" The certificate of this worker is valid from {life.not_before}, but the clock of "
            f"this machine says {now}."
        )
    return message if isinstance(error, ClockIsOff) else message + await ask_for_clock(bundle)
