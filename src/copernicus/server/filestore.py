"""Where a server's files are: in its folder, or in a bucket of S3 by the setting ``blobs``.

Two servers over the same bucket would remove each other's files: a bucket names the server whose
files it holds, and no other starts on it. A server that was restored from a backup is another one.
"""

from __future__ import annotations

import os
import secrets
import stat
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from obstore.exceptions import BaseError
from obstore.store import S3Store

from copernicus.blobs import BlobStore
from copernicus.errors import BadSettings, ServerBusy
from copernicus.model.toml_text import read_toml
from copernicus.settings import ServerSettings
from copernicus.store.store import Store

if TYPE_CHECKING:
    from obstore.store import S3Config

BLOBS = "blobs"
OWNER, _META = "owner", "blobs_owner"
_KNOWN = ("access_key_id", "secret_access_key", "session_token", "region", "endpoint")
_PATIENCE = timedelta(seconds=30)


def open_blobs(
    folder: Path,
    settings: ServerSettings,
    *,
    on_failure: Callable[[OSError], None] | None = None,
) -> BlobStore:
    """The files of a server with these settings.

    Raises:
        BadSettings: the bucket, or its credentials, cannot be used.
        ServerBusy: it does not answer.
    """
    if not settings.blobs:
        return BlobStore.in_folder(folder / BLOBS, on_failure=on_failure)
    return BlobStore(bucket_of(settings))


def bucket_of(settings: ServerSettings) -> S3Store:
    """The bucket of a server, which was found to take a small object.

    Raises:
        BadSettings: it, or its credentials, cannot be used.
        ServerBusy: it does not answer.
    """
    config = _credentials(settings.blobs_credentials)
    plain = str(config.get("endpoint") or os.environ.get("AWS_ENDPOINT", "")).startswith("http://")
    try:
        bucket = S3Store.from_url(
            settings.blobs,
            config=config,
            client_options={"allow_http": True} if plain else None,
            retry_config={"max_retries": 8, "retry_timeout": _PATIENCE},
        )
        bucket.put("probe", b"", use_multipart=False)
    except (PermissionError, FileNotFoundError) as error:
        raise _unusable(settings.blobs, type(error).__name__) from error
    except BaseError as error:
        name = type(error).__name__
        if name == "GenericError" and "InvalidAccessKeyId" not in str(error):
            raise ServerBusy(
                f"The object store of {settings.blobs} does not answer as it should: see that it "
                "runs, and that the setting blobs and its endpoint are right."
            ) from error
        raise _unusable(settings.blobs, name) from error
    return bucket


def claim_blobs(settings: ServerSettings, store: Store) -> None:
    """Make the files this server's own, if they are nobody's. Before anything else is written.

    Raises:
        BadSettings: they are another server's, or the bucket cannot be used.
        ServerBusy: it does not answer.
    """
    if not settings.blobs:
        return
    me = store.meta(_META)
    if me is None or store.restored:
        me = secrets.token_hex(16)
        with store.transaction() as transaction:
            transaction.set_meta(_META, me)
    bucket = bucket_of(settings)
    try:
        owner = bytes(bucket.get(OWNER).bytes())
    except FileNotFoundError:
        bucket.put(OWNER, me.encode(), use_multipart=False)
        return
    if owner != me.encode():
        raise BadSettings(
            f"{settings.blobs} holds the files of another server, which would remove those of this "
            "one: set blobs to another prefix. If this server was restored from a backup, and the "
            f"other will never run again, remove the object {settings.blobs}/{OWNER}, then start."
        )


def _unusable(url: str, why: str) -> BadSettings:
    return BadSettings(
        f"The object store of {url} cannot be used ({why}): see that the bucket is there, and that "
        "blobs_credentials or the variables AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are right."
    )


def _credentials(file: str) -> S3Config:
    """What a file says of the bucket; nothing: the environment says it (``AWS_*``)."""
    if not file:
        return {}
    path = Path(file)
    try:
        if stat.S_IMODE(path.stat().st_mode) & 0o077:
            raise BadSettings(f"Others may read {path}, which holds a secret: chmod 600 {path}")
        found = read_toml(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadSettings(f"Cannot read blobs_credentials {path}: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        # Not what is wrong where: a message with the line would show the secret.
        raise BadSettings(f"blobs_credentials {path} is not valid TOML.") from error
    unknown = sorted(set(found) - set(_KNOWN))
    if unknown or not all(isinstance(value, str) for value in found.values()):
        raise BadSettings(f"{path} may hold texts called {', '.join(_KNOWN)} only")
    return cast("S3Config", found)
