"""What a configuration of Parsl offers, and on how many nodes a program runs: it decides, no more.

``MPIExecutor`` gives each of its slots an equal share of the nodes of a block, so that a job never
waits in Parsl for nodes that others hold. Other executors know of no nodes: theirs is one slot.
"""

from __future__ import annotations

from typing import Any

PREFIX = "{parsl_mpi_prefix}"
"""The first word of a launcher: on the nodes it becomes what ``MPIExecutor`` starts ranks with."""


def what_is_offered(config: Any) -> dict[str, Any]:
    """Slots of the first executor, cores of each; 0 where the configuration does not say.

    ``node_cores``: those of a node, where programs are spread over nodes; otherwise 0.

    Raises:
        ValueError: it has no executor, it would try lost programs again itself, or its nodes
            cannot be shared out to jobs with MPI.
    """
    if not config.executors:
        raise ValueError("config has no executors")
    if config.retries:
        raise ValueError("config.retries must be 0: the server tries again, from checkpoints")
    executor = config.executors[0]
    provider = getattr(executor, "provider", None)
    blocks = getattr(provider, "max_blocks", 0) or 0
    nodes = getattr(provider, "nodes_per_block", 1) or 1
    at_once = getattr(executor, "max_workers_per_block", 0)
    if at_once:
        node_cores = _node_cores(provider)
        if at_once > nodes:
            raise ValueError(
                f"max_workers_per_block={at_once} is more than nodes_per_block={nodes}: "
                "each job with MPI has nodes of its own"
            )
        cores, slots = nodes // at_once * node_cores, at_once * blocks
    else:
        node_cores = 0
        cores = max(int(getattr(executor, "cores_per_worker", 0) or 0), 1)
        slots = int((getattr(executor, "workers_per_node", 0) or 0) * blocks * nodes)
    return {"cores": cores, "slots": slots, "label": executor.label, "node_cores": node_cores}


def _node_cores(provider: Any) -> int:
    for name in ("cores_per_node", "cpus_per_node"):
        if found := getattr(provider, name, None):
            return int(found)
    raise ValueError(
        f"the {type(provider).__name__} of an MPIExecutor must say the cores of a node: "
        "cores_per_node=..."
    )


def spread(cores: int, ranks: int, node_cores: int) -> dict[str, int]:
    """Parsl's resource specification of a program: as few nodes as have its cores."""
    if not node_cores:
        return {}
    nodes = max(1, -(-cores // node_cores))
    return {"num_nodes": nodes, "num_ranks": ranks, "ranks_per_node": -(-ranks // nodes)}
