"""What a checkpoint of a growing trajectory costs: bytes sent, and bytes read, per checkpoint."""

from __future__ import annotations

import os
from pathlib import Path

from copernicus.blobs import CHUNK_SIZE
from copernicus.model.jobs import Checkpoint, Command
from support.worker_process import worker
from support.worker_server import program_job, scripted_server, sh

# The long form (``make soak``) has 500 MB.
SIZE_MB = int(os.environ.get("CPC_GROWTH_MB", "24"))
GROWTH = 300_000
TIMES = 3

# Random bytes, as compressed frames are: equal pieces would be sent once only.
SCRIPT = f"""
head -c {SIZE_MB}000000 /dev/urandom > traj
echo 0 > state
n=0
while [ $n -lt {TIMES} ]; do
  n=$((n+1))
  while [ ! -e go$n ]; do sleep 0.02; done
  head -c {GROWTH} /dev/urandom >> traj; echo $n > state.new; mv state.new state
done
while [ ! -e end ]; do sleep 0.02; done
"""


def test_a_checkpoint_of_a_growing_file_costs_its_growth(tmp_path, record_property):
    rule = Checkpoint(
        files=("state", "traj"), required=("state",), growing=("traj",), interval_s=0.1
    )
    sent, read = [], []
    with scripted_server(tmp_path) as server, worker(server, tmp_path / "w") as running:
        server.add(program_job(1, Command(lines=(sh(SCRIPT),), checkpoint=rule)))
        server.wait_for(lambda: len(server.checkpoints) == 1, "the first checkpoint")
        first = server.bytes_uploaded
        (folder,) = running.work_dir.glob("attempts/*/work")
        for number in range(1, TIMES + 1):
            before, looked = server.bytes_uploaded, bytes_read(running.process.pid)
            (folder / f"go{number}").touch()
            server.wait_for(lambda n=number: len(server.checkpoints) == n + 1, "a checkpoint")
            sent.append(server.bytes_uploaded - before)
            read.append(bytes_read(running.process.pid) - looked)
        (folder / "end").touch()
        result = server.result("p.a1#1")
        sizes = [file.size for file in result.checkpoint.files if file.path == "traj"]
    record_property("bytes_first", first)
    record_property("bytes_per_checkpoint", sent)
    print(f"{SIZE_MB} MB: {first} bytes at first, then {sent} for {GROWTH} more; read {read}")
    assert sizes == [SIZE_MB * 10**6 + TIMES * GROWTH]
    assert first >= SIZE_MB * 10**6
    # Its growth, the end of the piece before it, and the state.
    assert all(GROWTH <= each <= GROWTH + CHUNK_SIZE + 100 for each in sent)
    assert all(each < SIZE_MB * 10**6 / 2 for each in read)


def bytes_read(pid: int) -> int:
    """All that a process has read so far, from files and from elsewhere."""
    lines = Path(f"/proc/{pid}/io").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("rchar")).split()[1])
