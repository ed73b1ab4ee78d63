"""A real S3 over HTTP: moto's server in a process of its own, with buckets made by obstore."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from obstore.store import S3Store

from support.e2e import wait_until

KEY, SECRET = "AKIATESTKEYOFSOMEBODY", "a-secret-that-must-not-be-seen-anywhere"


@dataclass(frozen=True)
class Bucket:
    """A bucket, and where it is served."""

    endpoint: str
    name: str
    pid: int

    @property
    def credentials(self) -> dict[str, str]:
        """What a settings file says of it."""
        return {
            "access_key_id": KEY,
            "secret_access_key": SECRET,
            "region": "us-east-1",
            "endpoint": self.endpoint,
        }

    @property
    def environment(self) -> dict[str, str]:
        """The same as variables."""
        named = {f"AWS_{name.upper()}": value for name, value in self.credentials.items()}
        return {**named, "AWS_ALLOW_HTTP": "true"}

    def store(self, prefix: str = "") -> S3Store:
        return S3Store(
            self.name,
            prefix=prefix or None,
            config=self.credentials,
            client_options={"allow_http": True},
        )


@contextmanager
def s3_server() -> Iterator[Bucket]:
    """A server on this machine only, that forgets everything at its end."""
    with tempfile.TemporaryFile("w+") as log:
        argv = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]
        process = subprocess.Popen(
            argv, stdout=log, stderr=log, env={**os.environ, "NO_COLOR": "1"}
        )

        def port() -> str:
            log.seek(0)
            found = re.search(r"http://127\.0\.0\.1:(\d+)", log.read())
            return found[1] if found else ""

        try:
            endpoint = f"http://127.0.0.1:{wait_until(port, 'an S3 server', 60)}"
            make_bucket(endpoint, "lab")
            yield Bucket(endpoint, "lab", process.pid)
        finally:
            process.terminate()
            process.wait(20)


def make_bucket(endpoint: str, name: str) -> None:
    request = urllib.request.Request(f"{endpoint}/{name}", method="PUT")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200
