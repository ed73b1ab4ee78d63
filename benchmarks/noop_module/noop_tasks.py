"""A module with tasks that do nothing: what remains is the cost of the system around them."""

from copernicus.sdk import Module, Net, task, workflow


@task
def echo(x: int) -> int:
    return x


@task
def propose(xs: list[int]) -> list[int]:
    return [x % 7 for x in xs]


@workflow(outputs={"model": list[int]})
async def loop(net: Net, starts: list[int], generations: int):
    """Generations of runs, each from what the last one came to."""
    for g in range(generations):
        runs = [net.call("noop.echo", key=("run", g, i), x=x) for i, x in enumerate(starts)]
        results = net.collect([run.out.result for run in runs])
        model = net.call("noop.propose", key=("model", g), xs=results)
        net.output(model=model.out.result)
        starts = await model.out.result


module = Module("noop", "1.0", [echo, propose, loop])
