from __future__ import annotations

import pytest

from batchkit.address import is_private


@pytest.mark.parametrize(
    "url",
    [
        "https://host",
        "https://host:8443/x?y",
        "http://localhost:1/x",
        "http://[::1]/",
        "http://127.9.9.9",
    ],
)
def test_https_is_private_and_so_is_this_machine(url: str) -> None:
    assert is_private(url)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/upload",
        "https://",
        "http://host",
        "http://localhost.example",
        "http://127.0.0.1.example",
        "http://127.0.0.1@host",
        "http://2130706433",
        "ftp://localhost",
        "https://host:99999",
        "https://[::1",
    ],
)
def test_nothing_else_is(url: str) -> None:
    assert not is_private(url)
