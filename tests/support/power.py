"""What is on a disk after a power cut, from a record of all that a process did to it.

``disk_shim.c`` is preloaded under the process and writes the record. Kept for certain: bytes of a
file up to its last sync, names in a folder up to the folder's last sync. Of the rest a random part
is kept: of bytes any sectors of 512, torn and in any order; of names in one folder the first ones.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
_HEAD = struct.Struct("=IIIIQqQ")
_ACK = ord("A")


def variables(library: Path, root: Path, record: Path | None = None, fail: str = "") -> dict:
    """For the environment of a process whose writes below ``root`` are recorded, or fail."""
    found = {"LD_PRELOAD": str(library), "SHIM_ROOT": str(root)}
    if record is not None:
        found["SHIM_LOG"] = str(record)
    if fail:
        found["SHIM_FAIL"] = fail
    return found


def acknowledge(record: int, number: int) -> None:
    """Say in the record, open at this handle, that something was acknowledged by now."""
    data = str(number).encode()
    os.write(record, _HEAD.pack(_ACK, 0, 0, 0, 0, 0, len(data)) + data)


@dataclass(frozen=True)
class Operation:
    kind: str
    inode: int
    path: str
    to: str
    offset: int
    data: bytes


def read_record(path: Path) -> Iterator[Operation]:
    """Everything that was done, in its order."""
    with path.open("rb") as file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            kind, one, two, _, inode, offset, size = _HEAD.unpack(head)
            name, to = file.read(one).decode(), file.read(two).decode()
            yield Operation(chr(kind), inode, name, to, offset, file.read(size))


@dataclass
class File:
    synced: bytearray = field(default_factory=bytearray)
    waiting: list[tuple[int, bytes | None]] = field(default_factory=list)

    def sync(self) -> None:
        for offset, data in self.waiting:
            _apply(self.synced, offset, data)
        self.waiting.clear()

    def after_cut(self, luck: random.Random) -> bytes:
        found = bytearray(self.synced)
        for offset, data in self.waiting:
            if data is None:
                if luck.random() < 0.5:
                    _apply(found, offset, None)
                continue
            for start in range(0, len(data), SECTOR):
                if luck.random() < 0.5:
                    _apply(found, offset + start, data[start : start + SECTOR])
        return bytes(found)


def _apply(content: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del content[offset:]
        content.extend(bytes(max(offset - len(content), 0)))
        return
    content.extend(bytes(max(offset + len(data) - len(content), 0)))
    content[offset : offset + len(data)] = data


def _folder_of(path: str) -> str:
    return path.rpartition("/")[0]


Change = tuple[str, str, File | None]
"""A name and what it stands for from now on: a file, a folder ("folder"), or nothing."""


class Disk:
    """The disk below ``root``, which was empty at the beginning, as the record goes on."""

    def __init__(self, root: Path) -> None:
        self.root = str(root)
        self.acknowledged = 0
        self._now: dict[str, File] = {}
        self._inodes: dict[int, File] = {}
        self._durable: dict[str, File | None] = {}
        self._waiting: dict[str, list[list[Change]]] = {}

    @classmethod
    def as_it_is(cls, root: Path) -> Disk:
        """The disk below ``root`` with all that is there now, for a record that begins now."""
        disk = cls(root)
        for path in root.rglob("*"):
            found = None if path.is_dir() else File(bytearray(path.read_bytes()))
            disk._durable[str(path)] = found
            if found is not None:
                disk._now[str(path)] = disk._inodes[path.stat().st_ino] = found
        return disk

    def do(self, op: Operation) -> None:
        """One more operation."""
        match op.kind:
            case "A":
                self.acknowledged = int(op.data)
            case "C" if op.path in self._now:
                self._inodes[op.inode] = self._now[op.path]
            case "C":
                made = self._inodes[op.inode] = self._now[op.path] = File()
                self._rename(("file", op.path, made))
            case "W":
                self._inodes[op.inode].waiting.append((op.offset, op.data))
            case "T":
                self._inodes[op.inode].waiting.append((op.offset, None))
            case "S" if op.path in self._now:
                self._now[op.path].sync()
            case "S":
                for changes in self._waiting.pop(op.path, []):
                    self._settle(self._durable, changes)
            case "M":
                self._rename(("folder", op.path, None))
            case "U":
                self._now.pop(op.path, None)
                self._rename(("gone", op.path, None))
            case "R":
                moved = self._now[op.to] = self._now.pop(op.path)
                old: Change = ("gone", op.path, None)
                new: Change = ("file", op.to, moved)
                if _folder_of(op.path) == _folder_of(op.to):
                    self._rename(old, new)
                else:
                    self._rename(old)
                    self._rename(new)

    def image(self, to: Path, luck: random.Random) -> None:
        """What a power cut at this moment would leave, in a new folder."""
        names = dict(self._durable)
        for waiting in self._waiting.values():
            for changes in waiting[: luck.randint(0, len(waiting))]:
                self._settle(names, changes)
        to.mkdir(mode=0o700)
        for name in sorted(names):
            target = to / os.path.relpath(name, self.root)
            if not target.parent.is_dir() or name.endswith("-shm"):
                continue
            file = names[name]
            if file is None:
                target.mkdir(mode=0o700)
            else:
                target.touch(mode=0o600)
                target.write_bytes(file.after_cut(luck))

    def _rename(self, *changes: Change) -> None:
        self._waiting.setdefault(_folder_of(changes[0][1]), []).append(list(changes))

    @staticmethod
    def _settle(names: dict[str, File | None], changes: list[Change]) -> None:
        for kind, path, file in changes:
            if kind == "gone":
                names.pop(path, None)
            else:
                names[path] = file
