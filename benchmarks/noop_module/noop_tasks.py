"""A module with a task that does nothing: what remains is the cost of the system around it."""

from copernicus.sdk import Module, task


@task
def echo(x: int) -> int:
    return x


module = Module("noop", "1.0", [echo])
