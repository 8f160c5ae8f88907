from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from batchkit.secret import hide_secrets_in_logs, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator

SIGNED = (
    "https://storage.googleapis.com/b/o?X-Goog-Algorithm=GOOG4-RSA-SHA256"
    "&X-Goog-Credential=me%40p.iam.gserviceaccount.com%2F20261124&X-Goog-Signature=a1b2c3d4e5"
)


@pytest.mark.parametrize(
    "text, secret",
    [
        ("key AIzaSyA1234567890abcdefghijklmnopqrstuv!", "AIzaSyA1234567890abcdefghijklmnopqrstuv"),
        ("got ya29.c.b0Aaek-9_x", "c.b0Aaek-9_x"),
        ("refresh 1//0gAbCdEfGhIjKlMnOpQrStUv", "0gAbCdEfGhIjKlMnOpQrStUv"),
        ("client GOCSPX-abc_DEF-123", "abc_DEF-123"),
        ("assertion eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJtZSJ9.c2ln-bmF0", "c2ln-bmF0"),
        (f"cannot read {SIGNED}", "a1b2c3d4e5"),
        (f"cannot read {SIGNED}", "me%40p"),
        ("https://s/o?GoogleAccessId=me@p&Expires=9&Signature=Zm9v%2Fbar", "Zm9v%2Fbar"),
        ("https://s/o?GoogleAccessId=me@p&Expires=9&Signature=Zm9v%2Fbar", "me@p"),
        ("PUT /upload/storage/v1/b/x/o?uploadType=resumable&upload_id=ABC-1_2", "ABC-1_2"),
        ("https://h/?access_token=t0ken", "t0ken"),
        ("{'x-goog-api-key': 'no-form-at-all'}", "no-form-at-all"),
        ("Authorization: Bearer no.form", "no.form"),
        (
            '{"private_key": "-----BEGIN PRIVATE KEY-----\\nMIIE\\n-----END PRIVATE KEY-----"}',
            "MIIE",
        ),
        ("-----BEGIN RSA PRIVATE KEY-----\nMIIE cut sho", "MIIE"),
    ],
)
def test_a_secret_is_taken_out_of_a_text_wherever_it_stands(text: str, secret: str) -> None:
    assert secret in text
    for value in (text, [text], {"a": [{"b": text}]}):
        told = repr(without_secrets(value))
        assert secret not in told
        assert "…" in told


@pytest.mark.parametrize(
    "text",
    [
        "API key not valid. Please pass a valid API key.",
        "monkey=banana, and a basic question",
        "batchPredictionJobs/123 in projects/p/locations/us-central1",
        "eyJ is how some texts begin",
    ],
)
def test_what_is_no_secret_stays(text: str) -> None:
    assert without_secrets({"said": text, "n": [1, None]}) == {"said": text, "n": [1, None]}


def test_addresses_of_uploads_are_kept_out_of_logs(caplog: pytest.LogCaptureFixture) -> None:
    hide_secrets_in_logs()
    hide_secrets_in_logs()
    log = logging.getLogger("urllib3.connectionpool")
    with caplog.at_level(logging.DEBUG):
        log.debug('%s "%s %s"', "https://h", "PUT", "/upload?upload_id=ABC")
        log.debug('%s "%s %s"', "https://h", "GET", "/files")
    assert [record.args for record in caplog.records] == [("https://h", "GET", "/files")]


@pytest.fixture
def google_logs() -> Iterator[None]:
    """Google's loggers pass on what they are told; older libraries stop it at the topmost."""
    topmost = logging.getLogger("google")
    before, topmost.propagate = topmost.propagate, True
    yield
    topmost.propagate = before


@pytest.mark.usefixtures("google_logs")
def test_headers_of_requests_are_kept_out_of_logs(caplog: pytest.LogCaptureFixture) -> None:
    hide_secrets_in_logs()
    log = logging.getLogger("google.auth.transport.requests")
    with caplog.at_level(logging.DEBUG):
        sent = {"url": "https://h", "headers": {"authorization": "Bearer t0ken"}}
        log.debug("Making request...", extra={"httpRequest": sent})
    assert [record.getMessage() for record in caplog.records] == ["Making request..."]
    assert "t0ken" not in repr([vars(record) for record in caplog.records])


@pytest.mark.usefixtures("google_logs")
def test_what_made_a_call_be_repeated_is_logged_without_secrets(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hide_secrets_in_logs()
    with caplog.at_level(logging.DEBUG):
        logging.getLogger("google.api_core.retry").debug("Retrying due to %s", SIGNED)
    (record,) = caplog.records
    assert record.getMessage().startswith("Retrying due to https://storage.googleapis.com/b/o?")
    assert "a1b2c3d4e5" not in repr(vars(record))
