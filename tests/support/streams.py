"""A module of a program that writes as it goes, and of one that counts what there is so far."""

from copernicus.sdk import Command, File, Line, Module, Output, Streaming, place, program

_WRITE = """
i=0
while [ ! -e {stop} ]; do i=$((i+1)); [ $i -gt {most} ] || echo line $i >> lines; sleep 0.02; done
"""


@program("sh", outputs={"lines": File})
def write(stop: str, most: int = 1_000_000) -> Command:
    """Write lines until a file appears."""
    return Command(
        lines=(Line(("{program}", "-c", _WRITE.format(stop=stop, most=most))),),
        outputs=(Output("lines", pattern="lines", partial=True),),
    )


@program("sh", outputs={"number": int})
def counted(lines: Streaming[File]) -> Command:
    """Count the lines that there are."""
    return Command(
        lines=(Line(("{program}", "-c", "wc -l < lines > number")),),
        files=(place("lines", lines),),
        outputs=(Output("number", "number", "number"),),
    )


module = Module("streams", "1.0", [write, counted])
