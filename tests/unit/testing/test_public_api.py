"""The public packages: what users may import, and that importing it is cheap."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[3]
PUBLIC = ("comfyfarm.clients", "comfyfarm.testing", "comfyfarm.workflows")
LAZY = ("comfyfarm.clients", "comfyfarm.testing")
INTERNAL_PAGES = {"architecture.md"}    # it describes the modules inside
DOCUMENTS = [
    ROOT / "README.md",
    *(page for page in sorted((ROOT / "docs").glob("*.md")) if page.name not in INTERNAL_PAGES),
    *sorted((ROOT / "examples").rglob("*.py")),
]

FROM_IMPORT = re.compile(r"^ *from (comfyfarm[\w.]*) import (?:\((.*?)\)|([^(\n]*))", re.MULTILINE | re.DOTALL)
DOTTED = re.compile(r"(?<![\w/.])comfyfarm(?:\.[a-zA-Z_]\w*)+")

IMPORT_ALL = """
import sys
import comfyfarm.clients, comfyfarm.testing, comfyfarm.workflows
from comfyfarm.clients import SyncComfyClient, SyncFarmControl
from comfyfarm.testing import FarmDied, RunningFarm, Stamp, frame, happened, request, run_farm, start_mock_server
heavy = sorted({name.split(".")[0] for name in sys.modules} & {"twisted", "klein", "treq", "PIL", "rich"})
assert not heavy, heavy
"""


def package(name: str) -> ModuleType:
    return importlib.import_module(name)


def mentions(text: str) -> Iterator[str]:
    """The dotted names of the package that a text imports or mentions."""
    yield from DOTTED.findall(text)
    for module, in_parentheses, names in FROM_IMPORT.findall(text):
        for name in re.findall(r"\w+(?: as \w+)?", in_parentheses or names.partition("#")[0]):
            yield f"{module}.{name.split(' ')[0]}"


def is_public(name: str) -> bool:
    if name in PUBLIC:
        return True
    module, _, attribute = name.rpartition(".")
    return module in PUBLIC and attribute in getattr(package(module), "__all__", vars(package(module)))


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_readme_docs_and_examples_use_public_names_only(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert [name for name in mentions(text) if not is_public(name)] == []


def test_deeper_names_are_noticed() -> None:
    text = "`comfyfarm.testing.child`\nfrom comfyfarm.clients.comfy import ComfyClient\nfrom comfyfarm.testing import ("
    assert [name for name in mentions(text + "\n    run_farm,\n    Nothing as N,\n)") if not is_public(name)] == [
        "comfyfarm.testing.child",
        "comfyfarm.clients.comfy",
        "comfyfarm.clients.comfy.ComfyClient",
        "comfyfarm.testing.Nothing",
    ]


@pytest.mark.parametrize("name", LAZY)
def test_every_exported_name_exists_and_has_its_type(name: str) -> None:
    """The type checker's imports and the lazy ones are the same."""
    module = package(name)
    assert all(getattr(module, export) is not None for export in module.__all__)
    imports = [node for node in ast.walk(ast.parse(Path(str(module.__file__)).read_text("utf-8")))
               if isinstance(node, ast.ImportFrom)]
    typed = {f"{node.module}.{alias.name}" for node in imports for alias in node.names if alias.asname}
    assert {source.rpartition(".")[2] for source in typed} == set(module.__all__)
    for source in typed:
        origin, _, export = source.rpartition(".")
        assert getattr(module, export) is getattr(package(origin), export)


@pytest.mark.parametrize("name", LAZY)
def test_a_name_that_does_not_exist_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=f"module '{name}' has no attribute 'nothing'"):
        _ = package(name).nothing


def test_importing_the_packages_loads_nothing_heavy() -> None:
    """Also not the blocking clients, the child processes and the queries."""
    subprocess.run([sys.executable, "-c", IMPORT_ALL], check=True, timeout=30, env={"PYTHONPATH": ":".join(sys.path)})
