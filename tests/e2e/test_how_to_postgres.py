"""The page about PostgreSQL, done to the letter."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from support.e2e import Env
from support.postgres import binaries, cluster
from support.tutorials import Reader

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"


@pytest.mark.postgres
def test_use_postgresql(env: Env) -> None:
    place = cluster()
    path = os.pathsep.join([str(Path(sys.executable).parent), str(binaries()), os.environ["PATH"]])
    variables = env.environment(
        PATH=path,
        COLUMNS="120",
        PGHOST=str(place.folder),
        PGUSER="postgres",
        CPC_DB=place.url("cpc"),
    )
    reader = Reader(env.root, variables, (0, 0))
    reader.follow(HOW_TO / "use-postgresql.md")
    assert 'database = ""' in (env.root / "srv" / "server.toml").read_text()
