"""A cluster whose nodes reach only the head node, which dials out; and a line that is cut."""

from __future__ import annotations

import random
import socket
from pathlib import Path

import pytest

from copernicus.client import Project
from support.e2e import Env, all_done, states, wait_until
from support.e2e_gromacs import fetch_times, frozen, needs_gmx, simulations, steps_lasting
from support.e2e_programs import SHIFT_TOML, count, held, programs_file
from support.namespaces import Side, closed_cluster, inside, two_sides
from support.peering import commands, id_of, open_server, peer, servers

REFUSED_S = 0.5
SIZE = 8 << 20
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "workers-on-a-closed-cluster.md"


@needs_gmx
@pytest.mark.e2e
@pytest.mark.timeout(600)
def test_workers_of_a_closed_cluster_run_simulations_through_the_head_node(
    tmp_path: Path,
) -> None:
    """As the page says. The line is cut for longer than a lease: each simulation counts once."""
    invite, add, bundle, start = commands(PAGE)
    steps = steps_lasting(15)
    with closed_cluster() as net, servers(tmp_path, "project", "head") as (mine, head):
        mine.address, head.address = net.outside.address, net.gate
        with inside(net.outside):
            project = mine.open()
            invited = mine.json(*invite.split())
            assert net.outside.address in invited["url"]
        with inside(net.head):
            open_server(head, host="0.0.0.0")
            told = add.replace("https://there.example.org:14807", invited["url"])
            head.cpc(*told.replace("INVITATION", invited["token"]).split())
            head.cpc(*bundle.split())
        with inside(net.inner):
            for address in (net.outside.address, net.head.address):
                with pytest.raises(OSError, match="unreachable"):
                    socket.create_connection((address, mine.ports[1]), timeout=REFUSED_S)
            assert start == "worker start --bundle nodes.cpc"
            worker = head.start_worker("node1", cores=2, bundle=head.root / "nodes.cpc")
        with inside(net.outside):
            with pytest.raises(TimeoutError):
                socket.create_connection((net.head.address, head.ports[1]), timeout=REFUSED_S)
            simulations(mine, project, 2, steps)
            wait_until(lambda: len(worker.running("gmx")) == 2, "both simulations", 120)
            wait_until(lambda: mine.checkpoints(), "a checkpoint that has come out", 60)
            with frozen(worker):
                net.head.drop("OUTPUT")
                wait_until(
                    lambda: set(states(project, "run")) == {"queued"}, "the leases to end", 60
                )
            net.head.run("iptables", "-w", "-F", "OUTPUT")
            wait_until(lambda: all_done(project, "run", 2), "both simulations", 240)
            for index in range(2):
                assert fetch_times(mine, f"run.out.xtc[{index}]")[1] == 1.0
                tries = mine.json("job", "show", f"run[{index}]")["tries"]
                assert {one["worker"] for one in tries} == {id_of(head)}
                assert [one["outcome"] for one in tries].count("completed") == 1
            (usage,) = peer(mine, head)["borrowed_usage"]
            assert usage["jobs"] == 4

        with inside(net.inner):
            head.start_worker("node2", "--programs", programs_file(head), cores=2)
        with inside(net.outside):
            before = received(net.head)
            shift_one_file(mine, project, 6)
            wait_until(lambda: all_done(project, "shift", 6), "six jobs with one input", 120)
            assert SIZE <= received(net.head) - before < 2 * SIZE


@pytest.mark.e2e
@pytest.mark.fault_tools
@pytest.mark.timeout(300)
def test_a_laptop_that_nobody_reaches_changes_its_address_and_keeps_the_job_of_its_peer(
    tmp_path: Path,
) -> None:
    with two_sides() as net, servers(tmp_path, "project", "laptop") as (mine, laptop):
        net.worker.refuse_calls()
        mine.address = net.server.address
        with inside(net.worker):
            open_server(laptop)
            laptop.start_worker("w", "--programs", programs_file(laptop))
        with inside(net.server):
            project = mine.open(lease_s=120.0)
            invited = mine.json("peer", "invite")
        with inside(net.worker):
            laptop.cpc("peer", "add", invited["url"], invited["token"])
        with inside(net.server):
            with held(laptop):
                count(mine, "c", 50)
                wait_until(lambda: mine.checkpoints(), "a checkpoint", 60)
                moved = net.worker.move("10.213.7.3")
                wait_until(lambda: net.server.calls_from(moved.address), "a call from there", 90)
                assert states(project, "c") == ["running"]
            wait_until(lambda: all_done(project, "c", 1), "it is done", 90)
            (one,) = project.trace("c.out.result").attempts
            assert (one.number, one.outcome) == (1, "completed")
            (usage,) = peer(mine, laptop)["borrowed_usage"]
            assert usage["jobs"] == 1


def received(side: Side) -> int:
    return int(side.output("cat", f"/sys/class/net/{side.device}/statistics/rx_bytes"))


def shift_one_file(env: Env, project: Project, count: int) -> None:
    project.define(env.write("shift.toml", SHIFT_TOML))
    with project.transaction():
        project.add("shift", "bytes.shift", map="by", active=True)
        project.set("shift.in.source", env.write("source", random.Random(7).randbytes(SIZE)))
        project.set("shift.in.by", list(range(1, count + 1)))
