"""Checkpoints that can be trusted on another machine.

OpenMM loads a truncated checkpoint, or one of another system with as many atoms, without a word.
So the portable state (XML) goes with a sidecar (JSON) that holds its hash and what it is bound to.
The pair before the last one is kept. The files are renamed in an order in which, after a crash
between any two renames, some sidecar still finds the state with its hash; which is why every
sidecar is tried with every state.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
from msgspec.structs import replace

from copernicus.errors import BadValue
from copernicus.modules.openmm.system import binding_digest


class CheckpointRefused(BadValue):
    """The checkpoint is damaged or belongs to another run."""

    code = "checkpoint_refused"
    exit_code = 65


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """What is written beside a state.

    Attributes:
        step: integration step of the state.
        part: number of the part that wrote it, from 1.
        frames: frames that belong to the run up to here, of every part from the first on.
        sha256: hash of the state file.
        bound_to: digest of ``binding``.
        binding: what the state belongs to, by name.
        openmm: version that wrote it, for the record.
        check: hash of the other fields, filled in when it is written.
    """

    step: int
    part: int
    frames: tuple[int, ...]
    sha256: str
    bound_to: str
    binding: dict[str, str]
    openmm: str
    check: str = ""

    def own_hash(self) -> str:
        """What ``check`` must be."""
        return hashlib.sha256(msgspec.json.encode(replace(self, check=""))).hexdigest()


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A state that was verified; ``fallback`` says why it is not the latest one, else empty."""

    sidecar: Sidecar
    state: str
    fallback: str = ""


def checkpoint_files(state: Path) -> tuple[Path, Path, Path, Path]:
    """State, its sidecar, and the pair before them; all four travel with a run."""
    previous = state.with_name(f"{state.stem}_prev{state.suffix}")
    return state, state.with_suffix(".json"), previous, previous.with_suffix(".json")


def save_checkpoint(path: Path, state: str, sidecar: Sidecar) -> None:
    """Write a checkpoint and keep the one before it."""
    now_state, now_sidecar, old_state, old_sidecar = checkpoint_files(path)
    new_state = _write(now_state, state.encode())
    sealed = replace(sidecar, check=sidecar.own_hash())
    new_sidecar = _write(now_sidecar, msgspec.json.format(msgspec.json.encode(sealed)))
    if now_state.exists():
        now_state.replace(old_state)
    new_state.replace(now_state)
    if now_sidecar.exists():
        now_sidecar.replace(old_sidecar)
    new_sidecar.replace(now_sidecar)
    _sync_folder(path.parent)


def state_digest(state: str) -> str:
    """Hash of a state as the sidecar holds it."""
    return hashlib.sha256(state.encode()).hexdigest()


def load_checkpoint(path: Path, binding: dict[str, str]) -> Checkpoint | None:
    """The latest whole checkpoint of this run; None if there are no checkpoint files at all.

    Raises:
        CheckpointRefused: no pair of files is whole, or the latest whole one is of another run.
    """
    now_state, now_sidecar, old_state, old_sidecar = checkpoint_files(path)
    states = {file: file.read_bytes() for file in (now_state, old_state) if file.exists()}
    sidecars = [file for file in (now_sidecar, old_sidecar) if file.exists()]
    if not states and not sidecars:
        return None
    by_hash = {hashlib.sha256(data).hexdigest(): file for file, data in states.items()}
    for file in sidecars:
        sidecar = _read_sidecar(file)
        if sidecar is None or sidecar.sha256 not in by_hash:
            continue
        _check_binding(file, sidecar, binding)
        source = by_hash[sidecar.sha256]
        latest = file == now_sidecar and source == now_state
        fallback = (
            f"{now_state.name} or {now_sidecar.name} is damaged or missing: going on from the "
            f"checkpoint before, at step {sidecar.step}"
        )
        return Checkpoint(
            sidecar=sidecar, state=states[source].decode(), fallback="" if latest else fallback
        )
    found = ", ".join(file.name for file in [*states, *sidecars])
    raise CheckpointRefused(
        f"the checkpoint {path.name} is damaged or incomplete: no state has the hash of its "
        f"sidecar (found {found}). Bring the four files of a whole checkpoint, or remove them "
        "to start from the beginning"
    )


def _read_sidecar(file: Path) -> Sidecar | None:
    try:
        sidecar = msgspec.json.decode(file.read_bytes(), type=Sidecar)
    except msgspec.MsgspecError:
        return None
    return sidecar if sidecar.check == sidecar.own_hash() else None


def _check_binding(file: Path, sidecar: Sidecar, binding: dict[str, str]) -> None:
    if sidecar.bound_to == binding_digest(binding):
        return
    differences = [
        f"{name} {_short(sidecar.binding.get(name))}, here {_short(binding.get(name))}"
        for name in sorted(sidecar.binding.keys() | binding.keys())
        if sidecar.binding.get(name) != binding.get(name)
    ]
    raise CheckpointRefused(
        f"the checkpoint {file.name} belongs to another run: it has {'; '.join(differences)}. "
        "Use the settings and structure that it was made with, or remove it"
    )


def _short(value: str | None) -> str:
    return "nothing" if value is None else value[:12]


def _write(target: Path, data: bytes) -> Path:
    partial = target.with_name(target.name + ".tmp")
    with partial.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    return partial


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
