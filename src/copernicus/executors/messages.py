"""What a worker and its warden say to each other: msgpack behind a length, with descriptors."""

from __future__ import annotations

import array
import socket
import struct
from collections.abc import Sequence

import msgspec

_LENGTH = struct.Struct("!I")
_MOST_DESCRIPTORS = 64


class Spawn(msgspec.Struct, frozen=True, tag="spawn"):
    """Run a program; its stdin, stdout and stderr come as three descriptors with the message.

    ``environment`` is added to that of the warden; ``cores`` are the CPUs it is bound to. What is
    found without a mark is never taken for that of a program that ``stays``: a host of tasks.
    """

    number: int
    argv: tuple[str, ...]
    folder: str
    environment: dict[str, str] = {}
    cores: tuple[int, ...] = ()
    stays: bool = False


class Signal(msgspec.Struct, frozen=True, tag="signal"):
    """Send a signal to the program's process group; with ``tree`` kill all that came from it."""

    number: int
    signal: int
    tree: bool = False


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """The program is over: its exit code, or the signal that ended it as a negative number.

    ``alone``: certainly nothing that it has started is left.
    """

    number: int
    code: int
    alone: bool = False


class NotStarted(msgspec.Struct, frozen=True, tag="not_started"):
    """The program could not be started, for this reason."""

    number: int
    reason: str


Order = Spawn | Signal
Report = Ended | NotStarted

_orders = msgspec.msgpack.Decoder(Order)
_reports = msgspec.msgpack.Decoder(Report)
_encoder = msgspec.msgpack.Encoder()


def pack(message: Order | Report) -> bytes:
    """The bytes of one message."""
    return frame(_encoder.encode(message))


def frame(body: bytes) -> bytes:
    """``body`` behind its length."""
    return _LENGTH.pack(len(body)) + body


def send_with_descriptors(
    channel: socket.socket, data: bytes, descriptors: Sequence[int] = ()
) -> None:
    """Send all of ``data``; the descriptors travel with its first byte."""
    ancillary = []
    if descriptors:
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
    sent = channel.sendmsg([data], ancillary)
    if sent < len(data):
        channel.sendall(data[sent:])


class OrderReader:
    """Orders from a stream of bytes, each with the descriptors that came with it."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._buffer = bytearray()
        self._descriptors: list[int] = []

    def read(self) -> list[tuple[Order, list[int]]] | None:
        """What has come, waiting for more if nothing has; None at the end of the stream."""
        data, descriptors, _, _ = socket.recv_fds(self._channel, 1 << 16, _MOST_DESCRIPTORS)
        self._descriptors += descriptors
        if not data:
            return None
        self._buffer += data
        found: list[tuple[Order, list[int]]] = []
        for body in take_frames(self._buffer):
            order = _orders.decode(body)
            own: list[int] = []
            if isinstance(order, Spawn):
                own, self._descriptors = self._descriptors[:3], self._descriptors[3:]
            found.append((order, own))
        return found


def take_frames(buffer: bytearray) -> list[bytes]:
    """Cut every complete frame off the beginning of ``buffer``."""
    frames: list[bytes] = []
    start = 0
    while len(buffer) - start >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(buffer, start)
        end = start + _LENGTH.size + length
        if len(buffer) < end:
            break
        frames.append(bytes(buffer[start + _LENGTH.size : end]))
        start = end
    del buffer[:start]
    return frames


def read_report(body: bytes) -> Report:
    """The report in a frame."""
    report: Report = _reports.decode(body)
    return report
