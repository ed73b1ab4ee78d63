"""Views as a server would answer, and how they look in a terminal of a given width."""

import io

from rich.console import Console

from copernicus.model.jobs import Failure
from copernicus.protocol import InstanceView, JobView, ProgressReport, ProjectView


def project(**changes):
    fields = {
        "id": "p1",
        "name": "ala",
        "owner": "ann",
        "state": "active",
        "revision": 3,
        "position": 20,
        "created": 0.0,
        "changed": 0.0,
    }
    return ProjectView(**(fields | changes))


def instance(path, state="waiting", counts=None, **changes):
    counts = {state: 1} if counts is None else counts
    fields = {
        "path": path,
        "function": "gromacs.mdrun",
        "version": "1.0",
        "kind": "program",
        "state": state,
        "counts": counts,
        "elements": sum(counts.values()),
    }
    return InstanceView(**(fields | changes))


def job(path, state="running", number=1, **changes):
    fields = {
        "id": f"p1.a{number}",
        "project": "p1",
        "path": path,
        "function": "gromacs.mdrun",
        "state": state,
        "host": "desk",
        "cores": 2,
    }
    return JobView(**(fields | changes))


def progress(step, total, rate=84.0, unit="ns/day", left=180.0):
    return ProgressReport(step=step, total=total, rate=rate, unit=unit, remaining_s=left)


def failure(reason="gmx ended with exit code 1", **changes):
    return Failure(reason, **changes)


def lines(shown, width=80):
    """What is printed, line by line, without colours."""
    stream = io.StringIO()
    Console(file=stream, width=width, color_system=None, force_terminal=False).print(shown)
    return [line.rstrip() for line in stream.getvalue().rstrip("\n").split("\n")]
