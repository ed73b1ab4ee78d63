"""From arguments to an exit code: 0 done, 1 refused, 2 wrong usage, 3 no login, 4 no server."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from copernicus.errors import CopernicusError

if TYPE_CHECKING:
    from cyclopts import CycloptsError

USAGE = 2
INTERRUPTED = 130
COMPLETE = "__complete"
ON, ON_VARIABLE = "--on", "CPC_ON"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; errors are one line on standard error, never a traceback.

    With ``CPC_DEBUG=1`` in the environment, errors are raised with all their details.
    """
    return failing(_run, list(sys.argv[1:] if arguments is None else arguments))


def failing(run: Callable[[list[str]], int], tokens: list[str], program: str = "cpc") -> int:
    """The exit code of a command; what ends it is said in one line."""
    try:
        return run(tokens)
    except CopernicusError as error:
        _debug()
        _say(tokens, error.code, error.message, program)
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, less) has seen enough; flushing at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except TimeoutError as error:
        _debug()
        _say(tokens, "timeout", str(error), program)
        return 1
    except Exception as error:  # noqa: BLE001  # a bug is one line, too
        _debug()
        _say(
            tokens,
            "internal",
            f"This is a bug of {program}: {type(error).__name__}: {error} "
            f"(CPC_DEBUG=1 {program} ... shows where)",
            program,
        )
        return 1


def _run(tokens: list[str]) -> int:
    if tokens[:1] == [COMPLETE]:
        return _offer(tokens[1:])
    from cyclopts import CycloptsError

    from copernicus.cli.app import build

    if tokens[:1] == [ON] and len(tokens) > 1:
        return _on(tokens[1], tokens[2:])
    app = build()
    try:
        result = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        _say(tokens, "usage", _misuse(tokens, error))
        return USAGE
    return result if isinstance(result, int) and not isinstance(result, bool) else 0


def _on(peer: str, tokens: list[str]) -> int:
    """A command at a peer: ``cpc --on PEER ...``, before or after the command's name."""
    before = os.environ.get(ON_VARIABLE)
    os.environ[ON_VARIABLE] = peer
    try:
        return _run(tokens)
    finally:
        if before is None:
            del os.environ[ON_VARIABLE]
        else:
            os.environ[ON_VARIABLE] = before


def _offer(words: list[str]) -> int:
    """Print what a completion script may offer; whatever goes wrong, it is not said."""
    from copernicus.cli.completing import complete
    from copernicus.cli.output import one_line

    try:
        for word, what in complete(words):
            print(f"{word}\t{one_line(what)}")
    except Exception:  # noqa: BLE001  # a Tab never complains
        _debug()
    return 0


def _misuse(tokens: Sequence[str], error: CycloptsError) -> str:
    from cyclopts import MissingArgumentError, UnknownCommandError

    known, said = _command(tokens), _flat(str(error))
    if isinstance(error, UnknownCommandError):
        known = "".join(f"{word} " for word in error.command_chain or ())
    elif isinstance(error, MissingArgumentError) and error.argument and error.keyword is None:
        said = f"cpc {known}needs {error.argument.name}"
    return f"{said} (cpc {known}--help)"


def _command(tokens: Sequence[str]) -> str:
    from copernicus.cli.app import GROUPS

    words = [token for token in tokens[:3] if not token.startswith("-")]
    length = 1
    while " ".join(words[:length]) in GROUPS:
        length += 1
    return "".join(f"{word} " for word in words[:length])


def _flat(text: str) -> str:
    return " ".join(text.split())


def _debug() -> None:
    if os.environ.get("CPC_DEBUG") == "1":
        raise  # called inside an except clause


def _say(tokens: Sequence[str], code: str, message: str, program: str = "cpc") -> None:
    if "--json" in tokens:
        import msgspec

        body = msgspec.json.encode({"error": {"code": code, "message": message}}).decode()
        print(body, file=sys.stderr)
    else:
        from copernicus.cli.output import printable

        print(f"{program}: {printable(_flat(message))}", file=sys.stderr)
