"""What authors of modules import: types, decorators, the net, and how tasks see files.

```python
@program("gromacs", ">=2020", outputs={"xtc": File}, on_change={"nsteps": "extend"})
def mdrun(tpr: File, nsteps: int = 1000) -> Command:
    return Command(
        lines=(Line(("{program}", "mdrun", "-s", "run.tpr", "-nsteps", str(nsteps))),),
        files=(place("run.tpr", tpr),),
        outputs=(Output("xtc", pattern="traj.xtc"),),
    )

@task
def longest(trajs: Files) -> File:                 # file.path is a local copy
    return max(trajs, key=lambda file: file.size)  # a new file: File.new(path)

@workflow(outputs={"xtc": File})
async def best(net: Net, tprs: Files) -> None:
    runs = [net.call(mdrun, key=("md", i), tpr=tpr) for i, tpr in enumerate(tprs)]
    chosen = net.call(longest, key="longest", trajs=net.collect(r.out.xtc for r in runs))
    net.output(xtc=chosen.out.result)

module = Module("mine", "1.0", [mdrun, longest, best])
```

The Python module that has ``module`` is named by an entry point of the group
``copernicus.modules``.
"""

from copernicus.model.hints import Unit
from copernicus.model.jobs import (
    Checkpoint,
    Command,
    Done,
    Failure,
    Join,
    Line,
    Number,
    Output,
    Placed,
    Progress,
    Series,
)
from copernicus.model.resources import Resources
from copernicus.model.retries import FailurePattern, RetryPolicy
from copernicus.registry import Module
from copernicus.sdk.calling import Task, current_task, report_progress
from copernicus.sdk.files import File, Files, NewFile, place
from copernicus.sdk.functions import Function, program, task, workflow
from copernicus.sdk.hints import Final, Latest, Streaming
from copernicus.sdk.net import Net
from copernicus.sdk.refs import Branch, Call, Collected, Outcome, Ref

__all__ = [
    "Branch",
    "Call",
    "Checkpoint",
    "Collected",
    "Command",
    "Done",
    "Failure",
    "FailurePattern",
    "File",
    "Files",
    "Final",
    "Function",
    "Join",
    "Latest",
    "Line",
    "Module",
    "Net",
    "NewFile",
    "Number",
    "Outcome",
    "Output",
    "Placed",
    "Progress",
    "Ref",
    "Resources",
    "RetryPolicy",
    "Series",
    "Streaming",
    "Task",
    "Unit",
    "current_task",
    "place",
    "program",
    "report_progress",
    "task",
    "workflow",
]
