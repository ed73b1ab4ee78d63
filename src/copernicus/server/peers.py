"""Peers in memory: other servers, what is lent to them and by them, what was delivered.

All of it is kept as settings of the server, by key, as the shares are. A peer that works here is a
worker as well (``machines``), whose id is that of its server.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import msgspec

from copernicus.calling.addresses import addresses
from copernicus.errors import Conflict, NotFound
from copernicus.protocol.peers import PeerState
from copernicus.protocol.servers import ServerCounts
from copernicus.scheduling.caching import CachedFile
from copernicus.scheduling.lending import Lender, Lent, refused_to
from copernicus.scheduling.rows import JobRow, Row
from copernicus.store.kept import Kept
from copernicus.store.reads import Reads
from copernicus.store.transaction import Transaction

_HOUR_S = 3600.0
MOST_URLS = 8
"""How many addresses of a peer are kept, those that it told last first."""
MOST_REQUESTS = 50
"""How many servers may wait for the administrator's word: anybody may ask."""


class PeerRecord(msgspec.Struct, frozen=True, omit_defaults=True):
    """A peer; ``id`` is that of its authority's key, so it can be at any address.

    ``lends``: this server works for it. ``borrows``: it works for this server. ``suspended``:
    neither does, for now. ``waits``: its administrator has yet to say yes to this server's work;
    ``asks``: this server's administrator has yet to say yes to its work. ``cores`` and ``hours``
    bound either direction; 0: no limit. ``clients``: how many connections of people are let through
    at a time, in either direction; 0: none. ``knows``: the addresses of this server that it was
    told last. ``doubt`` says which result of it was not the same elsewhere: until an administrator
    resumes it, it gets no more work.
    """

    id: str
    name: str
    ca_pem: str
    urls: tuple[str, ...] = ()
    machine_urls: tuple[str, ...] = ()
    lends: bool = False
    borrows: bool = False
    waits: bool = False
    asks: bool = False
    suspended: bool = False
    priority: int = 0
    cores: int = 0
    hours: float = 0.0
    added: float = 0.0
    clients: int = 0
    knows: tuple[str, ...] = ()
    doubt: str = ""

    def moved(self, urls: Iterable[str], machine_urls: Iterable[str]) -> PeerRecord:
        """As it says that it can be reached now; where it was is tried last."""
        return msgspec.structs.replace(
            self,
            urls=tuple(dict.fromkeys((*addresses(urls), *self.urls)))[:MOST_URLS],
            machine_urls=addresses(machine_urls) or self.machine_urls,
        )

    @property
    def state(self) -> PeerState:
        """In one word."""
        if self.suspended:
            return "suspended"
        if self.doubt:
            return "doubted"
        if self.asks:
            return "requested"
        return "asked" if self.waits else "trusted"

    @property
    def pool(self) -> str:
        """The pool of workers that it is here."""
        return pool_of(self.id)


class Used(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was delivered of a project's work."""

    jobs: int = 0
    core_s: float = 0.0


@dataclass(slots=True)
class Contact:
    """When a peer was last heard of, and why nothing comes from it: not stored.

    ``away`` is why it could not be told how much there is here, ``unreachable`` whether because
    nothing answered. ``told`` is what it said of itself.
    """

    at: float = 0.0
    trouble: str = ""
    away: str = ""
    unreachable: bool = False
    told: ServerCounts | None = None
    told_at: float = 0.0


UseKey = tuple[str, str, str]
"""``lent`` or ``borrowed``, the peer, the project."""

PEERS = Kept("peer:", PeerRecord)
LENT = Kept("lent:", Lent)
"""By the ids of the jobs in the own queue."""
CACHED = Kept("peer-file:", CachedFile)
_USED = Kept("peer-use:", Used)


@dataclass(slots=True)
class Peers:
    """All peers, the jobs that they lent here, the files of these, and the accounts."""

    records: dict[str, PeerRecord] = field(default_factory=dict)
    lent: dict[str, Lent] = field(default_factory=dict)
    used: dict[UseKey, Used] = field(default_factory=dict)
    contacts: dict[str, Contact] = field(default_factory=dict)
    cached: dict[str, CachedFile] = field(default_factory=dict)
    _passed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)
    _cores: Counter[str] = field(default_factory=Counter)
    _unbegun: dict[str, int] = field(default_factory=dict)

    def load(self, reads: Reads) -> None:
        """Read all of it from the store."""
        self.records, self.cached = PEERS.read(reads), CACHED.read(reads)
        self.lent, self._passed, self._unbegun = {}, {}, {}
        self._counts, self._cores = Counter(), Counter()
        for lent in LENT.read(reads).values():
            self.hold(lent)
        self.used = {}
        for key, used in _USED.read(reads).items():
            way, peer, project = key.split(":", 2)
            self.used[way, peer, project] = used

    def get(self, peer: str) -> PeerRecord:
        """The peer of this id.

        Raises:
            NotFound: there is none.
        """
        found = self.records.get(peer)
        if found is None:
            raise NotFound(f"There is no peer {peer!r} (cpc peer list).")
        return found

    def contact(self, peer: str) -> Contact:
        """What is known of the way to a peer."""
        return self.contacts.setdefault(peer, Contact())

    def hold(self, lent: Lent) -> None:
        """A peer's job is here, or is as it now is."""
        if lent.job not in self.lent:
            self._passed[lent.lent_project] = lent.via
            self._counts[lent.lent_project] += 1
            self._cores[lent.peer] += lent.cores
        self.lent[lent.job] = lent

    def let_go(self, job: str) -> bool:
        """A peer's job is not here any more; whether it was."""
        lent = self.lent.pop(job, None)
        if lent is None:
            return False
        self._unbegun.pop(job, None)
        self._cores[lent.peer] -= lent.cores
        self._counts[lent.lent_project] -= 1
        if not self._counts[lent.lent_project]:
            del self._counts[lent.lent_project], self._passed[lent.lent_project]
        return True

    def note(self, rows: Iterable[Row]) -> None:
        """Rows of the queue are these now: those of peers' jobs tell which of them wait."""
        for row in rows if self.lent else ():
            if isinstance(row, JobRow) and (lent := self.lent.get(row.id)) is not None:
                if row.state == "queued" and not lent.ahead:
                    self._unbegun[row.id] = lent.cores
                else:
                    self._unbegun.pop(row.id, None)

    def cores_unbegun(self) -> int:
        """Cores of what peers gave for workers that wait, and none of them has begun."""
        return sum(self._unbegun.values())

    def lent_projects(self) -> Mapping[str, tuple[str, ...]]:
        """The projects under which peers' jobs are here, with the servers that these passed."""
        return self._passed

    def lent_by(self, peer: str) -> list[Lent]:
        """The jobs of a peer that are here."""
        return [lent for lent in self.lent.values() if lent.peer == peer]

    def refused_to(self, passed: Iterable[str]) -> tuple[str, ...]:
        """The projects here of which an offer gets nothing that has passed these servers.

        They came by way of one of them, or too far.
        """
        lent = self.lent_projects()
        return tuple(sorted({name for one in passed for name in refused_to(one, lent)}))

    def hours_of(self, way: str, peer: str) -> float:
        """The core-hours that were delivered in one direction."""
        used = (used for key, used in self.used.items() if key[:2] == (way, peer))
        return sum(one.core_s for one in used) / _HOUR_S

    def lenders(self) -> list[Lender]:
        """The peers that may be asked for work, and how many cores each may still have.

        Those that have not said yes yet are among them: asking finds out.
        """
        found = []
        for peer in self.records.values():
            over = peer.hours and self.hours_of("lent", peer.id) >= peer.hours
            if peer.lends and not peer.suspended and not over:
                found.append(Lender(peer.id, peer.priority, self._room_for(peer)))
        return found

    def _room_for(self, peer: PeerRecord) -> int | None:
        if not peer.cores:
            return None
        return max(0, peer.cores - self._cores[peer.id])

    def may_have(self, peer: PeerRecord, held: int) -> str | int | None:
        """How many more cores a peer that works here may get (``None``: any), or why none."""
        if peer.suspended:
            return "its administrator has suspended this peer"
        if peer.doubt:
            return "a result of this peer was not the same elsewhere (cpc peer show there)"
        if not peer.borrows:
            return "its administrator has not said yes (cpc peer trust)"
        if peer.hours and self.hours_of("borrowed", peer.id) >= peer.hours:
            return f"the limit of {peer.hours:g} core-hours is reached"
        return max(0, peer.cores - held) if peer.cores else None

    def use(self, way: str, peer: str, project: str, core_s: float) -> tuple[UseKey, Used]:
        """Count what was delivered."""
        key = (way, peer, project)
        old = self.used.get(key, Used())
        self.used[key] = Used(old.jobs + 1, old.core_s + core_s)
        return key, self.used[key]

    def request(self, record: PeerRecord) -> None:
        """Take in a server that asks to be trusted.

        Raises:
            Conflict: too many do.
        """
        waiting = [one for one in self.records.values() if one.state == "requested"]
        if record.id not in self.records and len(waiting) >= MOST_REQUESTS:
            raise Conflict(
                f"{MOST_REQUESTS} servers wait for this one's administrator already: ask for an "
                "invitation (cpc peer invite)."
            )
        self.records[record.id] = record


def pool_of(peer: str) -> str:
    """The pool of the worker that a peer is."""
    return f"peer-{peer[:8]}"


def keep_used(key: UseKey, used: Used) -> Callable[[Transaction], None]:
    """What stores what was delivered."""
    return _USED.keep(":".join(key), used)
