"""`python -m _amended`, in the folder above this one."""

import importlib.metadata
import sys


def _check_versions() -> None:
    """Say which version is missing before it fails in one of many ways."""
    for place, word in enumerate(sys.argv[:-1]):
        if word == "--needs":
            name, _, version = sys.argv[place + 1].partition("==")
            try:
                found = importlib.metadata.version(name)
            except importlib.metadata.PackageNotFoundError:
                found = "none"
            if found != version:
                sys.exit(f"{name} {version} is needed, this interpreter has {found}")


if __name__ == "__main__":
    _check_versions()
    from .process import main

    main()
