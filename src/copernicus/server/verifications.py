"""What is known of verifying what peers gave, in memory: rules, tallies, doubts, open runs.

All but the open runs is kept as settings of the server, by key; those are in the queue.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from copernicus.model.verification import Outcome, Tally, Verification
from copernicus.scheduling.rows import activation_of, project_of
from copernicus.store.reads import Reads
from copernicus.store.transaction import Transaction

_RULE, _TALLY, _CHECKED, _DOUBTS = "verify:", "verify-tally:", "verified:", "doubts:"
_NAME = re.compile(r"a\d+v[0-9a-z]{26}")
MOST_DOUBTS = 20
"""So many differences of a project are told, the newest; the audit log has all."""


def is_verifying(job: str) -> bool:
    """Whether a job is a second run that a rule has started."""
    return _NAME.fullmatch(activation_of(job)) is not None


class KeptRule(msgspec.Struct, frozen=True):
    """A project's rule, and the ``key`` by which is chosen, which nobody is told."""

    rule: Verification
    key: str


class Checked(msgspec.Struct, frozen=True, omit_defaults=True):
    """How many results of a peer were verified, and how many of them differed."""

    verified: int = 0
    differed: int = 0


class Doubt(msgspec.Struct, frozen=True):
    """The result of an activation that was not the same elsewhere, in words."""

    activation: str
    says: str


@dataclass(slots=True)
class Verifications:
    """Rules, tallies, doubts and open second runs by project, accounts by peer."""

    rules: dict[str, KeptRule] = field(default_factory=dict)
    tallies: dict[str, Tally] = field(default_factory=dict)
    checked: dict[str, Checked] = field(default_factory=dict)
    doubts: dict[str, tuple[Doubt, ...]] = field(default_factory=dict)
    open: dict[str, set[str]] = field(default_factory=dict)

    def rule(self, project: str) -> Verification:
        """The rule of a project."""
        kept = self.rules.get(project)
        return kept.rule if kept is not None else Verification()

    def add(self, project: str, what: Outcome) -> Tally:
        """Count what became of one of a project's chosen results."""
        self.tallies[project] = self.tallies.get(project, Tally()).plus(what)
        return self.tallies[project]

    def count(self, peer: str, *, differs: bool) -> Checked:
        """Count a result of a peer that was verified."""
        old = self.checked.get(peer, Checked())
        self.checked[peer] = Checked(old.verified + 1, old.differed + differs)
        return self.checked[peer]

    def doubt(self, project: str, doubt: Doubt) -> tuple[Doubt, ...]:
        """Note a difference; all that a project has now."""
        self.doubts[project] = (*self.doubts.get(project, ()), doubt)[-MOST_DOUBTS:]
        return self.doubts[project]


def read_verifications(reads: Reads, jobs: Iterable[str]) -> Verifications:
    """All of it, from the store; ``jobs`` are those that have not ended."""
    found = Verifications()
    for key, value in reads.metas(_RULE).items():
        found.rules[key.removeprefix(_RULE)] = msgspec.json.decode(value, type=KeptRule)
    for key, value in reads.metas(_TALLY).items():
        found.tallies[key.removeprefix(_TALLY)] = msgspec.json.decode(value, type=Tally)
    for key, value in reads.metas(_CHECKED).items():
        found.checked[key.removeprefix(_CHECKED)] = msgspec.json.decode(value, type=Checked)
    for key, value in reads.metas(_DOUBTS).items():
        doubts = msgspec.json.decode(value, type=tuple[Doubt, ...])
        found.doubts[key.removeprefix(_DOUBTS)] = doubts
    for job in filter(is_verifying, jobs):
        found.open.setdefault(project_of(job), set()).add(job)
    return found


def keep_rule(transaction: Transaction, project: str, rule: KeptRule) -> None:
    """Store a project's rule."""
    transaction.set_meta(f"{_RULE}{project}", msgspec.json.encode(rule).decode())


def keep_tally(transaction: Transaction, project: str, tally: Tally) -> None:
    """Store what became of a project's chosen results."""
    transaction.set_meta(f"{_TALLY}{project}", msgspec.json.encode(tally).decode())


def keep_checked(transaction: Transaction, peer: str, checked: Checked) -> None:
    """Store what was found out about a peer."""
    transaction.set_meta(f"{_CHECKED}{peer}", msgspec.json.encode(checked).decode())


def keep_doubts(transaction: Transaction, project: str, doubts: tuple[Doubt, ...]) -> None:
    """Store where a project's results differed."""
    transaction.set_meta(f"{_DOUBTS}{project}", msgspec.json.encode(doubts).decode())
