"""A small client of the emulator's Vertex AI for its own tests: plain requests and a token."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import requests
from google.auth import crypt, jwt

if TYPE_CHECKING:
    from collections.abc import Iterable

    from batchkit.emulator import Emulator

__all__ = ["BUCKET", "MODEL", "VertexClient", "ask_token", "generate_line", "signed"]

MODEL = "publishers/google/models/gemini-3.5-flash"
BUCKET = "emulator-bucket"
PLACE = "projects/p1/locations/us-central1"
GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"


def generate_line(text: str, **fields: Any) -> dict[str, Any]:
    return {"request": {"contents": [{"role": "user", "parts": [{"text": text}]}], **fields}}


def signed(account: dict[str, Any], **claims: Any) -> bytes:
    """What a service account says of itself, signed; `claims` replace the usual ones."""
    now = int(time.time())
    said = {
        "iss": account["client_email"],
        "aud": account["token_uri"],
        "iat": now,
        "exp": now + 3600,
        "scope": "https://www.googleapis.com/auth/cloud-platform",
    }
    return jwt.encode(crypt.RSASigner.from_string(account["private_key"]), {**said, **claims})


def ask_token(url: str, assertion: bytes, grant: str = GRANT) -> requests.Response:
    form = {"grant_type": grant, "assertion": assertion}
    return requests.post(f"{url}/token", data=form, timeout=60)


class VertexClient:
    """Calls an emulator; every method returns the reply's JSON and fails on an error status."""

    def __init__(self, emulator: Emulator) -> None:
        account = json.loads(emulator.credentials_file.read_bytes())
        token = ask_token(emulator.url, signed(account)).json()["access_token"]
        self.emulator = emulator
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def send(self, method: str, path: str = "", **arguments: Any) -> requests.Response:
        """A call below the collection of jobs, or to a job by its whole name."""
        whole = path if path.startswith("projects/") else f"{PLACE}/batchPredictionJobs{path}"
        return self.session.request(
            method, f"{self.emulator.url}/v1/{whole}", timeout=60, **arguments
        )

    def call(self, method: str, path: str = "", **arguments: Any) -> Any:
        reply = self.send(method, path, **arguments)
        assert reply.status_code == 200, reply.text
        return reply.json()

    def refused(self, method: str, path: str = "", **arguments: Any) -> dict[str, Any]:
        """The error of a call that must fail."""
        reply = self.send(method, path, **arguments)
        assert reply.status_code >= 400, reply.text
        error = reply.json()["error"]
        assert error["code"] == reply.status_code
        return error

    def put(self, name: str, lines: Iterable[Any]) -> str:
        """An object of JSON lines; bytes are lines as they are. Its URI."""
        uri = f"gs://{BUCKET}/{name}"
        with self.emulator.storage.create(uri) as stream:
            for line in lines:
                stream.write(line if isinstance(line, bytes) else json.dumps(line).encode())
                stream.write(b"\n")
        return uri

    def body(self, *uris: str, model: str = MODEL, **fields: Any) -> dict[str, Any]:
        """What creates a job from objects to objects."""
        prefix = {"outputUriPrefix": f"gs://{BUCKET}/out"}
        return {
            "displayName": "test",
            "model": model,
            "inputConfig": {"instancesFormat": "jsonl", "gcsSource": {"uris": list(uris)}},
            "outputConfig": {"predictionsFormat": "jsonl", "gcsDestination": prefix},
            **fields,
        }

    def create(self, *uris: str, model: str = MODEL, **fields: Any) -> dict[str, Any]:
        return self.call("POST", json=self.body(*uris, model=model, **fields))

    def run(self, lines: Iterable[Any], model: str = MODEL) -> dict[str, Any]:
        """A job of these lines, as it is now."""
        count = len(self.emulator.storage.list(f"gs://{BUCKET}/"))
        return self.get(self.create(self.put(f"in-{count}.jsonl", lines), model=model))

    def get(self, job: dict[str, Any]) -> dict[str, Any]:
        return self.call("GET", job["name"])

    def state(self, job: dict[str, Any]) -> str:
        return self.get(job)["state"].removeprefix("JOB_STATE_")

    def output(self, job: dict[str, Any]) -> list[dict[str, Any]]:
        """The lines of a job's output."""
        folder = self.get(job)["outputInfo"]["gcsOutputDirectory"]
        with self.emulator.storage.open(f"{folder}/predictions.jsonl") as stream:
            return [json.loads(line) for line in stream]
