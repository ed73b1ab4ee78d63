"""The docs say what is there: the reference follows the code, links lead somewhere."""

from __future__ import annotations

import dataclasses
import importlib.util
import inspect
import re
import typing
from pathlib import Path
from types import ModuleType

import pytest

from copernicus import client
from copernicus.cli.app import COMMANDS
from copernicus.errors import CopernicusError
from copernicus.model import edits, events
from copernicus.registry import discover
from copernicus.sdk.toml_functions import read_function
from copernicus.settings import ServerSettings
from support.tutorials import blocks

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
REFERENCE = DOCS / "reference"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
COMMAND = re.compile(r"^(?:\$ )?cpc ((?:[a-z-]+ ?)+)", re.MULTILINE)

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generate", REFERENCE / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _read(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def test_reference_is_up_to_date() -> None:
    assert _generator().outdated() == [], "run: python docs/reference/generate.py"


def test_every_command_is_documented() -> None:
    page = _read("cli.md")
    assert [e.name for e in COMMANDS if f"### cpc {e.name}\n" not in page] == []


def test_every_method_of_the_client_is_documented() -> None:
    page = _read("python.md")
    for cls in (client.Client, client.Project, client.Instance):
        for name, member in inspect.getmembers(cls):
            if not name.startswith("_") and callable(member):
                assert f".{name}(" in page, f"{cls.__name__}.{name}"


def test_every_setting_is_documented() -> None:
    page = _read("settings.md")
    names = [field.name for field in dataclasses.fields(ServerSettings)]
    assert [name for name in names if f"| `{name}` |" not in page] == []


def test_every_error_is_documented() -> None:
    def codes(cls: type[CopernicusError]) -> set[str]:
        return {cls.code}.union(*(codes(child) for child in cls.__subclasses__()))

    page = _read("errors.md")
    assert [code for code in sorted(codes(CopernicusError)) if f"| `{code}` |" not in page] == []


def test_every_edit_and_event_is_documented() -> None:
    page = _read("events.md")
    structs = [*typing.get_args(edits.Edit), *typing.get_args(events.Event)]
    tags = [cls.__struct_config__.tag for cls in structs]
    assert [tag for tag in tags if f"### {tag}\n" not in page] == []


def test_every_function_is_documented() -> None:
    page = _read("functions.md")
    ours = [f.spec.name for f in discover().functions().values()]
    shipped = ("gromacs.", "openmm.", "analysis.")
    assert [n for n in ours if n.startswith(shipped) and f"### {n}\n" not in page] == []


@each_page
def test_links_lead_somewhere(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    for target in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in _anchors(found), f"{page.name}: {target}"


def _anchors(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}


@each_page
def test_commands_in_the_docs_exist(page: Path) -> None:
    known = {e.name for e in COMMANDS}
    for block in blocks(page.read_text(encoding="utf-8")):
        if block.language in ("python", "toml"):
            continue
        for words in COMMAND.findall(block.text):
            said = words.split()
            names = {" ".join(said[:length]) for length in (1, 2, 3)}
            assert names & known, f"{page.name}: cpc {words}"


def test_toml_example_is_a_function() -> None:
    found = [b for b in blocks(_read("toml-functions.md")) if b.language == "toml"]
    (example,) = [block for block in found if not block.option("file")]
    spec = read_function(example.text, "the example")
    assert {port.name for port in spec.inputs} == {"start", "temperature", "steps", "restraints"}
    assert spec.extends == {"steps"}


def test_readme_shows_a_picture() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (picture,) = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert (ROOT / picture).read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("folder", ["tutorials", "how-to", "reference", "explanation"])
def test_every_page_is_in_the_index(folder: str) -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    pages = sorted((ROOT / "docs" / folder).glob("*.md"))
    assert [page.name for page in pages if f"({folder}/{page.name})" not in index] == []
