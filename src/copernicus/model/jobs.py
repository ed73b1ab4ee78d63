"""A job as declarative data: what a worker needs to run it without any of the module's code.

A job is one work folder and a short list of command lines run in it. In every text of a
``Command`` these placeholders are filled in, first by the engine (``{in.PORT}``), then by the
worker: ``{program}`` (only as ``argv[0]``: the program's own command), ``{cores}``, ``{gpus}``,
``{ranks}`` and ``{threads}`` of each (without MPI, one rank with all cores), ``{job}`` (job id),
``{part}`` (how many attempts have started this work before, plus one), ``{glob:PATTERN}`` (an
argument alone: all matching files, sorted naturally), ``{filled:PATTERN}`` (the same less empty
files).
"""

from __future__ import annotations

from typing import Any, Literal

import msgspec

from copernicus.model.resources import ProgramNeed, Resources
from copernicus.model.retries import FailurePattern


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """One command line.

    ``when``: ``always``; ``fresh`` only without a checkpoint; ``resume`` only with one;
    ``complete`` only after the work itself is complete (``done_when`` of the job holds for all but
    the files that such lines make): joining parts, extracting. ``ok`` are the exit codes that let
    the next line run; ``None`` lets any. The standard input is the text ``stdin``, or what the
    file ``stdin_file`` of the work folder holds. ``mpi``: started by the worker's launcher, if the
    job is for ``platform`` ``mpi``.
    """

    argv: tuple[str, ...]
    when: Literal["always", "fresh", "resume", "complete"] = "always"
    stdin: str = ""
    stdout: str | None = None
    ok: tuple[int, ...] | None = (0,)
    stdin_file: str | None = None
    mpi: bool = False


class Placed(msgspec.Struct, frozen=True, omit_defaults=True):
    """A file put into the work folder before the first line: a plain ``file``, or ``text``.

    ``port`` places the file (or, with ``{index}`` in ``path``, the files) that an input port holds;
    nothing if it holds nothing. ``fill`` is what a template's text is filled with: ``mentions``;
    ``nothing``; ``inputs``: the text becomes a JSON object of all inputs, files as their paths.
    """

    path: str
    file: dict[str, Any] | None = None
    text: str | None = None
    port: str | None = None
    fill: Literal["mentions", "nothing", "inputs"] = "mentions"


class Join(msgspec.Struct, frozen=True):
    """A command line that makes one file, ``makes``, of those that a job has so far."""

    argv: tuple[str, ...]
    makes: str


class Output(msgspec.Struct, frozen=True, omit_defaults=True):
    """How an output port's value is read from the work folder when the job is complete.

    ``how``: ``file`` (the one file that matches ``pattern``), ``files`` (all), ``text``, ``json``,
    ``number`` and ``regex`` (first group of ``regex`` in the file, last match; number converts it),
    ``exit_code`` (of the last line). ``partial``: it means something while the job runs (a
    trajectory, a log); what there is of it so far may be read then, from ``so_far`` (a pattern) if
    the job has it in other files than at its end; of several, ``join`` makes the one that is
    wanted (without it, the last one is taken).
    ``key`` names the member of a JSON object that is meant, with dots for members of members.
    """

    port: str
    how: Literal["file", "files", "text", "json", "number", "regex", "exit_code"] = "file"
    pattern: str = ""
    regex: str | None = None
    optional: bool = False
    name: str | None = None
    partial: bool = False
    key: str | None = None
    so_far: str = ""
    join: Join | None = None


class Number(msgspec.Struct, frozen=True, omit_defaults=True):
    """A number in files: the last match of ``regex`` (first group) in the newest file matching."""

    pattern: str
    regex: str


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a running job's progress is read: named groups ``step``, ``total``, ``rate`` of a regex.

    ``total`` is used where the log does not name it, ``unit`` is that of the rate (ns/day). Where
    the log names no rate but what one step is (group ``per_step``), the rate is measured: steps
    per second times ``per_step`` times ``scale``.
    """

    pattern: str
    regex: str
    total: float | None = None
    unit: str = ""
    scale: float = 1.0


class Series(msgspec.Struct, frozen=True, omit_defaults=True):
    """A table that grows while the job runs, read from files that match ``pattern``, in order.

    Without ``regex`` the files are CSV with a line of names. With it, every match is a row and
    its named groups are the columns; one group may be called ``block``: lines of names and lines
    of numbers below them by turns, in columns of ``width`` characters. A row whose first column
    is not beyond that of rows before it takes their place: a part was run again.
    """

    name: str
    pattern: str
    regex: str | None = None
    width: int = 15
    units: dict[str, str] = {}


class Checkpoint(msgspec.Struct, frozen=True, omit_defaults=True):
    """Which files let the work go on elsewhere.

    ``files``: patterns; ``required``: those without which there is no checkpoint, copied before
    the others so that data files are never older than the state that refers to them; ``step``:
    how far it is; ``limit``: a checkpoint beyond it is no good for this job.
    ``growing``: patterns of files that are only ever appended to, of which what is new is read.
    ``damaged``: regular expressions over the log; where one matches and the attempt failed, what
    it went on from cannot be used. Then ``spares`` (file to the copy before it) take their places;
    without them, or if they are no better, the checkpoint before is given to the next attempt.
    """

    files: tuple[str, ...]
    required: tuple[str, ...]
    step: Number | None = None
    limit: float | None = None
    interval_s: float | None = None
    growing: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    spares: dict[str, str] = {}


class Done(msgspec.Struct, frozen=True, omit_defaults=True):
    """What shows that the work is complete: files that exist, numbers that are reached.

    ``files`` and ``number`` are checked before lines ``when="complete"`` run. With neither, the
    exit codes of the lines decide. ``fatal``: regular expressions over the log of the lines,
    with what they mean to a person.
    """

    files: tuple[str, ...] = ()
    number: Number | None = None
    at_least: float | None = None
    fatal: dict[str, str] = {}


class Command(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What a program function describes; also, with ``{in.PORT}`` in its texts, a template.

    An attempt that takes longer than ``timeout_s`` fails. ``from_inputs`` of a template: numbers
    that are those of inputs, by their place (``FOLLOWING``).
    """

    lines: tuple[Line, ...]
    outputs: tuple[Output, ...] = ()
    files: tuple[Placed, ...] = ()
    checkpoint: Checkpoint | None = None
    progress: Progress | None = None
    series: tuple[Series, ...] = ()
    done_when: Done = Done()
    environment: dict[str, str] = {}
    resources: Resources | None = None
    timeout_s: float | None = None
    from_inputs: dict[str, str] = {}


FOLLOWING = (
    *("timeout_s", "done_when.at_least", "checkpoint.limit", "checkpoint.interval_s"),
    *("progress.total", "resources.cores", "resources.max_cores", "resources.memory_mb"),
    *("resources.gpus", "resources.disk_mb", "resources.expected_s", "resources.priority"),
    *("resources.gpu_memory_mb", "resources.timeout_s"),
)
"""The numbers of a command that may follow from inputs."""


class TaskCall(msgspec.Struct, frozen=True, gc=False):
    """A Python function of a module, called with plain inputs."""

    entry: str
    inputs: dict[str, Any]


class JobSpec(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """One run of a program (``command``) or of a task function (``task``).

    ``checkpoint_key`` binds checkpoints to what they belong to: lineage and input digest less the
    ports that extend. How often it is tried again is said as in ``RetryPolicy``.
    """

    function: str
    function_version: str
    program: ProgramNeed
    inputs_digest: str
    checkpoint_key: str
    command: Command | None = None
    task: TaskCall | None = None
    resources: Resources = Resources()
    job_errors: int = 2
    worker_losses: int = 4
    memory_growths: int = 3
    backoff_s: float = 5.0
    label: str = ""
    troubles: int = 30
    backoff_max_s: float | None = None
    permanent: tuple[FailurePattern, ...] = ()
    transient: tuple[FailurePattern, ...] = ()


class StoredFile(msgspec.Struct, frozen=True):
    """A file of a work folder, as it lies in the blob store."""

    path: str
    sha256: str
    size: int


class CheckpointRef(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stored checkpoint: bound to ``key``, made by ``attempt``, number ``index`` of its job."""

    key: str
    job: str
    attempt: int
    index: int
    files: tuple[StoredFile, ...]
    step: float | None = None


class Failure(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why something failed, for people: one sentence, and what lies behind it.

    ``bad_checkpoint``: what the attempt went on from cannot be used, and is to blame. ``verdict``:
    what the patterns of the retry policy make of it.
    """

    reason: str
    cause: Literal[
        "job_error", "worker_lost", "infrastructure", "resource", "cancelled", "definition"
    ] = "job_error"
    exit_code: int | None = None
    log: str = ""
    worker: str = ""
    remedy: str = ""
    where: str = ""
    bad_checkpoint: bool = False
    verdict: Literal["", "permanent", "transient"] = ""


class AttemptRecord(msgspec.Struct, frozen=True, omit_defaults=True, gc=False):
    """What the trace keeps of one attempt. Times are seconds since the epoch (server's clock).

    ``series`` are files (plain values) by the name of the series. ``log`` is the end of what it
    printed; the queue keeps it, the journal does not. ``peak_memory_mb`` is the most that all its
    processes had at once, ``rate`` how fast it ran (``rate_unit``, such as ns/day).
    """

    number: int
    worker: str
    host: str = ""
    program_version: str = ""
    cores: int = 0
    started: float = 0.0
    ended: float = 0.0
    outcome: str = ""
    exit_code: int | None = None
    checkpoint: CheckpointRef | None = None
    series: dict[str, Any] = {}
    log: str = ""
    peak_memory_mb: int = 0
    rate: float | None = None
    rate_unit: str = ""
