"""What a program function may describe."""

from __future__ import annotations

import msgspec
import pytest

from copernicus.errors import BadDefinition
from copernicus.model.jobs import Command, Line, Output, Placed
from copernicus.sdk.commands import check_command
from support.authors import simulate

GOOD = Command((Line(("{program}",)),), (Output("xtc", pattern="x"),), (Placed("in/a", text="a"),))


def test_a_good_command_passes() -> None:
    assert check_command(simulate.spec, GOOD) is GOOD


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"lines": ()}, "has no lines"),
        ({"lines": (Line(()),)}, "must be texts"),
        ({"lines": (Line(("{program}", 5)),)}, "must be texts"),  # type: ignore[arg-type]
        (
            {"lines": (Line(("x",), stdout=["a"]),)},  # type: ignore[arg-type]
            r"its Command is none: .*stdout",
        ),
        ({"environment": {"A": object()}}, "its Command is none"),
        ({"outputs": ()}, r"does not say how to read xtc: add Output\('xtc'"),
        ({"outputs": (*GOOD.outputs, Output("trr"))}, "reads 'trr', which is none of its outputs"),
        ({"outputs": GOOD.outputs * 2}, "reads the output 'xtc' twice"),
        ({"files": (Placed("/etc/passwd", text=""),)}, "outside of the work folder"),
        ({"files": (Placed("a/../../b", text=""),)}, "outside of the work folder"),
        ({"files": (Placed("", text=""),)}, "outside of the work folder"),
        ({"files": GOOD.files * 2}, "two files are placed at 'in/a'"),
    ],
)
def test_what_no_worker_could_run(changes: dict[str, object], said: str) -> None:
    with pytest.raises(BadDefinition, match=said):
        check_command(simulate.spec, msgspec.structs.replace(GOOD, **changes))
