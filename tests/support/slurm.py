"""A Slurm of the tests' own: one machine, private ports on the loopback, everything in a folder.

``munged``, ``slurmctld`` and ``slurmd`` run in the foreground, as children of this process, so that
nothing of them is left at the end. Slurm believes that the machine has ``cpus`` cores.
The nodes of it are as many ``slurmd`` on the one machine, each with a name and a port of its own.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

from support.ports import own_ports

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "squeue", "scancel")
_PATH = f"{os.environ['PATH']}:/usr/sbin"
_START_S = 60.0
_STOP_S = 30.0

_CONF = """\
ClusterName=tests
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={base}/munge/sock
SlurmUser=root
SlurmdUser=root
StateSaveLocation={base}/state
SlurmdSpoolDir={base}/spool-%n
TmpFS={base}/tmp-%n
SlurmctldPidFile={base}/slurmctld.pid
SlurmdPidFile={base}/slurmd-%n.pid
SlurmctldLogFile={base}/log/slurmctld.log
SlurmdLogFile={base}/log/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
JobCompType=jobcomp/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerType=sched/backfill
SchedulerParameters=batch_sched_delay=0,bf_interval=2
SlurmdParameters=config_overrides
ReturnToService=2
SwitchType=switch/none
MpiDefault=none
KillWait={kill_wait}
MinJobAge=2
InactiveLimit=0
SlurmdTimeout=60
SlurmctldTimeout=60
{nodes}
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP OverSubscribe=NO
"""
_NODE = "NodeName={name} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs={cpus} {rest}"
_REST = "RealMemory=1024 State=UNKNOWN"


def is_there() -> bool:
    """Whether a Slurm can be started: its programs are here, and this is root."""
    return os.geteuid() == 0 and all(shutil.which(name, path=_PATH) for name in PROGRAMS)


class Slurm:
    """One controller and its nodes; ``variables`` let the commands of Slurm find it."""

    def __init__(self, cpus: int = 4, nodes: int = 1, kill_wait_s: int = 20) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="cpc-slurm-"))
        self.folder.chmod(0o755)
        self._daemons: list[subprocess.Popen[bytes]] = []
        for name in ("state", "log", "munge"):
            (self.folder / name).mkdir()
        (self.folder / "munge").chmod(0o711)
        key = self.folder / "munge" / "key"
        key.touch(0o400)
        key.write_bytes(os.urandom(1024))
        ctld, *ports = own_ports(1 + nodes)
        host = socket.gethostname().partition(".")[0]
        self.nodes = [host] if nodes == 1 else [f"node{i}" for i in range(1, nodes + 1)]
        told = [
            _NODE.format(name=name, host=host, port=port, cpus=cpus, rest=_REST)
            for name, port in zip(self.nodes, ports, strict=True)
        ]
        conf = self.folder / "slurm.conf"
        conf.write_text(
            _CONF.format(
                base=self.folder,
                host=host,
                ctld=ctld,
                nodes="\n".join(told),
                kill_wait=kill_wait_s,
            )
        )
        self.variables = {"SLURM_CONF": str(conf), "PATH": _PATH}
        try:
            self._start(conf)
        except BaseException:
            self.stop()
            raise

    def run(self, *argv: object, check: bool = True) -> str:
        """What a command of Slurm prints."""
        done = subprocess.run(
            list(map(str, argv)),
            env={**os.environ, **self.variables},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert not check or done.returncode == 0, (argv, done.stdout, done.stderr)
        return done.stdout

    def jobs(self) -> dict[str, str]:
        """The jobs that wait or run, by id, with their states."""
        lines = self.run("squeue", "--noheader", "--format=%i %T").splitlines()
        return dict(line.split() for line in lines)

    def stop(self) -> None:
        """End its jobs and its daemons, and remove it."""
        started = len(self._daemons) == 2 + len(self.nodes)
        if started and all(each.poll() is None for each in self._daemons):
            self.run("scancel", "--user=root", "--signal=KILL", "--full", check=False)
            self.run("scancel", "--user=root", check=False)
            with contextlib.suppress(AssertionError, subprocess.TimeoutExpired):
                _wait(lambda: not self.jobs(), "its jobs end", _STOP_S)
        for daemon in reversed(self._daemons):
            below = psutil.Process(daemon.pid).children(recursive=True) if not daemon.poll() else []
            daemon.send_signal(signal.SIGTERM)
            try:
                daemon.wait(10)
            except subprocess.TimeoutExpired:
                daemon.kill()
                daemon.wait()
            for process in below:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _start(self, conf: Path) -> None:
        munge = self.folder / "munge"
        self._launch(
            "munged",
            *("--foreground", "--force", f"--key-file={munge / 'key'}"),
            *(f"--socket={munge / 'sock'}", f"--pid-file={self.folder / 'munged.pid'}"),
            *(f"--log-file={self.folder / 'log' / 'munged.log'}",),
            *(f"--seed-file={munge / 'seed'}", "--num-threads=2"),
        )
        _wait((munge / "sock").exists, "munged answers", _START_S)
        self._launch("slurmctld", "-D", "-f", conf)
        _wait(lambda: "UP" in self.run("scontrol", "ping", check=False), "slurmctld", _START_S)
        for name in self.nodes:
            for each in ("spool", "tmp"):
                (self.folder / f"{each}-{name}").mkdir()
            self._launch("slurmd", "-D", "-f", conf, "-N", name)
        idle = f"idle {len(self.nodes)}"
        _wait(
            lambda: self.run("sinfo", "-h", "-o", "%t %D", check=False).strip() == idle,
            f"slurmd registers: {self.folder / 'log'}",
            _START_S,
        )

    def _launch(self, *argv: object) -> None:
        with (self.folder / "log" / f"{argv[0]}.out").open("ab") as log:
            self._daemons.append(
                subprocess.Popen(
                    list(map(str, argv)),
                    env={**os.environ, **self.variables},
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    start_new_session=True,
                )
            )


@contextlib.contextmanager
def slurm(cpus: int = 4, nodes: int = 1) -> Iterator[Slurm]:
    """A Slurm that is gone afterwards."""
    made = Slurm(cpus, nodes)
    try:
        yield made
    finally:
        made.stop()


def _wait(condition: Callable[[], object], what: str, seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"never: {what}"
        time.sleep(0.05)
