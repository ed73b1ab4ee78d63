"""``cpc completion``: for bash, zsh and fish."""

from __future__ import annotations

from typing import Literal


def completion(shell: Literal["bash", "zsh", "fish"], /) -> None:
    """Print a completion script.

    Args:
        shell: For which shell.
    """
    from copernicus.cli.app import build

    print(build().generate_completion(shell=shell))
