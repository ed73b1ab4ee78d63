"""Programs as tasks of a Parsl executor: on nodes that see the worker's folder."""
