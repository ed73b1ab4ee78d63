"""Every parser of what others wrote, with examples, pieces and bombs to feed them.

A parser may read anything or refuse it with one of our errors, whose message is bounded. It may
never raise something else, hang, or take memory that the input does not explain.
"""

from __future__ import annotations

import resource
from collections.abc import Callable
from pathlib import Path

import msgspec

from copernicus.blobs.chunks import Manifest, check_manifest
from copernicus.cli import amounts
from copernicus.client.network_text import read_network
from copernicus.errors import CopernicusError
from copernicus.model.filenames import check_name, sane_path
from copernicus.model.paths import parse
from copernicus.model.resources import specifiers
from copernicus.model.units import magnitude, same_unit
from copernicus.modules.analysis.dcd import dcd_info
from copernicus.modules.analysis.pdb import read_atoms
from copernicus.modules.gromacs.texts import change_settings, join_parts, table_of
from copernicus.protocol import EditRequest, ResultRequest
from copernicus.sdk.toml_functions import read_function
from copernicus.sdk.type_words import read_type
from copernicus.security.bundle import read_client_bundle, read_worker_bundle
from copernicus.security.identity import certificate_der, verify_worker_certificate
from copernicus.security.tokens import TokenKind, parse_token
from copernicus.server.http.blobs import _range
from copernicus.server.loading import read_saved
from copernicus.settings import load_settings
from copernicus.worker.lines import natural_key
from copernicus.worker.program_file import read_programs

LONGEST_REFUSAL = 20_000
MEMORY = 512 << 20

Parser = Callable[[bytes, Path], object]


def of_text(read: Callable[[str], object]) -> Parser:
    """Texts reach us decoded already: what is no UTF-8 is refused before."""
    return lambda content, _: read(content.decode("utf-8", "replace"))


def of_file(read: Callable[[Path], object], name: str = "file") -> Parser:
    def from_file(content: bytes, folder: Path) -> object:
        path = folder / name
        path.write_bytes(content)
        path.chmod(0o600)
        return read(path)

    return from_file


def manifest(content: bytes, _: Path) -> None:
    check_manifest(msgspec.json.decode(content, type=Manifest))


PARSERS: dict[str, Parser] = {
    "path": of_text(parse),
    "file path": of_text(sane_path),
    "file name": of_text(check_name),
    "type words": of_text(read_type),
    "quantity": of_text(lambda text: magnitude(text, "kJ/mol")),
    "unit": of_text(lambda text: same_unit(text, "nm")),
    "versions": of_text(specifiers),
    "TOML function": of_text(lambda text: read_function(text, "f.toml")),
    "network": of_text(lambda text: read_network(text, "n.toml")),
    "worker bundle": of_file(lambda path: read_worker_bundle(path, None)),
    "client bundle": of_file(read_client_bundle),
    "program file": of_file(read_programs),
    "settings": of_file(lambda path: load_settings(path.parent, None, {}), "server.toml"),
    "saved project": lambda content, _: read_saved([content]),
    "manifest": manifest,
    "edits": lambda content, _: msgspec.json.decode(content, type=EditRequest),
    "result": lambda content, _: msgspec.msgpack.decode(content, type=ResultRequest),
    "range": of_text(lambda text: _range(text, 1000)),
    "token": of_text(lambda text: parse_token(text, TokenKind.USER)),
    "certificate": of_text(certificate_der),
    "worker certificate": lambda content, _: verify_worker_certificate(content, CA, NOW),
    "mdp": of_text(lambda text: change_settings(text, {"nsteps": "5"})),
    "mdp setting": of_text(lambda text: change_settings("nsteps = 1\n", {"nsteps": text})),
    "xvg": of_text(lambda text: table_of(text, "a.xvg")),
    "xvg parts": of_text(lambda text: join_parts([text, text])),
    "pdb": of_file(read_atoms),
    "dcd": of_file(dcd_info),
    "duration": of_text(amounts.seconds),
    "megabytes": of_text(amounts.megabytes),
    "natural order": of_text(natural_key),
}

# These read files of one's own machine or of a job: a wrong encoding or end is their reader's to
# tell, in the words of Python; the caller makes a failed job or a sentence of it.
PLAIN: dict[str, tuple[type[Exception], ...]] = {
    "manifest": (msgspec.MsgspecError, RecursionError, UnicodeDecodeError),
    "edits": (msgspec.MsgspecError, RecursionError, UnicodeDecodeError),
    "result": (msgspec.MsgspecError, RecursionError, UnicodeDecodeError),
    "pdb": (ValueError, UnicodeDecodeError),
    "dcd": (ValueError, OSError),
}

EXAMPLES: dict[str, bytes] = {
    "path": b'fe@e12/coulomb.in.conf[2].settings["a b"][+]',
    "type words": b"dict[str, list[File | None]] | float (kJ/mol) | 'a'",
    "quantity": b"25.0e-3 kcal/mol",
    "unit": b"1/ps**2 * nm",
    "versions": b">=2023.1,<2025,!=2024.0",
    "range": b"bytes=5-900",
    "token": b"ut_0123456789abcdef." + b"A" * 43,
    "TOML function": b"""name = "steps.count"
program = "stepper"
[inputs.steps]
type = "int"
default = 2
[[run]]
argv = ["{program}", "{in.steps}"]
stdout = "log.txt"
[outputs.last]
type = "int"
number = {file = "log.txt", regex = 'step (\\d+)'}
""",
    "network": b"""format = 1
[instances.run]
function = "gromacs.mdrun"
version = "1"
[instances.run.in]
conf = 5
""",
    "program file": b"""[programs.gmx]
command = ["/usr/bin/gmx"]
version = "2024.1"
""",
    "settings": b'host = "127.0.0.1"\nlease_s = 60.0\nnames = ["a"]\n',
    "mdp": b"integrator = md ; comment\nnsteps=5000\nref-t = 300 300\n",
    "xvg": b'@ s0 legend "Potential"\n0.0 -1.5\n1.0 -2.5\n',
    "pdb": b"ATOM      1  CA  ALA A   1      11.104   6.134  -6.504  1.00  0.00           C\nEND\n",
    "edits": b'{"edits":[{"type":"set_input","target":"a.in.b","value":[1,{"$file":"0"}]}]}',
    "manifest": b'{"sha256":"' + b"0" * 64 + b'","size":1,"chunks":[{"sha256":"0","size":1}]}',
}

PIECES = [
    piece.encode("utf-8", "surrogatepass")
    for piece in (
        *("[", "]", "{", "}", "(", ")", '"', "'", "=", ".", ",", "|", ":", ";", "/", "\\", "\n"),
        *(" ", "\t", "\x00", "-", "+", "*", "**", "@", "#", "%", "&", "$", "²", "٣", "é", "\ud800"),
        *("in", "out", "list", "dict", "File", "float", "None", "nan", "inf", "1e999", "0x1f"),
        *(
            "type",
            "name",
            "program",
            "[[run]]",
            "[inputs.a]",
            "argv",
            "default",
            "bytes=",
            "kJ/mol",
        ),
        *("9" * 30, "1", "0", "-1", "1.5", "not ", "lambda:", "x", "{in.a}", "{program}", "../"),
    )
]

DEEP = 100_000
BOMBS = {
    "brackets": b"[" * DEEP,
    "closed brackets": b"[" * DEEP + b"]" * DEEP,
    "parentheses": b"(" * DEEP + b")" * DEEP,
    "list types": b"list[" * DEEP + b"int" + b"]" * DEEP,
    "alternatives": b"int|" * DEEP + b"int",
    "negations": b"not " * DEEP + b"a",
    "minus": b"-" * DEEP + b"1",
    "powers": b"9**9**9**9**9**9",
    "unit powers": b"5 nm**99999999999",
    "units": b"5 " + b"nm*" * 20_000 + b"nm",
    "digits": b"9" * DEEP,
    "indices": b"a.in.b" + b"[1]" * DEEP,
    "long index": b"a.in.b[" + b"9" * DEEP + b"]",
    "dotted keys": b"a" + b".a" * DEEP + b" = 1",
    "tables": b"".join(b"[t%d]\n" % n for n in range(20_000)),
    "nested tables": b"[" + b"a." * 20_000 + b"a]\nx = 1",
    "inline tables": b"a = " + b"{a = " * DEEP,
    "long line": b"a" * 5_000_000,
    "lines": b"\n" * 1_000_000,
    "settings": b"a = b\n" * 200_000,
    "spaces": b" " * 1_000_000,
    "null bytes": b"\x00" * 1_000_000,
    "not UTF-8": b"\xff\xfe" * 10_000,
    "nothing": b"",
    "numbers": b"1 " * 500_000 + b"\n",
    "legends": b"@ s" + b"9" * DEEP + b' legend "a"\n1 2\n',
    "wrong sizes": b"\xff\xff\xff\x7f" * 100,
}


def survives(name: str, content: bytes, folder: Path) -> None:
    """Read it; fail if that raises anything but a refusal, or costs memory beyond its size."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    try:
        PARSERS[name](content, folder)
    except CopernicusError as refusal:
        said = refusal.message
        assert len(said) <= LONGEST_REFUSAL + 5 * len(content), said[:200]
    except PLAIN.get(name, ()):
        pass
    used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    assert used < MEMORY, f"{name} took {used >> 20} MiB for {len(content)} bytes"


def _authority() -> tuple[str, object]:
    import tempfile
    from datetime import UTC, datetime

    from copernicus.security.identity import Authority, create_authority

    with tempfile.TemporaryDirectory() as folder:
        now = datetime.now(UTC)
        create_authority(Path(folder), ["127.0.0.1"], now)
        return Authority.load(Path(folder)).ca_pem, now


CA, NOW = _authority()
EXAMPLES["certificate"] = CA.encode()
EXAMPLES["worker certificate"] = certificate_der(CA)
