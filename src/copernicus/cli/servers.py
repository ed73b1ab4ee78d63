"""``cpc network``: which servers and workers there are, and who works for whom."""

from __future__ import annotations

from copernicus.cli.options import AT_SERVER, AtServer
from copernicus.cli.output import emit
from copernicus.cli.session import client_for


def network(*, options: AtServer = AT_SERVER) -> None:
    """Draw the servers and workers.

    Args:
        options: Common ones.
    """
    from copernicus.cli.render.servers import servers_tree

    found = client_for(options).servers()
    emit(options.json, found, lambda: servers_tree(found))
