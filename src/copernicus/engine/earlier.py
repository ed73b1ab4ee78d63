"""What an element has come to before: its success at each inputs, the line of work on each.

Most elements run once. So what the present success and the open activation say by themselves is
not written down a second time: ``successes`` and ``lineages`` hold the others only.
"""

from __future__ import annotations

from copernicus.engine.instances import Activation, Element
from copernicus.engine.state import ProjectState


def success_at(state: ProjectState, element: Element, digest: str) -> str | None:
    """The activation whose result is the one at inputs of this digest."""
    if digest in element.successes:
        return element.successes[digest]
    last = element.success
    return last if last and state.activations[last].digest == digest else None


def successes_of(state: ProjectState, element: Element) -> dict[str, str]:
    """Of all digests of inputs at which there is a success: the activation."""
    if element.success is None:
        return {**element.successes}
    return {state.activations[element.success].digest: element.success, **element.successes}


def succeed(state: ProjectState, element: Element, made: Activation) -> None:
    """This is the element's success now, and the one at its inputs; others are kept."""
    before = state.activations[element.success] if element.success else None
    if before is not None and before.digest not in element.successes:
        keep_success(element, before)
    if made.digest in element.successes:
        del element.successes[made.digest]
    element.success = made.id


def keep_success(element: Element, made: Activation) -> None:
    """This is the success at its inputs, though the element's present one is another."""
    element.successes = element.successes or {}
    element.successes[made.digest] = made.id


def forget_success(element: Element, name: str) -> None:
    """This activation has no result any more."""
    for digest in [one for one, success in element.successes.items() if success == name]:
        del element.successes[digest]
    if element.success == name:
        element.success = None


def lineage_at(state: ProjectState, element: Element, base: str) -> str | None:
    """The line of work on inputs of this digest (less the ports that extend), the newest."""
    running = state.activations[element.open] if element.open else None
    if running is not None and running.base_digest == base:
        return running.lineage
    return element.lineages.get(base)


def lineages_of(state: ProjectState, element: Element) -> dict[str, str]:
    """All lines of work, by the digests of the inputs less the ports that extend."""
    if element.open is None:
        return {**element.lineages}
    running = state.activations[element.open]
    return {**element.lineages, running.base_digest: running.lineage}


def keep_lineage(element: Element, ended: Activation) -> None:
    """An activation of the element has ended: others may take its work up."""
    element.lineages = element.lineages or {}
    element.lineages[ended.base_digest] = ended.lineage
