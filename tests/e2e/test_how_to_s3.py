"""The page about files in a bucket, done to the letter; one that is away, or of another."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from copernicus.errors import BadSettings
from copernicus.server.filestore import OWNER, bucket_of
from copernicus.settings import ServerSettings
from support.e2e import QUICK, Env, wait_until
from support.e2e_programs import SHIFT_TOML, programs_file
from support.s3 import SECRET, Bucket, s3_server
from support.tutorials import Reader

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "keep-files-in-s3.md"


@pytest.fixture(scope="module")
def bucket() -> Iterator[Bucket]:
    with s3_server() as found:
        yield found


def credentials_file(env: Env, bucket: Bucket) -> Path:
    lines = [f'{name} = "{value}"' for name, value in bucket.credentials.items()]
    file = env.write("s3.toml", "\n".join(lines))
    file.chmod(0o600)
    return file


def files_in(bucket: Bucket, prefix: str) -> list[str]:
    return [meta["path"] for page in bucket.store(prefix).list() for meta in page]


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_keep_files_in_s3(env: Env, bucket: Bucket) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = env.environment(PATH=path, COLUMNS="120", S3_ENDPOINT=bucket.endpoint)
    reader = Reader(env.root, variables, (0, 0))
    try:
        reader.follow(PAGE)
    finally:
        env.run("server", "stop", env.root / "srv")


@pytest.mark.e2e
@pytest.mark.timeout(300)
def test_results_lie_in_the_bucket_and_outlive_kills_and_a_bucket_that_is_away(
    env: Env, bucket: Bucket
) -> None:
    secret = str(credentials_file(env, bucket))
    project = env.open(blobs="s3://lab/run", blobs_credentials=secret)
    env.start_worker("w", "--programs", programs_file(env), "--retry", 0.3)
    project.define(env.write("shift.toml", SHIFT_TOML))
    project.add("one", "bytes.shift", active=True)
    content = bytes(range(256)) * 10_000
    project.set("one.in.source", env.write("source", content))
    project.wait("one", 60, show=False)
    result = project.get("one.out.result")
    assert any(name.endswith(result.sha256) for name in files_in(bucket, "run"))
    assert not (env.server / "blobs").exists()

    os.kill(bucket.pid, signal.SIGSTOP)
    try:
        project.set("one.in.by", 2)
        wait_until(lambda: env.workers[0].said.count("started one") == 2, "it runs")
        env.kill_server()
    finally:
        os.kill(bucket.pid, signal.SIGCONT)
    env.start_server()
    env.project().wait("one", 100, show=False)
    moved = bytes((byte + 2) % 256 for byte in content)
    assert env.project().get("one.out.result").read_bytes() == moved

    assert env.stop_server() == 0
    assert "are here" in env.cpc("server", "check", env.server)
    told = env.server_log + "".join(worker.said for worker in env.workers)
    assert SECRET not in told
    assert SECRET not in (env.server / "server.toml").read_text()


@pytest.mark.e2e
@pytest.mark.timeout(200)
def test_a_bucket_has_one_server(env: Env, bucket: Bucket) -> None:
    secret = str(credentials_file(env, bucket))
    settings = {**QUICK, "blobs": "s3://lab/one", "blobs_credentials": secret}
    env.open(**settings)
    assert env.stop_server() == 0
    copy = env.root / "copy"
    env.cpc("server", "backup", env.server, copy)
    said = env.refused(1, "server", "start", copy, "--foreground")
    assert "holds the files of another server" in said
    bucket.store("one").delete(OWNER)
    env.start_server(copy)
    assert env.running_server(copy)


@pytest.mark.parametrize("wrong", ["no bucket", "open to all", "not known", "no TOML"])
def test_what_cannot_be_used_is_said_without_the_secret(
    env: Env, bucket: Bucket, wrong: str
) -> None:
    file = credentials_file(env, bucket)
    url = "s3://nobody/p" if wrong == "no bucket" else "s3://lab/p"
    if wrong == "open to all":
        file.chmod(0o644)
    elif wrong == "not known":
        file.write_text(f'password = "{SECRET}"')
    elif wrong == "no TOML":
        file.write_text(f"secret_access_key = {SECRET}")
    with pytest.raises(BadSettings) as refused:
        bucket_of(ServerSettings(blobs=url, blobs_credentials=str(file)))
    assert SECRET not in str(refused.value)
    assert str(file) in str(refused.value) or "nobody" in str(refused.value)


@pytest.mark.parametrize("url", ["bucket", "s3://", "gs://lab", "s3://key:secret@lab/p"])
def test_what_is_no_bucket_is_refused(url: str) -> None:
    with pytest.raises(BadSettings, match=r"s3://BUCKET/PREFIX"):
        ServerSettings(blobs=url)
