"""Run molecular dynamics of a PDB structure with OpenMM; can be stopped and moved at any time.

    python -m copernicus.modules.openmm.runner --settings settings.json --structure start.pdb

Works in the present folder (or ``--work``). It writes ``traj.dcd``, ``energies.csv`` and, last of
all, ``final.pdb``: a run is done when ``final.pdb`` is there and the checkpoint's step is n_steps.
If there is a checkpoint, the run goes on from it; SIGTERM writes one and ends without the PDB.
What must travel with a run: the four checkpoint files, ``traj.part*.dcd``, ``energies.part*.csv``.

Exit codes: 0 done or stopped on request; 2 wrong arguments; 64 wrong settings or structure;
65 checkpoint damaged or of another run; 69 OpenMM is not installed; 70 the simulation blew up.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from copernicus.errors import CopernicusError, UserError
from copernicus.modules.analysis.pdb import write_frame
from copernicus.modules.openmm.checkpoint import (
    Checkpoint,
    CheckpointRefused,
    Sidecar,
    load_checkpoint,
    save_checkpoint,
    state_digest,
)
from copernicus.modules.openmm.output import FINAL, PartWriter, cut_back, join_parts, join_so_far
from copernicus.modules.openmm.system import (
    Model,
    Settings,
    binding_digest,
    build_model,
    make_context,
    prepare_start,
    read_settings,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from openmm import Context

EXIT_USAGE = 64
EXIT_NO_OPENMM = 69
_FIRST_BLOCK = 10
_BLOCK_S = 0.5
_SECONDS_PER_DAY = 86400.0
GAS_CONSTANT = 8.31446261815324e-3


class BlowUpError(UserError):
    """The energy or a coordinate is no longer a number."""

    code = "blow_up"
    exit_code = 70


@dataclass(slots=True)
class Run:
    """A run in progress: its context, where it stands, and what it has written."""

    model: Model
    context: Context
    checkpoint: Path
    writer: PartWriter
    frames_before: tuple[int, ...]
    first_step: int
    step: int
    started: float = field(default_factory=perf_counter)
    saved: float = field(default_factory=perf_counter)

    @property
    def speed(self) -> float:
        """Nanoseconds per day, the mean of this part."""
        return _speed(self.model.settings, self.step - self.first_step, self.started)

    def advance(self, stop_requested: Callable[[], bool]) -> bool:
        """Go on to the last step; False if it was stopped before."""
        settings = self.model.settings
        while self.step < settings.n_steps:
            if stop_requested():
                return False
            self._block(settings)
            if perf_counter() - self.saved >= settings.checkpoint_interval_s:
                self.save()
        return True

    def _block(self, settings: Settings) -> None:
        interval = settings.report_interval
        next_frame = (self.step // interval + 1) * interval
        target = min(next_frame, settings.n_steps, self.step + self._block_steps())
        potential, temperature = _integrate(self.model, self.context, target - self.step, target)
        self.step = target
        if target == next_frame:
            positions = _positions(self.context)
            self.writer.frame(target, positions, potential, temperature, self.speed)
        self.writer.progress(target, self.speed)

    def _block_steps(self) -> int:
        """As many steps as take half a second, so that a request to stop is soon seen."""
        done = self.step - self.first_step
        if done == 0:
            return _FIRST_BLOCK
        return max(1, int(done / (perf_counter() - self.started) * _BLOCK_S))

    def save(self) -> None:
        """Write a checkpoint of the present step."""
        from openmm import XmlSerializer, version

        self.writer.flush()
        self.writer.progress(self.step, self.speed, force=True)
        state = self.context.getState(positions=True, velocities=True, parameters=True)
        xml = str(XmlSerializer.serialize(state))
        frames = (*self.frames_before, self.writer.frames)
        sidecar = Sidecar(
            step=self.step,
            part=len(frames),
            frames=frames,
            sha256=state_digest(xml),
            bound_to=binding_digest(self.model.binding),
            binding=self.model.binding,
            openmm=version.version,
        )
        save_checkpoint(self.checkpoint, xml, sidecar)
        self.saved = perf_counter()


def _integrate(model: Model, context: Context, steps: int, target: int) -> tuple[float, float]:
    """Take steps; returns potential energy (kJ/mol) and temperature (K)."""
    from openmm import OpenMMException, unit

    try:
        context.getIntegrator().step(steps)
        state = context.getState(energy=True)
        potential = float(state.getPotentialEnergy().value_in_unit(unit.kilojoule_per_mole))
        kinetic = float(state.getKineticEnergy().value_in_unit(unit.kilojoule_per_mole))
    except OpenMMException as error:
        if "nan" not in str(error).lower():
            raise
        potential = kinetic = math.nan
    if not (math.isfinite(potential) and math.isfinite(kinetic)):
        raise BlowUpError(
            f"the energy became NaN at step {target}: the simulation blew up. Take a smaller "
            f"timestep_fs (it is {model.settings.timestep_fs:g}), set minimize to true, or look at "
            f"the structure {model.structure.name}"
        )
    return potential, 2.0 * kinetic / (model.degrees_of_freedom * GAS_CONSTANT)


def _positions(context: Context) -> NDArray[np.float64]:
    from openmm import unit

    state = context.getState(positions=True)
    positions: Any = state.getPositions(asNumpy=True).value_in_unit(unit.nanometer)
    return positions  # type: ignore[no-any-return]


def _speed(settings: Settings, steps: int, started: float) -> float:
    nanoseconds = steps * settings.timestep_fs * 1e-6
    return nanoseconds / max(perf_counter() - started, 1e-9) * _SECONDS_PER_DAY


def _begin(model: Model, work: Path, path: Path, saved: Checkpoint | None) -> Run:
    from openmm import XmlSerializer

    settings = model.settings
    step = saved.sidecar.step if saved else 0
    if step > settings.n_steps:
        raise CheckpointRefused(
            f"the checkpoint {path.name} is at step {step}, beyond n_steps={settings.n_steps}: "
            "set n_steps to at least that"
        )
    frames = saved.sidecar.frames if saved else ()
    cut_back(work, frames)
    context = make_context(model, step)
    if saved:
        context.setState(XmlSerializer.deserialize(saved.state))
    else:
        prepare_start(model, context)
    first_frame = (step // settings.report_interval + 1) * settings.report_interval
    writer = PartWriter(work, len(frames) + 1, settings, atoms=model.atoms, first_step=first_frame)
    return Run(model, context, path, writer, frames, first_step=step, step=step)


def simulate(
    model: Model,
    work: Path,
    checkpoint: Path,
    *,
    must_resume: bool = False,
    stop_requested: Callable[[], bool] = lambda: False,
) -> bool:
    """Run to n_steps, from the checkpoint if there is one.

    Args:
        model: what to simulate.
        work: folder for the outputs; it holds the parts that the checkpoint counts.
        checkpoint: the state file (``state.xml``), read if it is there, and written.
        must_resume: refuse to start from the beginning.
        stop_requested: asked several times a second.

    Returns:
        Whether the run is done; False if it was stopped.

    Raises:
        CheckpointRefused: the checkpoint is damaged, or not of this run.
        BlowUpError: the energy is no longer a number.
    """
    saved = load_checkpoint(checkpoint, model.binding)
    if saved is None and must_resume:
        raise CheckpointRefused(f"there is no checkpoint {checkpoint.name} to go on from")
    if saved and saved.fallback:
        print(saved.fallback, file=sys.stderr)
    run = _begin(model, work, checkpoint, saved)
    try:
        done = run.advance(stop_requested)
        run.save()
    finally:
        run.writer.close()
    if done:
        join_parts(work, len(run.frames_before) + 1)
        write_frame(model.structure, _positions(run.context), work / FINAL)
    return done


def benchmark(model: Model, seconds: float) -> dict[str, float | int | str]:
    """Measure the speed with frames and energies read, but nothing written."""
    context = make_context(model, 0)
    prepare_start(model, context)
    interval = model.settings.report_interval
    _integrate(model, context, min(interval, _FIRST_BLOCK), 0)
    started, steps = perf_counter(), 0
    while perf_counter() - started < seconds:
        block = min(interval, 100) if steps == 0 else interval
        _integrate(model, context, block, steps + block)
        _positions(context)
        steps += block
    elapsed = perf_counter() - started
    return {
        "ns_per_day": round(_speed(model.settings, steps, started), 1),
        "steps_per_second": round(steps / elapsed, 1),
        "steps": steps,
        "seconds": round(elapsed, 3),
        "atoms": model.atoms,
        "platform": context.getPlatform().getName(),
    }


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m copernicus.modules.openmm.runner",
        description="Molecular dynamics of a PDB structure with OpenMM.",
    )
    parser.add_argument("--settings", type=Path, required=True, help="settings, a JSON file")
    parser.add_argument("--structure", type=Path, required=True, help="start structure, PDB")
    parser.add_argument("--work", type=Path, default=Path(), help="folder for the outputs")
    parser.add_argument("--checkpoint", type=Path, help="state file (default: WORK/state.xml)")
    parser.add_argument(
        "--must-resume", action="store_true", help="refuse to start without a checkpoint"
    )
    parser.add_argument(
        "--benchmark", type=float, metavar="SECONDS", help="only measure the speed, print JSON"
    )
    parser.add_argument(
        "--join-so-far", action="store_true", help="only join the parts of a run under way"
    )
    return parser.parse_args(argv)


def main(argv: Sequence[str] | None = None) -> int:
    """Run as a program; returns the exit code."""
    arguments = _arguments(argv)
    if importlib.util.find_spec("openmm") is None:
        print("OpenMM is not installed: pip install 'copernicus[openmm]'", file=sys.stderr)
        return EXIT_NO_OPENMM
    signals: list[int] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _frame: signals.append(received))
    try:
        if arguments.join_so_far:
            join_so_far(arguments.work)
            return 0
        model = build_model(read_settings(arguments.settings), arguments.structure)
        if arguments.benchmark is not None:
            print(json.dumps(benchmark(model, arguments.benchmark)))
            return 0
        simulate(
            model,
            arguments.work,
            arguments.checkpoint or arguments.work / "state.xml",
            must_resume=arguments.must_resume,
            stop_requested=lambda: bool(signals),
        )
    except CopernicusError as error:
        print(" ".join(error.message.split()), file=sys.stderr)
        return error.exit_code if error.exit_code > 1 else EXIT_USAGE
    return 0


if __name__ == "__main__":
    sys.exit(main())
