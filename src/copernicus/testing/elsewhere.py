"""Takes courses in another process, where hashes are different: sets have another order there.

One process serves all tests of this one; it ends with it.
"""

from __future__ import annotations

import atexit
import os
import struct
import subprocess
import sys
from typing import IO, Any

import msgspec

from copernicus.errors import CopernicusError
from copernicus.evaluator.runner import Evaluation
from copernicus.model.evaluation import Segment, Start
from copernicus.sdk.calling import resolve
from copernicus.sdk.functions import Function

_LENGTH = struct.Struct(">I")


class _Bound(msgspec.Struct, frozen=True):
    """A function with the module and version under which it is known."""

    entry: str
    module: str
    version: str


class _Request(msgspec.Struct, frozen=True):
    """Take this course; ``functions`` are those that it may name."""

    start: Start
    functions: tuple[_Bound, ...]


class Taken(msgspec.Struct, frozen=True):
    """What was done; with a ``problem``, nothing, for the function is not to be had there."""

    segments: tuple[Segment, ...] = ()
    lines: dict[str, str] = {}
    problem: str = ""


_process: subprocess.Popen[bytes] | None = None


def take_elsewhere(function: Function[..., Any], start: Start) -> Taken | None:
    """What the function does elsewhere; None if it cannot be imported there.

    That is so for functions that are defined inside of others.
    """
    if "<locals>" in function.spec.entry:
        return None
    found = [function, *_named_by(function)]
    bound = tuple(_Bound(f.spec.entry, f.spec.module, f.spec.version) for f in found)
    process = _started()
    assert process.stdin is not None
    assert process.stdout is not None
    _send(process.stdin, msgspec.msgpack.encode(_Request(start, bound)))
    reply = _receive(process.stdout)
    if reply is None:
        _stop()
        return None
    taken = msgspec.msgpack.decode(reply, type=Taken)
    return None if taken.problem else taken


def _named_by(function: Function[..., Any]) -> list[Function[..., Any]]:
    names = function.body.__globals__.values()
    return [found for found in names if isinstance(found, Function) and found.spec.module]


def _started() -> subprocess.Popen[bytes]:
    global _process
    if _process is None:
        own = os.environ.get("PYTHONHASHSEED")
        _process = subprocess.Popen(
            [sys.executable, "-c", "from copernicus.testing.elsewhere import main; main()"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONHASHSEED": "2" if own == "1" else "1",
                "PYTHONPATH": os.pathsep.join(path or str(os.curdir) for path in sys.path),
            },
        )
        atexit.register(_stop)
    return _process


def _stop() -> None:
    global _process
    process, _process = _process, None
    if process is not None:
        atexit.unregister(_stop)
        with process:
            process.kill()


def _send(stream: IO[bytes], body: bytes) -> None:
    stream.write(_LENGTH.pack(len(body)) + body)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    head = stream.read(_LENGTH.size)
    return stream.read(_LENGTH.unpack(head)[0]) if len(head) == _LENGTH.size else None


def take(request: _Request) -> Taken:
    """Take a course here."""
    try:
        found = [resolve(bound.entry) for bound in request.functions]
        for function, bound in zip(found, request.functions, strict=True):
            if bound.module:
                function.bind(bound.module, bound.version)
    except CopernicusError as error:
        return Taken(problem=error.message)
    evaluation = Evaluation(request.start, found[0])
    rest = evaluation.run()
    evaluation.close()
    return Taken(rest.segments, evaluation.lines)


def main() -> None:
    """Serve requests until there are no more; what authors' code prints goes elsewhere."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with replies:
        while (body := _receive(sys.stdin.buffer)) is not None:
            _send(
                replies, msgspec.msgpack.encode(take(msgspec.msgpack.decode(body, type=_Request)))
            )
