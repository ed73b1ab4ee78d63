"""The page about values, followed to the letter at a real server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.tutorials import Reader, following

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"

BEGIN = """
```console
$ echo "correct horse battery staple" > password
$ cpc server init srv --name localhost --admin-password-file password
...
$ cpc server start srv --background
...
$ cpc login srv/client.cpc --user admin --password-file password
...
$ cpc project create p
...
```
"""


@pytest.fixture
def reader(tmp_path: Path) -> Iterator[Reader]:
    yield from following(tmp_path)


@pytest.mark.timeout(300)
def test_values_are_set_and_got_as_the_page_says(reader: Reader) -> None:
    begin = reader.folder / "begin.md"
    begin.write_text(BEGIN)
    reader.follow(begin)
    reader.follow(HOW_TO / "set-values.md")
