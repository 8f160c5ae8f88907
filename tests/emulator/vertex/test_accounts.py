from __future__ import annotations

import json
import stat
import time
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from batchkit.emulator import Emulator, Limits, serve

from .client import VertexClient, ask_token, signed

if TYPE_CHECKING:
    from pathlib import Path


def account(emulator: Emulator) -> dict[str, Any]:
    return json.loads(emulator.credentials_file.read_bytes())


def test_a_signed_word_gets_a_token_that_opens_the_service(emulator: Emulator) -> None:
    reply = ask_token(emulator.url, signed(account(emulator)))
    assert reply.status_code == 200
    granted = reply.json()
    assert (granted["token_type"], granted["expires_in"]) == ("Bearer", 3600)
    assert VertexClient(emulator).call("GET") == {}


def test_the_file_is_its_owners_alone(emulator: Emulator) -> None:
    assert stat.S_IMODE(emulator.credentials_file.stat().st_mode) == 0o600
    assert emulator.credentials_file.parent == emulator.folder
    assert account(emulator)["token_uri"] == f"{emulator.url}/token"


def foreign(account: dict[str, Any]) -> dict[str, Any]:
    """The account with the key of somebody else."""
    key = rsa.generate_private_key(public_exponent=65_537, key_size=2048).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return {**account, "private_key": key.decode()}


def test_what_somebody_else_signed_gets_none(emulator: Emulator) -> None:
    reply = ask_token(emulator.url, signed(foreign(account(emulator))))
    assert reply.status_code == 400
    assert reply.json() == {
        "error": "invalid_grant",
        "error_description": "Invalid JWT Signature.",
    }


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": "somebody@else.example"},
        {"aud": "https://elsewhere.example/token"},
        {"iat": int(time.time()) - 9000, "exp": int(time.time()) - 5400},
        {"iat": int(time.time()) + 5000, "exp": int(time.time()) + 6000},
        {"exp": int(time.time()) + 9000},
        {"exp": "soon"},
    ],
)
def test_a_word_that_is_not_this_accounts_or_not_of_now_gets_none(
    emulator: Emulator, claims: dict[str, Any]
) -> None:
    reply = ask_token(emulator.url, signed(account(emulator), **claims))
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")


@pytest.mark.parametrize("assertion", [b"", b"x", b"a.b.c", b"e30.e30.e30", b"\xff.\xff.\xff"])
def test_what_is_no_signed_word_gets_none(emulator: Emulator, assertion: bytes) -> None:
    reply = ask_token(emulator.url, assertion)
    assert (reply.status_code, reply.json()["error"]) == (400, "invalid_grant")


def test_another_grant_is_not_supported(emulator: Emulator) -> None:
    reply = ask_token(emulator.url, signed(account(emulator)), grant="password")
    assert (reply.status_code, reply.json()["error"]) == (400, "unsupported_grant_type")


@pytest.mark.parametrize("header", [None, "Bearer x", "Bearer ", "Basic x", "emulator-key"])
def test_a_call_without_a_token_of_ours_is_refused(here: VertexClient, header: str | None) -> None:
    here.session.headers["Authorization"] = header  # pyright: ignore[reportArgumentType]  # none
    error = here.refused("GET")
    assert (error["code"], error["status"]) == (401, "UNAUTHENTICATED")


def test_a_key_of_the_other_service_is_no_token(here: VertexClient) -> None:
    here.session.headers.clear()
    assert here.refused("GET", params={"key": "emulator-key"})["code"] == 401


def test_a_token_is_good_for_its_time_only() -> None:
    with serve(limits=Limits(token_seconds=0)) as emulator:
        assert VertexClient(emulator).refused("GET")["code"] == 401


def test_the_account_and_its_tokens_outlive_a_restart(tmp_path: Path) -> None:
    with serve(folder=tmp_path) as emulator:
        before, client = account(emulator), VertexClient(emulator)
    with serve(folder=tmp_path) as emulator:
        client.emulator = emulator
        assert client.call("GET") == {}
        assert account(emulator)["private_key"] == before["private_key"]
        assert ask_token(emulator.url, signed(account(emulator))).status_code == 200
    client.session.close()
