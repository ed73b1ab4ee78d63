"""The empty dict that all have in common who have nothing to put into theirs."""

from __future__ import annotations

from typing import Any, Final, NoReturn


class Nothing(dict[str, Any]):
    """An empty dict that stays empty, so that any number of owners can have the same one."""

    __slots__ = ()

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("what all have in common is not changed: put another dict in its place")

    __setitem__ = __delitem__ = __ior__ = _refuse
    update = setdefault = pop = popitem = clear = _refuse


NOTHING: Final[dict[str, Any]] = Nothing()
