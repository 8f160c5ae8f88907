"""The rules of the house that no linter knows: where things stand, and what may not be there."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "batchkit"
MODULES = sorted(PACKAGE.rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))

_LONGEST_FILE = 300
_LONGEST_FUNCTION = 40
_MOST_PUBLIC_NAMES = 9
_WIDE = {"errors.py", "jsonl.py"}  # the two floors that everything stands on
_VAGUE = {"utils", "util", "common", "helpers", "helper", "base", "core", "manager", "misc"}
# Tests of the whole, which mirror no module.
_WHOLE = {
    "test_any_order.py",
    "test_canaries.py",
    "test_fuzz.py",
    "test_hostile_runs.py",
    "test_private_files.py",
    "test_four_ways.py",
    "test_vertex_embeddings.py",
    "test_vertex_joins.py",
    "test_vertex_runs.py",
    "test_exactness.py",
    "test_fault_matrix.py",
    "test_house.py",
    "test_kill.py",
    "test_laws.py",
    "test_million.py",
    "test_pushdown.py",
    "test_pushdown_runs.py",
    "test_readme.py",
}


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def _functions(path: Path) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    return [node for node in ast.walk(_tree(path)) if isinstance(node, kinds)]


def _body_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of the body without the docstring and the signature."""
    body = function.body[1:] if ast.get_docstring(function) else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def _imported(path: Path) -> set[str]:
    """Every module that a file imports, however deep in it the import stands."""
    names: set[str] = set()
    for node in ast.walk(_tree(path)):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def _is_subcommand(decorator: ast.expr) -> bool:
    """Whether a function is reached through its command group, not by its name."""
    return "jobs.command" in ast.unparse(decorator) or "files.command" in ast.unparse(decorator)


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_opens_with_one_sentence_on_what_it_is(path: Path) -> None:
    first = (ast.get_docstring(_tree(path)) or "").partition("\n")[0]
    assert first.rstrip(":").endswith((".", "?")) or first.endswith(":"), first


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_stays_under_300_lines(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").split("\n")) <= _LONGEST_FILE


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_function_stays_under_40_lines(path: Path) -> None:
    long = [f.name for f in _functions(path) if _body_lines(f) > _LONGEST_FUNCTION]
    assert not long


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_a_module_is_named_by_a_noun_of_the_domain(path: Path) -> None:
    assert not _VAGUE & {part.removesuffix(".py") for part in path.relative_to(ROOT).parts}


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_the_exported_names_are_those_that_are_public(path: Path) -> None:
    tree = _tree(path)
    exported = [
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign)
        and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    ]
    kinds = ast.FunctionDef | ast.ClassDef
    named = [n for n in tree.body if isinstance(n, kinds) and not n.name.startswith("_")]
    public = {n.name for n in named if not any(_is_subcommand(d) for d in n.decorator_list)}
    if path.name == "__init__.py":
        return
    assert exported or not public
    if exported:
        assert public <= set(exported[0])
        assert len(exported[0]) <= _MOST_PUBLIC_NAMES or path.name in _WIDE


def test_json_is_written_by_one_module() -> None:
    outside = [p for p in MODULES if not p.is_relative_to(PACKAGE / "emulator")]
    users = [_name(p) for p in outside if {"json", "orjson"} & _imported(p)]
    assert users == ["batchkit/jsonl.py"]


def test_lines_are_split_on_newlines_only() -> None:
    """U+2028 and others, at which str.splitlines also cuts, are part of a text."""
    users = [_name(p) for p in MODULES if "splitlines" in p.read_text(encoding="utf-8")]
    assert users == []


def test_the_environment_is_read_in_one_module() -> None:
    users = [_name(p) for p in MODULES if "os.environ" in p.read_text(encoding="utf-8")]
    assert users == ["batchkit/clients.py"]


def test_no_test_patches_what_it_tests() -> None:
    patched = [
        _name(p)
        for p in TESTS
        if p.name != "test_house.py"
        and any(word in p.read_text(encoding="utf-8") for word in ("mock", "monkeypatch.setattr"))
    ]
    assert patched == []


def test_the_tests_mirror_the_package() -> None:
    strays = []
    for path in TESTS:
        if not path.name.startswith("test_") or path.name in _WHOLE:
            continue
        folder = PACKAGE / path.parent.relative_to(ROOT / "tests")
        subject = path.name.removeprefix("test_").removesuffix(".py")
        if not ((folder / f"{subject}.py").exists() or (folder / subject).is_dir()):
            strays.append(_name(path))
    assert set(strays) <= _WITNESSES


# Witnesses from outside, which test the emulator as a whole.
_WITNESSES = {
    "tests/emulator/test_google_genai.py",
    "tests/emulator/test_published_samples.py",
    "tests/emulator/storage/test_gcsfs.py",
    "tests/emulator/storage/test_google_cloud_storage.py",
    "tests/emulator/storage/test_pyarrow.py",
    "tests/emulator/vertex/test_google_genai.py",
}


def test_importing_batchkit_loads_no_google_library_and_no_pandas() -> None:
    code = (
        "import sys, batchkit; heavy = ('google', 'pandas', 'pyarrow', 'requests', 'rich'); "
        "print([name for name in heavy if name in sys.modules])"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert said.stdout.strip() == "[]"


def test_every_public_name_can_be_had() -> None:
    code = "import batchkit; print([n for n in batchkit.__all__ if not hasattr(batchkit, n)])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)  # noqa: S603
    assert said.stdout.strip() == "[]"
