"""Write pydocs.parquet: the docstrings of Python's standard library, one row per document.

Run it with CPython 3.11: `uv run python sample_data/make_pydocs.py`. The same patch version on
Linux gives the same rows. An import that fails stops the script: to skip it would drop rows.
"""

import importlib
import inspect
import pkgutil
import platform
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import is_dataclass
from pathlib import Path
from types import ClassMethodDescriptorType, ModuleType
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

OUTPUT = Path(__file__).with_name("pydocs.parquet")
PYTHON_SERIES = (3, 11)
MIN_CHARACTERS = 80
MAX_CHARACTERS = 8000
ROWS_PER_GROUP = 1000

SIDE_EFFECTS = "antigravity ensurepip idlelib lib2to3 rlcompleter this"
GRAPHICS = "tkinter turtle turtledemo"
OTHER_SYSTEMS = """
    asyncio.windows_events asyncio.windows_utils ctypes.macholib ctypes.wintypes msilib msvcrt
    multiprocessing.popen_spawn_win32 nt winreg winsound
"""
# Their contents follow the system, a linked library or the installation, not Python's version.
BUILD_DEPENDENT = """
    crypt curses dbm errno fcntl grp mmap nis ossaudiodev posix pty pwd readline resource select
    signal socket spwd sqlite3 ssl sysconfig syslog termios tty xml.parsers.expat pyexpat
"""
# setuptools replaces distutils where it is installed; codec modules are tables, not documents.
NOT_DOCUMENTS = "distutils encodings pydoc_data"
SKIPPED = frozenset(
    f"{SIDE_EFFECTS} {GRAPHICS} {OTHER_SYSTEMS} {BUILD_DEPENDENT} {NOT_DOCUMENTS}".split()
)

SCHEMA = pa.schema(
    [
        pa.field("id", pa.string(), nullable=False),
        pa.field("module", pa.string(), nullable=False),
        pa.field("kind", pa.string(), nullable=False),
        pa.field("signature", pa.string()),
        pa.field("text", pa.string(), nullable=False),
        pa.field("characters", pa.int32(), nullable=False),
    ],
    metadata={
        "python_version": platform.python_version(),
        "python_implementation": platform.python_implementation(),
        "source": "docstrings of the Python standard library",
        "license": "PSF License Agreement for Python 3.11, (c) Python Software Foundation",
        "license_url": "https://docs.python.org/3.11/license.html",
        "made_by": "sample_data/make_pydocs.py",
    },
)

MEMORY_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+")


class HiddenDefault:
    """Stands for a default that may be the environment (`cgi` has one), a path or an address."""

    def __repr__(self) -> str:
        return "..."


class Documented(NamedTuple):
    """An object that may carry a docstring, and the dotted name it is reached by."""

    name: str
    module: str
    kind: str
    value: object


def is_walked(name: str) -> bool:
    """Say whether the module `name` is public, not a test, and not in `SKIPPED`."""
    parts = name.split(".")
    if any(part.startswith("_") or part in {"test", "tests"} for part in parts):
        return False
    return not any(".".join(parts[: end + 1]) in SKIPPED for end in range(len(parts)))


def walk_modules(names: list[str]) -> Iterator[ModuleType]:
    """Import each walked module of `names`, then its submodules, in order of name."""
    for name in sorted(filter(is_walked, names)):
        module = importlib.import_module(name)
        yield module
        search_path = getattr(module, "__path__", [])
        yield from walk_modules(
            [f"{name}.{found.name}" for found in pkgutil.iter_modules(search_path)]
        )


def public_names(module: ModuleType) -> list[str]:
    """Return the names in `__all__`, or else those without a leading underscore, sorted."""
    names = getattr(module, "__all__", None)
    if names is None:
        names = [name for name in vars(module) if not name.startswith("_")]
    return sorted(set(names))


def is_defined_in(value: object, module: str) -> bool:
    """Say whether `value` comes from `module` or its C twin (`heapq` has `_heapq`)."""
    return getattr(value, "__module__", None) in {module, f"_{module}"}


def walk_module(module: ModuleType) -> Iterator[Documented]:
    """Yield the module, then the functions, classes and methods it defines."""
    name = module.__name__
    yield Documented(name, name, "module", module)
    for attribute in public_names(module):
        value = vars(module).get(attribute)
        if not is_defined_in(value, name):
            continue
        if inspect.isclass(value):
            yield from walk_class(value, f"{name}.{attribute}", name)
        elif inspect.isroutine(value):
            yield Documented(f"{name}.{attribute}", name, "function", value)


def walk_class(owner: type, name: str, module: str) -> Iterator[Documented]:
    """Yield the class, then the methods and the nested classes of its own body."""
    yield Documented(name, module, "class", owner)
    for attribute, stored in sorted(vars(owner).items()):
        if attribute.startswith("_") and not attribute.endswith("__"):
            continue
        member = f"{name}.{attribute}"
        is_bound = isinstance(stored, classmethod | staticmethod | ClassMethodDescriptorType)
        value = getattr(owner, attribute) if is_bound else stored
        if inspect.isroutine(value):
            yield Documented(member, module, "method", value)
        elif inspect.isclass(value) and value.__qualname__ == f"{owner.__qualname__}.{attribute}":
            yield from walk_class(value, member, module)


def is_plain(default: object) -> bool:
    """Say whether a default is a literal that reads the same on every machine."""
    if type(default) is tuple:
        return all(map(is_plain, default))
    if type(default) is str:
        return not Path(default).is_absolute()
    return default is None or type(default) in {bool, int, float, bytes}


def signature_of(value: object) -> str | None:
    """Return the call signature, or None where Python has none; hidden defaults read `...`."""
    if not callable(value):
        return None
    try:
        signature = inspect.signature(value)
    except (TypeError, ValueError):
        return None
    parameters = [
        parameter
        if parameter.default is parameter.empty or is_plain(parameter.default)
        else parameter.replace(default=HiddenDefault())
        for parameter in signature.parameters.values()
    ]
    return str(signature.replace(parameters=parameters))


def is_generated(found: Documented) -> bool:
    """Say whether `dataclass` wrote the docstring: it is the signature, not a document."""
    value = found.value
    return is_dataclass(value) and str(value.__doc__).startswith(f"{value.__name__}(")


def row_of(found: Documented) -> dict[str, object] | None:
    """Return the row of an object, or None if its own docstring is missing or out of bounds."""
    if not isinstance(found.value.__doc__, str) or is_generated(found):
        return None
    text = (inspect.getdoc(found.value) or "").strip()
    signature = signature_of(found.value)
    if not MIN_CHARACTERS <= len(text) <= MAX_CHARACTERS:
        return None
    if MEMORY_ADDRESS.search(f"{signature} {text}"):
        return None
    return {
        "id": found.name,
        "module": found.module,
        "kind": found.kind,
        "signature": signature,
        "text": text,
        "characters": len(text),
    }


def collect_rows() -> list[dict[str, object]]:
    """Return the rows in order of id; of equal texts the first id stays."""
    found: dict[str, Documented] = {}
    for module in walk_modules(sorted(sys.stdlib_module_names)):
        for documented in walk_module(module):
            found.setdefault(documented.name, documented)
    first_of_text: dict[object, dict[str, object]] = {}
    for _, documented in sorted(found.items()):
        row = row_of(documented)
        if row is not None:
            first_of_text.setdefault(row["text"], row)
    return list(first_of_text.values())


def main() -> None:
    """Write the file and print how many rows it has."""
    if sys.version_info[:2] != PYTHON_SERIES or platform.python_implementation() != "CPython":
        sys.exit("make_pydocs.py reads the docstrings of CPython 3.11; run it with that Python.")
    if sys.flags.optimize > 1:
        sys.exit("Python -OO drops docstrings; run make_pydocs.py without it.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        rows = collect_rows()
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    pq.write_table(
        table, OUTPUT, compression="zstd", compression_level=19, row_group_size=ROWS_PER_GROUP
    )
    print(f"{OUTPUT.name}: {table.num_rows} rows, Python {platform.python_version()}")


if __name__ == "__main__":
    main()
