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
from copernicus.store.kept import Kept
from copernicus.store.reads import Reads

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


RULES = Kept("verify:", KeptRule)
TALLIES = Kept("verify-tally:", Tally)
CHECKED = Kept("verified:", Checked)
DOUBTS = Kept("doubts:", tuple[Doubt, ...])


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
    found = Verifications(
        RULES.read(reads), TALLIES.read(reads), CHECKED.read(reads), DOUBTS.read(reads)
    )
    for job in filter(is_verifying, jobs):
        found.open.setdefault(project_of(job), set()).add(job)
    return found
