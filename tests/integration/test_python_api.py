"""A project in Python: the same thing as one from the shell; also with ``asyncio``."""

import asyncio

import pytest

from copernicus import AsyncClient, Client
from copernicus.client import WorkFailed
from copernicus.errors import Conflict, NotFound
from support.cli_world import COUNT, counting


@pytest.fixture
def client(cpc):
    with Client(config=cpc.config) as made:
        yield made


def story(journal):
    """What a journal tells, without when and by which ids."""
    kept = []
    for entry in journal:
        event = dict(entry.event)
        if entry.kind == "project_created":
            continue
        for name in ("at", "seed"):
            event.pop(name, None)
        kept.append((entry.kind, event))
    return kept


def test_python_and_the_shell_write_the_same_project(cpc, client):
    counting(cpc, "shell", "a", "b", steps=3)
    cpc("append", "run.in.start", cpc.file("more.txt", "c\n"))
    cpc("add", "next", "steps.count")
    cpc("connect", "run.out.log[0]", "next.in.start")
    cpc("set", "next.in.title", "last")
    cpc("unset", "next.in.title")

    project = client.create_project("python")
    project.define(cpc.folder / "count.toml")
    run = project.add("run", "steps.count", map="start")
    run.inputs.start = [cpc.folder / "start0.txt", cpc.folder / "start1.txt"]
    run.inputs.steps = 3
    run["start"].append(cpc.folder / "more.txt")
    following = project.add("next", "steps.count")
    following["start"] = run.outputs.log[0]
    following.inputs.title = "last"
    del following.inputs.title

    assert story(project.journal()) == story(client.project("shell").journal())


def test_a_value_is_a_python_object(cpc, client, lab, tmp_path, monkeypatch):
    monkeypatch.setenv("CPC_CACHE_DIR", str(tmp_path / "cache"))
    counting(cpc, "values", "a", "b")
    cpc("activate")
    project = client.project("values")
    project["run"].wait(60, show=False)

    assert project["run"].outputs.last.value == [2, 2]
    log = project["run"].outputs.log[1].value
    with log.open() as stream:
        assert stream.readline() == b"began with b\n"
    assert log.path() == log.path()
    assert log.path().name == "log.txt"
    assert log.save_to(tmp_path).read_text() == log.read_text()
    assert "began" not in project["run"].outputs.log._repr_html_()
    pytest.importorskip("pandas")
    assert project["run"].outputs.last.table()["value"].tolist() == [2, 2]
    assert dir(project["run"].inputs) == ["start", "steps", "title"]
    with pytest.raises(NotFound, match=r"bare.in.start has no value yet \(it is unset"):
        _ = project.add("bare", "steps.count").inputs.start.value


def test_asyncio_does_the_same_beside_other_work(cpc, lab):
    starts = [cpc.file(f"s{n}.txt", f"{n}\n") for n in range(3)]
    toml = cpc.file("count.toml", COUNT)

    async def main():
        async with AsyncClient(config=cpc.config) as client:
            project = await client.create_project("beside")
            await project.define(toml)
            async with project.transaction() as edits:
                await edits.add("run", "steps.count", map="start", active=True)
                await asyncio.gather(
                    edits.set("run.in.start", starts), edits.set("run.in.steps", 2)
                )
                # Others' edits meanwhile are their own.
                await project.add("other", "steps.count")
                assert [v.path for v in await project.instances()] == ["other"]
            assert edits.reply.revision == 3
            waiting = asyncio.create_task(project.wait("run", 60, show=False))
            kinds = set()
            async for entry in project.events(0):
                kinds.add(entry.kind)
                if entry.kind == "activation_ended":
                    break
            await waiting
            assert {"instance_added", "activation_opened", "activation_ended"} <= kinds
            assert await project.get("run.out.last") == [2, 2, 2]
            assert (await project.why("other")).causes[0].state == "held"
            assert [p.name for p in await client.projects() if p.name == "beside"]

    asyncio.run(main())


def test_an_async_transaction_that_breaks_sends_nothing_and_a_wait_can_be_cancelled(cpc, lab):
    async def main():
        async with AsyncClient(config=cpc.config) as client:
            project = await client.create_project("broken")
            await project.define(cpc.file("count.toml", COUNT))

            async def broken():
                async with project.transaction() as edits:
                    await edits.add("run", "steps.count")
                    await edits.set("run.in.start", cpc.folder / "nosuch.txt")

            with pytest.raises(NotFound):
                await broken()
            assert await project.instances() == []
            with pytest.raises(Conflict):
                async with project.transaction(expected_revision=0) as edits:
                    await edits.pause()
            await project.add("run", "steps.count")
            with pytest.raises(WorkFailed, match="run is held"):
                await project.wait("run", show=False)
            other = COUNT.replace("stepper", "nosuch").replace("steps.count", "steps.other")
            await project.define(cpc.file("other.toml", other))
            await project.add("for_ever", "steps.other", active=True)
            await project.set("for_ever.in.start", cpc.file("s.txt", "a\n"))
            waiting = asyncio.create_task(project.wait("for_ever", show=False))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await waiting
            assert waiting.cancelled()

    asyncio.run(main())
