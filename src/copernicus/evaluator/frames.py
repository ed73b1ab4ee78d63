"""What passes between a server and its evaluator: length-prefixed msgpack, one reply per request.

Replies come in the order of the requests. The process ends when its standard input does.
"""

from __future__ import annotations

from typing import Any, BinaryIO

import msgspec

from copernicus.model.evaluation import Answer, Rest, Start
from copernicus.model.functions import FunctionSpec
from copernicus.model.jobs import Command, Failure
from copernicus.protocol import ModuleView

MAX_FRAME = 256 * 2**20
LENGTH_BYTES = 4


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """What do you have? Reply: ``Catalog``."""


class Describe(msgspec.Struct, frozen=True, tag="describe"):
    """Call a program function with plain inputs. Reply: ``Description`` with the same id."""

    id: str
    entry: str
    inputs: dict[str, Any]


class Begin(msgspec.Struct, frozen=True, tag="begin"):
    """Begin an evaluation, in place of an older one of the element. Reply: ``Rested``.

    Paths are unique within a ``project`` only.
    """

    start: Start
    project: str = ""


class Continue(msgspec.Struct, frozen=True, tag="continue"):
    """Answer an await. Reply: ``Rested``; ``Gone`` if the evaluation is not here."""

    path: str
    eid: str
    number: int
    answer: Answer
    project: str = ""


class End(msgspec.Struct, frozen=True, tag="end"):
    """Forget the evaluation of this number and lower ones. Reply: ``Gone``."""

    path: str
    eid: str
    number: int
    project: str = ""


Request = Hello | Describe | Begin | Continue | End


class Catalog(msgspec.Struct, frozen=True, tag="catalog"):
    """The functions of all installed modules, and why some modules are not among them."""

    functions: tuple[FunctionSpec, ...]
    broken: dict[str, str]
    modules: tuple[ModuleView, ...] = ()


class Description(msgspec.Struct, frozen=True, tag="description"):
    """The command of a program function, or why there is none."""

    id: str
    command: Command | None = None
    failure: Failure | None = None


class Rested(msgspec.Struct, frozen=True, tag="rested"):
    """The evaluation came to rest; ``ended`` if it is over and forgotten here."""

    rest: Rest
    ended: bool


class Gone(msgspec.Struct, frozen=True, tag="gone"):
    """There is no such evaluation here (any more)."""

    path: str
    eid: str
    number: int


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """The request does not fit; nothing was changed."""

    message: str


Reply = Catalog | Description | Rested | Gone | Refused


class BrokenFrame(Exception):
    """What was read is no frame: the other side is not what it should be, or died within one."""


def pack(message: Request | Reply) -> bytes:
    """A message as one frame."""
    body = msgspec.msgpack.encode(message)
    if len(body) > MAX_FRAME:
        raise BrokenFrame(f"a message of {len(body)} bytes is longer than {MAX_FRAME}")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def body_length(prefix: bytes) -> int:
    """How long the body is that follows this prefix.

    Raises:
        BrokenFrame: Longer than any message may be.
    """
    length = int.from_bytes(prefix, "big")
    if length > MAX_FRAME:
        raise BrokenFrame(f"a frame of {length} bytes is longer than {MAX_FRAME}")
    return length


def unpack_request(body: bytes) -> Request:
    """The request in a frame's body.

    Raises:
        BrokenFrame: It is none.
    """
    try:
        request: Request = msgspec.msgpack.decode(body, type=Request)
    except msgspec.MsgspecError as error:
        raise BrokenFrame(str(error)) from None
    return request


def unpack_reply(body: bytes) -> Reply:
    """The reply in a frame's body.

    Raises:
        BrokenFrame: It is none.
    """
    try:
        reply: Reply = msgspec.msgpack.decode(body, type=Reply)
    except msgspec.MsgspecError as error:
        raise BrokenFrame(str(error)) from None
    return reply


def read_body(stream: BinaryIO) -> bytes | None:
    """The next frame's body from a blocking stream; ``None`` at its end.

    Raises:
        BrokenFrame: The stream ends within a frame.
    """
    prefix = stream.read(LENGTH_BYTES)
    if not prefix:
        return None
    body = stream.read(body_length(prefix)) if len(prefix) == LENGTH_BYTES else b""
    if len(prefix) < LENGTH_BYTES or len(body) < body_length(prefix):
        raise BrokenFrame("the stream ended within a frame")
    return body
