"""Functions that are a script: their text travels with the job, to workers that allow scripts.

The script finds its inputs in ``inputs.json`` (files as paths beside it), and writes what its
outputs are to ``outputs.json``, or to files. Its description is a TOML text beside it, or stands
in it, as comments:

```python
# /// copernicus
# name = "mine.mean"
# [inputs.numbers]
# type = "list[float]"
# [outputs.mean]
# type = "float"
# ///
```
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from copernicus.errors import BadDefinition
from copernicus.model.jobs import Placed
from copernicus.model.templates import MENTION

INPUTS, OUTPUTS = "inputs.json", "outputs.json"
PROGRAMS = {".py": "python", ".sh": "sh"}
_BLOCK = re.compile(r"^# /// copernicus\s*$\n(?P<lines>(^#(| .*)$\n)+?)^# ///\s*$", re.MULTILINE)
_WAYS = ("file", "files", "json", "text", "number", "regex", "exit_code")
_MOST = 1 << 20


def is_script(path: Path) -> bool:
    """Whether a file is a script, by its name."""
    return path.suffix in PROGRAMS


def described_in(source: str, where: str) -> str:
    """The TOML text that stands in a script as comments.

    Raises:
        BadDefinition: There is none, or more than one.
    """
    found = list(_BLOCK.finditer(source))
    if len(found) != 1:
        raise BadDefinition(
            f"{where} has {len(found)} blocks from '# /// copernicus' to '# ///', where one says "
            "what goes in and what comes out: write it, or a TOML file with script = '...'"
        )
    return "\n".join(line[2:] for line in found[0]["lines"].splitlines())


def expand_script(
    table: Mapping[str, Any], folder: Path | None
) -> tuple[dict[str, Any], list[Placed]]:
    """The table of a script as that of any program, and the files that make it up.

    Raises:
        BadDefinition: It says what a script does not have, or there is no such file.
    """
    if "run" in table:
        raise BadDefinition(
            "a script needs no [[run]]: its arguments are args = ['{in.NAME}', ...]"
        )
    wanted = table["script"]
    if not isinstance(wanted, str) or not wanted:
        raise BadDefinition("script must be the name of a file, or '{in.NAME}'")
    args = table.get("args", [])
    if not isinstance(args, list):
        raise BadDefinition("args must be a list of arguments")
    mention = MENTION.fullmatch(wanted)
    program = table.get("program") or _program(wanted, is_input=mention is not None)
    files = [Placed(INPUTS, text="", fill="inputs")]
    if mention is None:
        name = Path(wanted).name
        files.append(Placed(name, text=read_beside(wanted, folder), fill="nothing"))
    else:
        name = wanted
    rest = {key: value for key, value in table.items() if key not in ("script", "args")}
    rest["program"] = program
    rest["run"] = [{"argv": ["{program}", name, *args]}]
    rest["outputs"] = {
        port: _output(port, each) for port, each in dict(table.get("outputs", {})).items()
    }
    return rest, files


def read_beside(name: str, folder: Path | None) -> str:
    """The text of a file that a description names.

    Raises:
        BadDefinition: It is not there, no text, or too large.
    """
    if folder is None:
        raise BadDefinition(f"{name!r} is a file beside the description: give that by its path")
    try:
        text = (folder / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise BadDefinition(f"cannot read {folder / name}: {error}") from None
    if len(text) > _MOST:
        raise BadDefinition(f"{name} is larger than {_MOST >> 20} MiB: make it an input")
    return text


def _program(name: str, *, is_input: bool) -> str:
    found = PROGRAMS.get(Path(name).suffix)
    if found is None and not is_input:
        raise BadDefinition(
            f"script {name!r} ends neither in .py nor in .sh: write program = '...', what runs it"
        )
    return found or "python"


def _output(port: str, table: Any) -> Any:
    if not isinstance(table, dict) or any(way in table for way in _WAYS):
        return table
    if "File" in str(table.get("type", "")):
        raise BadDefinition(f"outputs.{port}: say which file the script writes: file = 'plot.png'")
    return {**table, "json": {"file": OUTPUTS, "key": port}}
