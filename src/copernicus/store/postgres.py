"""The database of a server in PostgreSQL.

SQLite loses nothing because one process owns a file. Here the process, the database and the
network between them fail one by one, and three things take the file's place:

- An *advisory lock* of the session that writes: a second server on the database is refused.
- A *fence*: every transaction moves the row ``writer`` of the table ``meta`` from the value that
  this start wrote last to the next. A server that lost its session, and whose place another one
  has taken meanwhile, finds another value there, and ends.
- *Patience*: a database that does not answer is waited for. Where the connection broke while a
  commit was under way, the fence tells afterwards whether it was kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine, create_engine, event, inspect, literal, select, update
from sqlalchemy.engine import make_url
from sqlalchemy.engine.url import URL
from sqlalchemy.exc import ArgumentError, DBAPIError, IntegrityError, OperationalError

from copernicus.errors import BadSettings, CopernicusError, InternalError, ServerBusy
from copernicus.store.copying import copy_to_file
from copernicus.store.database import upsert
from copernicus.store.failures import StoreFailed
from copernicus.store.folder import refuse_newer
from copernicus.store.opening import bring_up_to_date
from copernicus.store.schema import META

PATIENCE_S: Final = 120.0
_PAUSE_S: Final = 0.5
_CONNECT_S: Final = 10
_READERS: Final = 4
# "cpc" and a number: one server for each database.
_LOCK: Final = 0x637063_01
_WRITER: Final = "writer"
MOVED: Final = "moved"
"""The setting of a database that its server has left."""
# A server's end of a dead connection is closed within half a minute, and gives the lock back.
_SESSION: Final = (
    "-c synchronous_commit=on -c tcp_keepalives_idle=10 -c tcp_keepalives_interval=5 "
    "-c tcp_keepalives_count=3 -c idle_in_transaction_session_timeout=600000"
)
# Resources, operator's intervention, system errors, rollbacks, a standby's read-only transaction.
_PASSING: Final = ("53", "57", "58", "40", "55", "25")


class PostgresDatabase:
    """See ``Database``. ``url`` is that of an existing, empty or own database.

    ``notice`` is told in a sentence when the database is waited for.

    Raises:
        BadSettings: it is no such URL, the driver is missing, the database cannot be reached, or
            another server uses it.
    """

    def __init__(
        self,
        url: str,
        *,
        patience_s: float = PATIENCE_S,
        notice: Callable[[str], None] = lambda _: None,
    ) -> None:
        parsed = _parsed(url)
        self._label = parsed.set(drivername="postgresql").render_as_string()
        self._patience_s = patience_s
        self._notice = notice
        self._fence: str | None = None
        self._engine = _engine(parsed, pool_size=1)
        event.listen(self._engine, "connect", self._take_lock)
        self._reader = _reader(parsed)
        try:
            self._connection = self._engine.connect()
        except DBAPIError as error:
            raise BadSettings(
                f"cannot use the database {self._label}: {_first_line(error)}; see that it runs, "
                "and set 'database' in server.toml"
            ) from error
        try:
            self._refuse_order_of_a_language()
        except BaseException:
            self.close()
            raise

    @property
    def label(self) -> str:
        """The URL without its password."""
        return self._label

    def exists(self) -> bool:
        """Whether the table ``meta`` is there."""
        with self.reading() as connection:
            return bool(inspect(connection).has_table(META.name))

    def make(self) -> None:
        """Make the tables, in one transaction."""
        try:
            with self.writing() as connection:
                bring_up_to_date(connection)
        except DBAPIError as error:
            failure = self.failure_of(error)
            raise BadSettings(f"cannot make tables: {failure.message}") from error

    def check(self) -> int:
        """Its format."""
        with self.reading() as connection:
            known = {str(key): str(value) for key, value in connection.execute(select(META)).all()}
        if MOVED in known:
            raise BadSettings(
                f"the server of the database {self._label} has moved to another database: use that "
                "one, or drop this one; nothing was changed"
            )
        try:
            number = int(known["format"])
        except (KeyError, ValueError):
            raise BadSettings(
                f"the database {self._label} has a table 'meta', but does not say its format: "
                "it belongs to another program, or is damaged; nothing was changed"
            ) from None
        refuse_newer(self._label, number, known.get("version", ""))
        return number

    def started(self, connection: Connection, epoch: int) -> None:
        """Put up the fence of this start."""
        self._fence = f"{epoch}.0"
        upsert(connection, META, [{"key": _WRITER, "value": self._fence}])

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction: durable when the block has ended, also if the connection broke."""
        connection = self._connected()
        before, after = self._fence, _next(self._fence)
        transaction = connection.begin()
        try:
            if before is not None and after is not None:
                self._move_fence(connection, before, after)
            yield connection
        except BaseException:
            with suppress(DBAPIError):
                transaction.rollback()
            raise
        try:
            transaction.commit()
        except DBAPIError as error:
            with suppress(DBAPIError):
                transaction.rollback()
            if not _is_lost(error) or not self._was_kept(before, after):
                raise
        # ``started`` may have put up another one meanwhile.
        if self._fence == before:
            self._fence = after

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection of any thread; a database that is away is waited for."""
        connection = self._patiently(self._reader.connect)
        with connection:
            yield connection

    def leave(self) -> None:
        """Mark it as one that its server has left, for ever."""
        with self.writing() as connection:
            upsert(connection, META, [{"key": MOVED, "value": "1"}])

    def failure_of(self, error: DBAPIError) -> CopernicusError:
        """What PostgreSQL refuses is rolled back; what breaks it, it recovers from by itself."""
        said = _first_line(error)
        passing = _is_lost(error) or (_code(error) or "").startswith(_PASSING)
        if passing and not isinstance(error, IntegrityError):
            return ServerBusy(
                f"the database {self._label} could not do it ({said}); nothing was changed: "
                "try again"
            )
        return InternalError(f"{self._label}: {said}")

    def copy_to(self, file: Path) -> None:
        """Copy all tables as of one moment to a SQLite file."""
        with self.reading() as connection:
            copy_to_file(connection, file)

    def close(self) -> None:
        """End the sessions, and with them the lock."""
        self._connection.close()
        self._engine.dispose()
        self._reader.dispose()

    def _refuse_order_of_a_language(self) -> None:
        # Pages of rows follow one another by text, which must mean the same here and there.
        bytewise = self._connection.execute(select(literal("B") < literal("a"))).scalar()
        self._connection.rollback()
        if not bytewise:
            raise BadSettings(
                f"the database {self._label} sorts texts by the rules of a language; nothing was "
                "changed: make one with 'createdb --template=template0 --locale=C NAME'"
            )

    def _take_lock(self, session: Any, _record: object) -> None:
        with ExitStack() as stack:
            stack.callback(session.close)
            with session.cursor() as cursor:
                cursor.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,))
                [taken] = cursor.fetchone()
            session.commit()
            if not taken:
                raise BadSettings(
                    f"another Copernicus server uses the database {self._label}: stop that one "
                    "first, or set 'database' in server.toml to another database"
                )
            stack.pop_all()

    def _connected(self) -> Connection:
        """The one connection that writes, made anew if it was lost."""
        if self._connection.invalidated or self._connection.closed:
            with suppress(DBAPIError):
                self._connection.close()
            self._connection = self._patiently(self._engine.connect)
        return self._connection

    def _move_fence(self, connection: Connection, before: str, after: str) -> None:
        mine = (META.c.key == _WRITER) & (META.c.value == before)
        if not connection.execute(update(META).where(mine).values(value=after)).rowcount:
            raise self._overtaken()

    def _was_kept(self, before: str | None, after: str | None) -> bool:
        """Whether a commit of which nothing was heard was carried out."""
        if after is None:
            return False
        query = select(META.c.value).where(META.c.key == _WRITER)
        end = time.monotonic() + self._patience_s
        while True:
            try:
                connection = self._connected()
                found = connection.execute(query).scalar()
                connection.rollback()
            except DBAPIError as error:
                if not _is_lost(error) or time.monotonic() > end:
                    raise StoreFailed(
                        f"{self._label} was lost in the middle of a commit ({_first_line(error)}): "
                        "the server ends; start it again when the database is back"
                    ) from error
                continue
            except CopernicusError as error:
                raise StoreFailed(error.message) from error
            if found not in (before, after):
                raise self._overtaken()
            kept = "kept" if found == after else "not kept"
            self._notice(f"a commit to {self._label} that broke off was {kept}")
            return bool(found == after)

    def _patiently(self, connect: Any) -> Any:
        end = time.monotonic() + self._patience_s
        told = False
        while True:
            try:
                connection = connect()
            except (OperationalError, BadSettings) as error:
                # A lock that is still held may be that of our own lost session.
                if time.monotonic() > end:
                    raise ServerBusy(
                        f"the database {self._label} does not answer; nothing was changed: "
                        "see that it runs, then try again"
                    ) from error
                if not told:
                    reason = error.message if isinstance(error, BadSettings) else _first_line(error)
                    self._notice(f"waiting for the database {self._label}: {reason}")
                    told = True
                time.sleep(_PAUSE_S)
            else:
                if told:
                    self._notice(f"the database {self._label} is back")
                return connection

    def _overtaken(self) -> StoreFailed:
        return StoreFailed(
            f"another Copernicus server has taken over the database {self._label}: this one ends"
        )


def _parsed(url: str) -> URL:
    try:
        parsed = make_url(url)
    except ArgumentError:
        raise BadSettings(
            "the setting 'database' is no URL: write postgresql://USER@HOST/DATABASE"
        ) from None
    if parsed.drivername not in ("postgresql", "postgres", "postgresql+psycopg"):
        raise BadSettings(
            f"the setting 'database' begins with {parsed.drivername}:// but must begin with "
            "postgresql:// (SQLite needs no setting)"
        )
    return parsed.set(drivername="postgresql+psycopg")


def postgres_reader(url: str) -> Engine:
    """An engine that can only read, for a process beside the server."""
    return _reader(_parsed(url))


def _reader(url: URL) -> Engine:
    engine = _engine(url, pool_size=_READERS, more="-c default_transaction_read_only=on")
    return engine.execution_options(isolation_level="REPEATABLE READ")


def _engine(url: URL, pool_size: int, more: str = "") -> Engine:
    arguments = {
        "connect_timeout": _CONNECT_S,
        "options": f"{_SESSION} {more}".strip(),
        "application_name": "copernicus",
    }
    try:
        return create_engine(
            url,
            pool_size=pool_size,
            max_overflow=0 if pool_size == 1 else 16,
            pool_pre_ping=pool_size > 1,
            connect_args=arguments,
        )
    except ModuleNotFoundError:
        raise BadSettings(
            "PostgreSQL needs the package psycopg: pip install 'copernicus[postgresql]'"
        ) from None


def _next(fence: str | None) -> str | None:
    if fence is None:
        return None
    epoch, _, number = fence.partition(".")
    return f"{epoch}.{int(number) + 1}"


def _is_lost(error: DBAPIError) -> bool:
    return error.connection_invalidated or (
        isinstance(error, OperationalError) and _code(error) is None
    )


def _code(error: DBAPIError) -> str | None:
    found = getattr(error.orig, "sqlstate", None)
    return None if found is None else str(found)


def _first_line(error: DBAPIError) -> str:
    lines = str(error.orig).strip().splitlines()
    return lines[0] if lines else type(error.orig).__name__
