"""Paths address everything: ``run.in.conf[2]``, ``run.in.conf[+]``, ``fe/coulomb.out.delta_f``.

Members of records and dicts follow a dot, or stand in quotes where their names are no plain words:
``edit.in.settings.gen-seed``, ``run.in.labels["a b"]``.

An instance path is names joined by ``/``. Instances inside one element of a mapped workflow are
below ``name@element`` (``fe@e12/coulomb``). A key of a declared call becomes one name,
injectively: ``("md", 0, 3)`` is ``md-0-3``.
"""

from __future__ import annotations

import re

import msgspec

from copernicus.errors import BadValue

Key = str | int | tuple[str | int, ...]

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_MEMBER = r"[^\W\d][\w-]*"
_QUOTED = r'"(?:[^"\\]|\\.)*"'
_ADDRESS = re.compile(
    r"(?P<instance>[^.\[\]\s]+)(?:(?P<element>\[[0-9]{1,18}\])(?=[.:]out[.]))?"
    r"(?:[.:](?P<side>in|out)(?:[.](?P<port>[A-Za-z_]\w*)"
    rf"(?P<rest>(?:\[{_QUOTED}\]|\[[^\]\"]*\]|[.]{_MEMBER})*))?)?(?P<tail>\[[^\]\"]*\])?\Z"
)
_STEP = re.compile(rf"\[({_QUOTED})\]|\[([^\]\"]*)\]|[.]({_MEMBER})")
_PLAIN = re.compile(rf"{_MEMBER}\Z")
_INDEX = re.compile(r"[0-9]{1,18}\Z")
_LONGEST = 4096

APPEND = "+"
Step = int | str


class Address(msgspec.Struct, frozen=True):
    """A parsed path: the instance, then a port of one side, then steps into the value.

    A step is an index, a member's name, or ``"+"`` (the place after the last element).
    ``element`` is the position in ``instance[3]``: one element of a mapped instance. Its output
    ``instance[3].out.port`` is ``instance.out.port[3]``.
    """

    instance: str
    side: str | None = None
    port: str | None = None
    steps: tuple[Step, ...] = ()
    element: int | None = None

    def __str__(self) -> str:
        """The path as it is written."""
        text = self.instance
        if self.side:
            text += f".{self.side}"
        if self.port:
            text += f".{self.port}"
        if self.element is not None and not self.port:
            text += f"[{self.element}]"
        return text + "".join(map(written_step, self.steps))


def written_step(step: Step) -> str:
    """A step into a value as a path has it: ``[2]``, ``[+]``, ``.nsteps``, ``["a b"]``."""
    if isinstance(step, int) or step == APPEND:
        return f"[{step}]"
    return f".{step}" if _PLAIN.match(step) else f"[{msgspec.json.encode(step).decode()}]"


def parse(text: str) -> Address:
    """Read a path.

    Raises:
        BadValue: It is not one; the message shows what a path looks like.
    """
    if len(text) > _LONGEST:
        raise BadValue(f"a path has at most {_LONGEST} characters, not {len(text)}: {text[:60]!r}")
    found = _ADDRESS.match(text.strip())
    if not found:
        raise BadValue(f"{text!r} is no path{_meant(text.strip())}")
    steps: list[Step] = [int(found["element"][1:-1])] if found["element"] else []
    for quoted, index, member in _STEP.findall(found["rest"] or ""):
        steps.append(_unquoted(quoted, text) if quoted else member or _index(index, text))
    element = _index(found["tail"][1:-1], text) if found["tail"] else None
    if element is not None and not isinstance(element, int):
        raise BadValue(f"{text!r}: an instance's element is a number, as in run[2]")
    return Address(found["instance"], found["side"], found["port"], tuple(steps), element)


_SIDELESS = re.compile(r"([^.\[\]\s]+)[.]([A-Za-z_]\w*(?:\[[^\]]*\]|[.]\w+)*)\Z")
_ELEMENT_FIRST = re.compile(r"([^.\[\]\s]+)\[(\d+)\][.](in)[.](\w+)\Z")


def _meant(text: str) -> str:
    """What somebody who wrote this may have meant."""
    if found := _SIDELESS.match(text):
        name, rest = found.groups()
        return f": for an input write {name}.in.{rest}, for an output {name}.out.{rest}"
    if found := _ELEMENT_FIRST.match(text):
        name, index, side, port = found.groups()
        return f": the position comes last, as in {name}.{side}.{port}[{index}]"
    return ": write for example run.in.conf[0] or fe/md.out.xtc"


def _unquoted(quoted: str, whole: str) -> str:
    try:
        name = msgspec.json.decode(quoted, type=str)
    except msgspec.DecodeError:
        name = APPEND
    if name == APPEND:
        raise BadValue(f"{whole!r}: [{quoted}] is no name of a member that a path can have")
    return name


def _index(text: str, whole: str) -> Step:
    if text == APPEND:
        return APPEND
    if _INDEX.match(text):
        return int(text)
    raise BadValue(f"{whole!r}: [{text}] is no position: write [0], [1], ... or [+] to append")


def check_name(name: str) -> str:
    """``name`` if a person may give it to an instance.

    Raises:
        BadValue: It is no identifier.
    """
    if not _NAME.match(name):
        raise BadValue(
            f"{name!r} is no name for an instance: use letters, digits and _, "
            "not starting with a digit"
        )
    return name


def _part(part: str | int) -> str:
    if isinstance(part, int):
        return str(part) if part >= 0 else f"~m{-part}"
    safe = re.sub(r"[^A-Za-z0-9_]", lambda m: f"~{m[0].encode().hex()}~", part)
    return f"~s{safe}" if safe[:1].isdigit() or not safe else safe


def key_name(key: Key) -> str:
    """The one name of a declared call's key; different keys have different names."""
    parts = key if isinstance(key, tuple) else (key,)
    return "-".join(_part(part) for part in parts)


def inside(owner: str, eid: str) -> str:
    """The folder of paths below one element of a workflow instance (``""`` if not mapped)."""
    return f"{owner}@{eid}" if eid else owner


def child(owner: str, eid: str, name: str) -> str:
    """The path of what ``name`` is inside one element of a workflow instance."""
    return f"{inside(owner, eid)}/{name}"
