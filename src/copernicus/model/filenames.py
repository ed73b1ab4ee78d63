"""Names of files that come from others: what they may be, before anything is done with them."""

from __future__ import annotations

from copernicus.errors import BadValue

_RESERVED = frozenset({"con", "prn", "aux", "nul"})
_LONGEST = 255


def sane_path(path: str) -> str:
    """``path`` if it names something inside a folder, on every kind of machine.

    Raises:
        BadValue: It is absolute, climbs, or holds what some file system cannot hold.
    """
    parts = path.split("/")
    for part in parts:
        if part in ("", ".", "..") or len(part.encode("utf-8", "replace")) > _LONGEST:
            raise BadValue(f"{path!r} is no path inside a job's folder")
        if any(not c.isprintable() or c in '\\:"<>|?*' for c in part):
            raise BadValue(f"{path!r}: {part!r} has characters that a file's name cannot have")
        if part.split(".")[0].lower() in _RESERVED or part != part.strip(" "):
            raise BadValue(f"{path!r}: {part!r} is no good name for a file")
    return path


def check_name(name: str) -> None:
    """Refuse the name of a file that would lead elsewhere, or that no folder can hold.

    Less strict than ``sane_path``: a user's file may be called what their machine allows.

    Raises:
        BadValue: It is a path, empty, too long, or has control characters or half of a pair.
    """
    if (
        name in ("", ".", "..")
        or len(name.encode("utf-8", "replace")) > _LONGEST
        or any(c in "/\\" or c < " " or c == "\x7f" or "\ud800" <= c <= "\udfff" for c in name)
    ):
        raise BadValue(
            f"{name[:100]!r} cannot be the name of a file: at most {_LONGEST} bytes, no / and no "
            "backslash, no control characters"
        )
