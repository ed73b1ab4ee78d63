"""Fault 48: what a real browser can be talked into by pages elsewhere."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from copernicus.server.embedded import EmbeddedServer
from support.server_client import User

pytestmark = pytest.mark.chromium

ATTACK = """<!doctype html><title>bait</title><p id="said">waiting</p><script>
fetch("{url}/v1/login", {{method: "POST", mode: "no-cors", body: '{{"user": "admin"}}'}})
  .then(() => fetch("{url}/v1/health"))
  .then(reply => reply.text(), error => "kept from me: " + error)
  .then(text => {{ document.getElementById("said").textContent = text; }});
</script>"""


def shown(address: str, profile: Path) -> str:
    """The page at an address as a browser has it that trusts any certificate and resolver."""
    argv = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run"]
    argv += [f"--user-data-dir={profile}", "--ignore-certificate-errors", "--dump-dom"]
    argv += ["--host-resolver-rules=MAP rebound.example 127.0.0.1", "--virtual-time-budget=10000"]
    done = subprocess.run([*argv, address], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout


@contextmanager
def page(folder: Path, text: str) -> Iterator[str]:
    """A page on another port of this machine."""
    (folder / "index.html").write_text(text)
    handler = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/index.html"
        finally:
            server.shutdown()
            thread.join()


def test_fault_48_a_name_that_was_led_here_shows_nothing(
    server: EmbeddedServer, tmp_path: Path
) -> None:
    port = server.running.user_port
    own = shown(f"https://127.0.0.1:{port}/schema/openapi.json", tmp_path / "browser")
    assert "/v1/projects" in own
    led = shown(f"https://rebound.example:{port}/schema/openapi.json", tmp_path / "browser")
    assert "/v1/projects" not in led
    assert "is not called" in led


def test_fault_48_a_page_elsewhere_has_its_requests_refused_and_reads_nothing(
    server: EmbeddedServer, admin: User, tmp_path: Path
) -> None:
    refused = partial(
        admin.metric, "copernicus_requests_total", uncounted=0.0, port="user", status="403"
    )
    before = refused()
    with page(tmp_path, ATTACK.format(url=server.user_url)) as address:
        seen = shown(address, tmp_path / "browser")
    assert "kept from me" in seen, seen
    assert server.running.server_id not in seen
    assert refused() == before + 1
