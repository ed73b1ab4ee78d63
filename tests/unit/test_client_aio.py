"""The client for asyncio has everything that the synchronous one has."""

import inspect

import pytest

from copernicus.client import AsyncClient, AsyncProject, Client, Project


@pytest.mark.parametrize(("wrapped", "wrapping"), [(Client, AsyncClient), (Project, AsyncProject)])
def test_everything_can_be_awaited(wrapped, wrapping):
    public = {
        name
        for name, member in inspect.getmembers(wrapped)
        if callable(member) and not name.startswith("_")
    }
    left_out = {"current_project", "use_project", "instance"}  # ask no server, or give handles
    missing = public - left_out - set(dir(wrapping))
    lines = [f"{name} = in_thread({wrapped.__name__}.{name})" for name in sorted(missing)]
    assert not missing, f"add to {wrapping.__name__} in client/aio.py: {lines}"
    for name in public - left_out - missing:
        assert inspect.getdoc(inspect.getattr_static(wrapping, name)), name
