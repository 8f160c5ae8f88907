"""A throw-away service account, and the tokens that it gets for its signed word.

https://developers.google.com/identity/protocols/oauth2/service-account#httprest and RFC 7523.
Tokens go by this machine's time, as the libraries do that ask for them.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import secrets
import time
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

import orjson

from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.exchange import Reply, Request, json_reply
from batchkit.emulator.routes import Route

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from batchkit.emulator.workspace import Workspace

    Handler = Callable[[Request], Reply]

__all__ = ["PROJECT", "Accounts"]

PROJECT = "emulator-project"
_EMAIL = f"emulator@{PROJECT}.iam.gserviceaccount.com"
_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# google-auth names Google as the audience whatever its token_uri says.
_GOOGLE_AUDIENCE = "https://oauth2.googleapis.com/token"
_KEY_BITS = 2048
_LONGEST_BODY = 1 << 16
_LONGEST_LIFE_SECONDS = 3600
_SKEW_SECONDS = 60
_TABLES = "CREATE TABLE IF NOT EXISTS tokens (token TEXT PRIMARY KEY, expires REAL NOT NULL);"
_UNKNOWN = (
    "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie "
    "or other valid authentication credential. "
    "See https://developers.google.com/identity/sign-in/web/devconsole-project."
)


class Accounts:
    """The one service account of an emulator, made when its file is first asked for."""

    def __init__(self, workspace: Workspace, path: Path) -> None:
        """`path` is where its file lies; one that is there already keeps its key."""
        self._workspace = workspace
        self._path = path
        workspace.state.define(_TABLES)

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        return (Route("POST", "/token", self._grant, open=True),)

    def file(self) -> Path:
        """The account's file, which nobody else can read; Google's libraries take it."""
        content = {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "emulator",
            "private_key": self._private_key() or _new_private_key(),
            "client_email": _EMAIL,
            "client_id": "1",
            "token_uri": self._token_uri,
            "universe_domain": "googleapis.com",
        }
        draft = self._path.with_suffix(".new")
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
            json.dump(content, stream, indent=2)
        draft.replace(self._path)
        return self._path

    def guarded(self, handler: Handler) -> Handler:
        """The handler, for calls with a token of ours; ApiError 401 for any other."""

        def handle(request: Request) -> Reply:
            kind, _, token = request.headers.get("authorization", "").partition(" ")
            found = self._workspace.state.row(
                "SELECT * FROM tokens WHERE token = ? AND expires > ?", token, time.time()
            )
            if kind.lower() != "bearer" or found is None:
                raise ApiError(Rpc.UNAUTHENTICATED, _UNKNOWN)
            return handler(request)

        return handle

    @property
    def _token_uri(self) -> str:
        return f"{self._workspace.url}/token"

    def _private_key(self) -> str | None:
        if not self._path.exists():
            return None
        return json.loads(self._path.read_bytes())["private_key"]

    def _grant(self, request: Request) -> Reply:
        form = parse_qs(request.body.read(_LONGEST_BODY).decode(errors="replace"))
        if form.get("grant_type") != [_GRANT]:
            return _refusal("unsupported_grant_type", "Invalid grant_type")
        problem = self._problem(form.get("assertion", [""])[0])
        if problem:
            return _refusal("invalid_grant", problem)
        seconds = self._workspace.limits.token_seconds
        token = f"ya29.{secrets.token_urlsafe(32)}"
        now = time.time()
        with self._workspace.state.transaction() as database:
            database.execute("DELETE FROM tokens WHERE expires <= ?", [now])
            database.execute("INSERT INTO tokens VALUES (?, ?)", [token, now + seconds])
        return json_reply(
            {"access_token": token, "expires_in": int(seconds), "token_type": "Bearer"}
        )

    def _problem(self, assertion: str) -> str:
        """Why an assertion gets no token; empty when it does."""
        signed, _, signature = assertion.rpartition(".")
        header, _, payload = signed.partition(".")
        try:
            claims: dict[str, Any] = orjson.loads(_decoded(payload))
            algorithm = orjson.loads(_decoded(header))["alg"]
            issued, expires = float(claims["iat"]), float(claims["exp"])
            found = _decoded(signature)
        except (ValueError, TypeError, KeyError):
            return "Invalid JWT: not a signed JSON object with iat and exp"
        if algorithm != "RS256" or not self._is_signed(signed.encode(), found):
            return "Invalid JWT Signature."
        audiences = (self._token_uri, _GOOGLE_AUDIENCE)
        if claims.get("iss") != _EMAIL or claims.get("aud") not in audiences:
            return "Invalid JWT: iss or aud is not that of this account"
        now = time.time()
        in_time = issued <= now + _SKEW_SECONDS and now <= expires <= issued + _LONGEST_LIFE_SECONDS
        return "" if in_time else "Invalid JWT: Token must be a short-lived token (60 minutes)"

    def _is_signed(self, text: bytes, signature: bytes) -> bool:
        # A dependency of google-auth, and slow to load.
        from cryptography.exceptions import InvalidSignature  # noqa: PLC0415
        from cryptography.hazmat.primitives import hashes  # noqa: PLC0415
        from cryptography.hazmat.primitives.asymmetric import padding, rsa  # noqa: PLC0415
        from cryptography.hazmat.primitives.serialization import (  # noqa: PLC0415
            load_pem_private_key,
        )

        pem = self._private_key()
        key = load_pem_private_key(pem.encode(), None) if pem else None
        if not isinstance(key, rsa.RSAPrivateKey):
            return False
        try:
            key.public_key().verify(signature, text, padding.PKCS1v15(), hashes.SHA256())
        except InvalidSignature:
            return False
        return True


def _new_private_key() -> str:
    from cryptography.hazmat.primitives import serialization  # noqa: PLC0415
    from cryptography.hazmat.primitives.asymmetric import rsa  # noqa: PLC0415

    key = rsa.generate_private_key(public_exponent=65_537, key_size=_KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode()


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError(text) from error


def _refusal(error: str, description: str) -> Reply:
    """RFC 6749, section 5.2."""
    body = orjson.dumps({"error": error, "error_description": description})
    return Reply(400, body)
