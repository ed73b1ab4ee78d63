"""From the files of a completed job to the values of its output ports."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from copernicus.blobs import manifest_of
from copernicus.errors import BadValue
from copernicus.model.filenames import sane_path
from copernicus.model.jobs import Output
from copernicus.model.values import File
from copernicus.worker.folder import JobFolder
from copernicus.worker.outcome import failed
from copernicus.worker.patterns import find_all
from copernicus.worker.transfer import Pending

LIGHT = 64 << 10


def collect(
    folder: JobFolder, outputs: tuple[Output, ...], exit_code: int | None
) -> tuple[dict[str, Any], list[Pending]]:
    """The value of every port, and the files that these values name. Reads every byte of them.

    Raises:
        AttemptFailed: An output is missing or not what it should be; says which and why.
    """
    values: dict[str, Any] = {}
    files: list[Pending] = []
    for output in outputs:
        values[output.port] = _value(folder, output, exit_code, files)
    return values, files


def is_light(folder: JobFolder, outputs: tuple[Output, ...]) -> bool:
    """Whether collecting these is so little to read that a thread for it would cost more."""
    left = LIGHT
    for output in outputs:
        if output.how == "exit_code":
            continue
        if re.search(r"[*?\[]", output.pattern):
            return False
        try:
            left -= folder.facts(output.pattern)[1]
        except OSError:
            continue
    return left >= 0


def pending(folder: JobFolder, path: str) -> Pending:
    """A file of a job, hashed as it is now."""
    with folder.reading(path) as file:
        return Pending(manifest_of(file), str(folder.path), path)


def _value(folder: JobFolder, output: Output, exit_code: int | None, files: list[Pending]) -> Any:
    if output.how == "exit_code":
        return exit_code
    found = folder.matching(output.pattern)
    for path in found:
        try:
            sane_path(path)
        except BadValue as error:
            raise failed(f"output {output.port}: {error.message}") from None
    if output.how == "files":
        return _files(folder, output, found, files)
    if not found:
        return _missing(folder, output)
    if len(found) > 1:
        shown = ", ".join(found[:3])
        raise failed(
            f"output {output.port}: {len(found)} files match {output.pattern!r} ({shown}, ...), "
            "where one is expected"
        )
    if output.how == "file":
        return _file(folder, output, found[0], files)
    return read_value(folder, output, found[0])


def _missing(folder: JobFolder, output: Output) -> None:
    if output.optional:
        return
    if folder.is_link(output.pattern):
        raise failed(
            f"output {output.port}: {output.pattern!r} is no regular file of the job's folder; "
            "links and devices are not taken"
        )
    raise failed(f"output {output.port}: no file matches {output.pattern!r}")


def _files(
    folder: JobFolder, output: Output, found: list[str], files: list[Pending]
) -> list[dict[str, Any]]:
    if not found:
        _missing(folder, output)
    return [_file(folder, output, path, files) for path in found]


def _file(folder: JobFolder, output: Output, path: str, files: list[Pending]) -> dict[str, Any]:
    file = pending(folder, path)
    files.append(file)
    name = output.name if output.name and output.how == "file" else path.rpartition("/")[2]
    return File(file.sha256, file.size, name).plain()


def read_value(folder: JobFolder, output: Output, path: str) -> Any:
    """What a text file gives as the value of an output.

    Raises:
        AttemptFailed: It is not what it should be; says why.
    """
    text = folder.text(path)
    if output.how == "text":
        return text
    if output.how == "json":
        return _json(output, path, text)
    found = text.strip()
    if output.regex:
        matches = find_all(output.regex, text)
        if not matches:
            if output.optional:
                return None
            raise failed(f"output {output.port}: {output.regex!r} matches nothing in {path!r}")
        found = matches[-1].group(1) if matches[-1].groups() else matches[-1].group()
    return found if output.how == "regex" else _number(output, path, found)


def _json(output: Output, path: str, text: str) -> Any:
    try:
        found = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise failed(f"output {output.port}: {path!r} is not JSON: {error}") from None
    for key in output.key.split(".") if output.key else ():
        if not isinstance(found, dict) or key not in found:
            if output.optional:
                return None
            there = ", ".join(found) if isinstance(found, dict) else type(found).__name__
            raise failed(
                f"output {output.port}: {path!r} has no {output.key!r}; there is: {there or 'none'}"
            )
        found = found[key]
    return found


def _number(output: Output, path: str, text: str) -> int | float:
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            continue
    raise failed(f"output {output.port}: {text[:60]!r} in {path!r} is no number")
