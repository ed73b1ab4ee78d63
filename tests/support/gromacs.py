"""Real GROMACS jobs on real workers, and what ``gmx check`` says of what they have made."""

from __future__ import annotations

import itertools
import re
import subprocess
from importlib.resources import files
from pathlib import Path

from copernicus.model.jobs import CheckpointRef, Command, StoredFile
from copernicus.modules.gromacs.functions import grompp
from copernicus.modules.gromacs.texts import change_settings
from copernicus.protocol import Assignment, CheckpointRequest, ResultRequest
from copernicus.sdk import File
from support.worker_server import ScriptedServer, program_job

ALA2 = Path(str(files("copernicus.modules"))) / "data" / "ala2"
EVERY = 500
FAST_MIN = 0.01

_NUMBERS = itertools.count(1)


class Lab:
    """Gives GROMACS commands to the workers of a scripted server."""

    def __init__(self, server: ScriptedServer, folder: Path) -> None:
        self.server = server
        self.folder = folder

    def put(self, name: str, content: bytes | str) -> File:
        data = content.encode() if isinstance(content, str) else content
        stored = self.server.blobs.put_bytes(data)
        return File(stored.sha256, stored.size, name)

    def put_ala2(self, name: str) -> File:
        return self.put(name, (ALA2 / name).read_bytes())

    def mdp(self, name: str = "md_600K.mdp", **settings: object) -> File:
        """Parameters with a frame and energies every 500 steps."""
        base = {
            "nstxout-compressed": EVERY,
            "nstenergy": EVERY,
            "nstlog": 5000,
            "gen-seed": 3,
            "ld-seed": 5,
        }
        text = {key.replace("_", "-"): str(value) for key, value in {**base, **settings}.items()}
        return self.put(name, change_settings((ALA2 / name).read_text(), text))

    def tpr(self, mdp: File | None = None, **fields: object) -> File:
        command = grompp(
            conf=self.put_ala2("start0.gro"),
            top=self.put_ala2("topol.top"),
            mdp=mdp or self.mdp(),
            **fields,
        )
        return self.file(self.run(command), "tpr")

    def start(
        self, command: Command, checkpoint: CheckpointRef | None = None, **fields: object
    ) -> str:
        """Queue an attempt; returns its id."""
        number = next(_NUMBERS)
        job: Assignment = program_job(
            number,
            command,
            program="gromacs",
            checkpoint=checkpoint,
            part=2 if checkpoint else 1,
            **{"heartbeat_s": 0.2, **fields},
        )
        self.server.add(job)
        return job.attempt

    def result(self, attempt: str) -> ResultRequest:
        """How an attempt ended; the small files that came with it are stored, as a server does."""
        result = self.server.result(attempt, 120.0)
        for data in result.inline.values():
            self.server.blobs.put_bytes(data)
        return result

    def run(
        self, command: Command, checkpoint: CheckpointRef | None = None, **fields: object
    ) -> ResultRequest:
        return self.result(self.start(command, checkpoint, **fields))

    def stop(self, attempt: str) -> ResultRequest:
        self.server.directives[attempt] = "stop"
        return self.result(attempt)

    def file(self, result: ResultRequest, port: str) -> File:
        assert result.outcome == "completed", result.failure
        plain = result.outputs[port]
        return File(plain["$file"], plain["size"], plain["name"])

    def files(self, result: ResultRequest, port: str) -> list[File]:
        assert result.outcome == "completed", result.failure
        return [File(p["$file"], p["size"], p["name"]) for p in result.outputs[port]]

    def bytes(self, file: File | StoredFile) -> bytes:
        return b"".join(self.server.blobs.read(file.sha256))

    def text(self, file: File | StoredFile) -> str:
        return self.bytes(file).decode()

    def local(self, file: File) -> File:
        """The file with a local copy, as a task sees it."""
        path = self.folder / f"{next(_NUMBERS)}-{file.name}"
        path.write_bytes(self.bytes(file))
        return File.at(file, path)

    def energy_times(self, file: File) -> list[float]:
        """The times (ps) of the frames of an energy file, as ``gmx energy`` reads them."""
        target = self.folder / f"{next(_NUMBERS)}.xvg"
        subprocess.run(
            ["gmx", "-quiet", "energy", "-f", self.local(file).path, "-o", target],
            input="Potential\n",
            capture_output=True,
            text=True,
            check=True,
        )
        rows = [line.split() for line in target.read_text().splitlines() if line[0] not in "#@"]
        return [float(row[0]) for row in rows]

    def check(self, file: File) -> tuple[int, float]:
        """Frames of a trajectory or an energy file and the time between them; they are even."""
        option = "-e" if file.name.endswith(".edr") else "-f"
        asked = subprocess.run(
            ["gmx", "-quiet", "check", option, self.local(file).path],
            capture_output=True,
            text=True,
            check=True,
        )
        said = asked.stdout + asked.stderr
        assert "don't match" not in said, said
        if option == "-e":
            return int(re.findall(r"Last energy frame read (\d+)", said)[-1]) + 1, 0.0
        found = re.search(r"^Step +(\d+)(?: +([\d.]+))?", said, re.MULTILINE)
        assert found, said
        return int(found[1]), float(found[2] or 0)


def held(request: CheckpointRequest | None, **changed: StoredFile) -> CheckpointRef:
    """The checkpoint as it is given to the next attempt, with some files exchanged."""
    assert request is not None
    stored = tuple(changed.get(file.path.replace(".", "_"), file) for file in request.files)
    return CheckpointRef(
        key=request.key, job="p.a1", attempt=1, index=1, files=stored, step=request.step
    )


def paths(checkpoint: CheckpointRequest | CheckpointRef | None) -> set[str]:
    return {file.path for file in checkpoint.files} if checkpoint else set()
