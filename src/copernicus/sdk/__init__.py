"""What authors of modules import: types, decorators, the net, and how tasks see files."""

from copernicus.model.functions import RetryPolicy
from copernicus.model.jobs import (
    Checkpoint,
    Command,
    Done,
    Failure,
    Line,
    Number,
    Output,
    Placed,
    Progress,
)
from copernicus.model.resources import Resources
from copernicus.model.types import Unit
from copernicus.registry import Module
from copernicus.sdk.calling import Task, current_task, report_progress
from copernicus.sdk.files import File, Files, NewFile, place
from copernicus.sdk.functions import Function, program, task, workflow
from copernicus.sdk.hints import Final, Latest
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
    "File",
    "Files",
    "Final",
    "Function",
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
    "Task",
    "Unit",
    "current_task",
    "place",
    "program",
    "report_progress",
    "task",
    "workflow",
]
