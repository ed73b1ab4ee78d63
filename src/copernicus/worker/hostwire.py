"""What a worker and a task host say to each other."""

from __future__ import annotations

from typing import Any

import msgspec

from copernicus.executors.messages import frame
from copernicus.protocol import ProgressReport
from copernicus.worker.outcome import Cause
from copernicus.worker.transfer import Pending


class Order(msgspec.Struct, frozen=True, omit_defaults=True):
    """Call a task function. ``files`` are local copies of the inputs' files, by SHA-256."""

    entry: str
    inputs: dict[str, Any]
    folder: str
    cores: tuple[int, ...] = ()
    files: dict[str, str] = {}


class Progressed(msgspec.Struct, frozen=True, tag="progressed"):
    """How far the task is."""

    report: ProgressReport


class Returned(msgspec.Struct, frozen=True, tag="returned", omit_defaults=True):
    """Plain outputs by port, and the new files that they name."""

    outputs: dict[str, Any]
    files: tuple[Pending, ...] = ()


class Raised(msgspec.Struct, frozen=True, tag="raised"):
    """The task failed; ``log`` is the end of its traceback."""

    reason: str
    cause: Cause
    log: str


Reply = Progressed | Returned | Raised

_encoder = msgspec.msgpack.Encoder()
_replies = msgspec.msgpack.Decoder(Reply)
_orders = msgspec.msgpack.Decoder(Order)


def pack(message: Order | Reply) -> bytes:
    """The bytes of one message."""
    return frame(_encoder.encode(message))


def read_reply(body: bytes) -> Reply:
    """The reply in a frame."""
    reply: Reply = _replies.decode(body)
    return reply


def read_order(body: bytes) -> Order:
    """The order in a frame."""
    return _orders.decode(body)
