"""Two network namespaces with a cable between them, for partitions that are real.

``with inside(net.server):`` puts this thread, and every process that it starts, into one of them.
Sockets and processes stay where they were made.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from support.mounts import needs_root, run_as_root

_CLONE_NEWNET = 0x40000000
_LIBC = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class Side:
    """One namespace: its name, its address on the cable, its end of it."""

    name: str
    address: str
    device: str

    def run(self, *argv: str) -> None:
        """Run a command in it."""
        subprocess.run(["ip", "netns", "exec", self.name, *argv], check=True, capture_output=True)

    def output(self, *argv: str) -> str:
        """What a command prints in it."""
        inside_it = ["ip", "netns", "exec", self.name, *argv]
        return subprocess.run(inside_it, check=True, capture_output=True, text=True).stdout

    def drop(self, where: str) -> None:
        """Lose all packets from the cable (``INPUT``) or onto it (``OUTPUT``), silently."""
        flag = "-i" if where == "INPUT" else "-o"
        self.run("iptables", "-w", "-A", where, flag, self.device, "-j", "DROP")

    def heal(self) -> None:
        """Lose nothing more."""
        self.run("iptables", "-w", "-F")

    def move(self, address: str) -> Side:
        """Lose its address, as a laptop does that is carried elsewhere, and get this one."""
        self.run("ip", "addr", "del", f"{self.address}/24", "dev", self.device)
        self.run("ip", "addr", "add", f"{address}/24", "dev", self.device)
        return replace(self, address=address)

    def refuse_calls(self) -> None:
        """Nobody on the cable begins a connection to here; those that begin here are as before."""
        new = ("-p", "tcp", "--syn", "-j", "DROP")
        self.run("iptables", "-w", "-A", "INPUT", "-i", self.device, *new)

    def calls_from(self, address: str) -> int:
        """How many connections with this address are open."""
        return self.output("ss", "-tnH", "state", "established").count(f"{address}:")

    def cable(self, state: str) -> None:
        """Pull it out (``down``), or put it in again (``up``)."""
        self.run("ip", "link", "set", self.device, state)


@dataclass(frozen=True)
class Network:
    """The two sides."""

    server: Side
    worker: Side


@contextmanager
def two_sides() -> Iterator[Network]:
    """Two namespaces with a cable between, gone at the end."""
    needs_root("network namespaces")
    tag = secrets.token_hex(3)
    server = Side(f"cpc-{tag}-s", "10.213.7.1", f"s{tag}")
    worker = Side(f"cpc-{tag}-w", "10.213.7.2", f"w{tag}")
    with ExitStack() as stack:
        for side in (server, worker):
            run_as_root(["ip", "netns", "add", side.name], "making a network namespace")
            stack.callback(_remove, side.name)
        ends = ["ip", "link", "add", server.device, "netns", server.name, "type", "veth"]
        run_as_root([*ends, "peer", "name", worker.device, "netns", worker.name], "making a cable")
        for side in (server, worker):
            side.run("ip", "addr", "add", f"{side.address}/24", "dev", side.device)
            side.run("ip", "link", "set", side.device, "up")
            side.run("ip", "link", "set", "lo", "up")
        yield Network(server, worker)


@dataclass(frozen=True)
class Cluster:
    """A server outside, the head node of a cluster, and its inner network, which has no way out.

    ``head`` has two cables: to the outside (its ``device``), and to ``inner``, where its address is
    ``gate``. The head node dials out; nobody dials it from outside.
    """

    outside: Side
    head: Side
    inner: Side
    gate: str


@contextmanager
def closed_cluster() -> Iterator[Cluster]:
    """Three namespaces in a row, gone at the end; packets do not pass the one in the middle."""
    with two_sides() as net, ExitStack() as stack:
        head, tag = net.worker, secrets.token_hex(3)
        inner, gate, door = Side(f"cpc-{tag}-i", "10.213.8.2", f"i{tag}"), "10.213.8.1", f"g{tag}"
        run_as_root(["ip", "netns", "add", inner.name], "making a network namespace")
        stack.callback(_remove, inner.name)
        ends = ["ip", "link", "add", door, "netns", head.name, "type", "veth"]
        run_as_root([*ends, "peer", "name", inner.device, "netns", inner.name], "making a cable")
        for side, device, address in ((head, door, gate), (inner, inner.device, inner.address)):
            side.run("ip", "addr", "add", f"{address}/24", "dev", device)
            side.run("ip", "link", "set", device, "up")
        inner.run("ip", "link", "set", "lo", "up")
        head.refuse_calls()
        yield Cluster(net.server, head, inner, gate)


@contextmanager
def neighbours(count: int) -> Iterator[list[Side]]:
    """So many namespaces without any cable yet (``connect``), gone at the end.

    Each has one address, whichever of its cables a packet takes; none passes packets on.
    """
    needs_root("network namespaces")
    tag = secrets.token_hex(3)
    with ExitStack() as stack:
        sides = [Side(f"cpc-{tag}-{i}", f"10.213.9.{i + 1}", "lo") for i in range(count)]
        for side in sides:
            run_as_root(["ip", "netns", "add", side.name], "making a network namespace")
            stack.callback(_remove, side.name)
            side.run("ip", "link", "set", "lo", "up")
            side.run("ip", "addr", "add", f"{side.address}/32", "dev", "lo")
            side.run("sysctl", "-qw", "net.ipv4.ip_forward=0")
        yield sides


def connect(one: Side, other: Side) -> tuple[Side, Side]:
    """A cable between two neighbours; what is lost on it is said by either of its ends."""
    tag = secrets.token_hex(4)
    ends = (replace(one, device=f"a{tag}"), replace(other, device=f"b{tag}"))
    made = ["ip", "link", "add", ends[0].device, "netns", one.name, "type", "veth"]
    run_as_root([*made, "peer", "name", ends[1].device, "netns", other.name], "making a cable")
    for end in ends:
        end.cable("up")
    for end, far in zip(ends, reversed(ends), strict=True):
        end.run("ip", "route", "add", far.address, "dev", end.device, "src", end.address)
    return ends


def _remove(name: str) -> None:
    subprocess.run(["ip", "netns", "del", name], check=True, capture_output=True)


@contextmanager
def inside(side: Side) -> Iterator[None]:
    """This thread is in that namespace, and what it starts."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(Path("/var/run/netns") / side.name)
        try:
            yield
        finally:
            _set(before)
    finally:
        os.close(before)


def _enter(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        _set(handle)
    finally:
        os.close(handle)


def _set(handle: int) -> None:
    if _LIBC.setns(handle, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")
