from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from google.auth.credentials import AnonymousCredentials

import batchkit as bk
from batchkit.clients import connect, connect_cloud, wanted_service
from batchkit.emulator import serve
from batchkit.errors import CredentialsError, SetupError
from batchkit.storage import ObjectUri
from batchkit.warehouse import TableName
from tests.scripted import Said, scripted

if TYPE_CHECKING:
    from pathlib import Path

VARIABLES = (
    "GOOGLE_API_KEY",
    "GEMINI_API_KEY",
    "GOOGLE_GEMINI_BASE_URL",
    "GOOGLE_GENAI_USE_ENTERPRISE",
    "GOOGLE_GENAI_USE_VERTEXAI",
    "HTTP_PROXY",
    "http_proxy",
    "NO_PROXY",
    "no_proxy",
)


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment that says nothing."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


def key_sent(api_key: str | None = None) -> str:
    """The key that a service hears, by default from a client of the environment."""
    with scripted(Said()) as server:
        bk.Gemini(api_key, base_url=server.url).batches.get("b1")
        return server.asked[0].headers["x-goog-api-key"]


def test_a_missing_key_says_what_to_do() -> None:
    with pytest.raises(CredentialsError) as caught:
        bk.Gemini()
    assert str(caught.value) == (
        "no API key: pass api_key=, or set GOOGLE_API_KEY or GEMINI_API_KEY "
        "(https://aistudio.google.com/apikey); without an account, use `batchkit emulate`"
    )


@pytest.mark.parametrize("key", ["", " \n", None])
def test_an_empty_key_is_a_missing_key(environment: pytest.MonkeyPatch, key: str | None) -> None:
    environment.setenv("GEMINI_API_KEY", "\n")
    with pytest.raises(CredentialsError, match="no API key"):
        bk.Gemini(key)


@pytest.mark.parametrize("name", ["GOOGLE_API_KEY", "GEMINI_API_KEY"])
def test_the_key_comes_from_either_variable(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "from-the-environment")
    assert key_sent() == "from-the-environment"


def test_an_argument_comes_before_the_environment(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GOOGLE_API_KEY", "from-the-environment")
    assert key_sent(api_key="from-the-argument") == "from-the-argument"


def test_of_two_keys_googles_is_used_and_a_warning_says_so(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    environment.setenv("GEMINI_API_KEY", "secret-one")
    environment.setenv("GOOGLE_API_KEY", "secret-two")
    assert key_sent() == "secret-two"
    said = [record.getMessage() for record in caplog.records if record.name == "batchkit"]
    assert said == ["GOOGLE_API_KEY and GEMINI_API_KEY are both set: using GOOGLE_API_KEY"]


@pytest.mark.parametrize("other", ["same-key", ""])
def test_an_equal_or_an_empty_second_key_is_no_cause_to_warn(
    environment: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, other: str
) -> None:
    environment.setenv("GOOGLE_API_KEY", other)
    environment.setenv("GEMINI_API_KEY", "same-key")
    assert key_sent() == "same-key"
    assert [record for record in caplog.records if record.name == "batchkit"] == []


@pytest.mark.parametrize("text", ["the-key\n", " the-key", "the-key\r\n"])
def test_white_space_around_a_key_is_not_part_of_it(
    environment: pytest.MonkeyPatch, text: str
) -> None:
    environment.setenv("GEMINI_API_KEY", text)
    assert key_sent() == "the-key"
    assert key_sent(api_key=text) == "the-key"


@pytest.mark.parametrize("key", ["two\nlines", "ключ", "with space"])
def test_a_key_that_cannot_be_one_is_refused_without_being_shown(key: str) -> None:
    with pytest.raises(CredentialsError) as caught:
        bk.Gemini(key, base_url="http://127.0.0.1:1")
    assert str(caught.value).startswith("the API key ")
    assert key not in str(caught.value)


def test_the_base_address_comes_from_the_environment(environment: pytest.MonkeyPatch) -> None:
    with serve() as emulator:
        for name, value in emulator.environment.items():
            environment.setenv(name, value)
        assert repr(bk.Gemini()) == f"Gemini(base_url='{emulator.url}')"
        assert list(bk.Files().list_all()) == []
        assert list(bk.Batches().list_all()) == []


def test_a_base_address_as_an_argument_comes_before_the_environment(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.setenv("GOOGLE_GEMINI_BASE_URL", "https://elsewhere.example")
    assert key_sent(api_key="k") == "k"


def test_without_a_base_address_it_is_googles() -> None:
    assert repr(bk.Gemini("k")) == "Gemini(base_url='https://generativelanguage.googleapis.com')"


@pytest.mark.parametrize(
    "url",
    [
        "https://gemini.example",
        "https://gemini.example:8443/proxy/",
        "http://localhost:8080",
        "http://LOCALHOST",
        "http://127.0.0.1:1",
        "http://127.8.9.10",
        "http://[::1]:8080",
    ],
)
def test_https_and_this_machine_are_spoken_to(url: str) -> None:
    assert connect("k", base_url=url).transport.base_url == url.rstrip("/")


@pytest.mark.parametrize(
    "url",
    [
        "http://gemini.example",
        "http://10.0.0.1",
        "http://localhost.evil.example",
        "http://127.0.0.1.evil.example",
        "http://[2001:db8::1]",
        "ftp://localhost",
        "localhost:8080",
        "generativelanguage.googleapis.com",
        "https://",
        "//localhost",
        "http://[",
        "http://127.0.0.1:99999",
        "https://gemini.example:port",
    ],
)
def test_a_key_does_not_travel_in_the_clear(url: str) -> None:
    with pytest.raises(SetupError) as caught:
        connect("k", base_url=url)
    assert str(caught.value) == f"{url!r}: an address is https://…, or http:// on this machine"


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1@evil.example",
        "https://user:hunter2@host.example",
        "https://host.example/v1?key=hunter2",
        "https://host.example/#hunter2",
    ],
)
def test_an_address_that_may_hold_a_secret_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SetupError, match="no user, password or query") as caught:
        connect("k", base_url=url)
    assert "hunter2" not in str(caught.value)
    assert "evil" not in str(caught.value)


def test_a_proxy_is_not_used_for_this_machine(environment: pytest.MonkeyPatch) -> None:
    with scripted(Said(502)) as proxy, serve() as emulator:
        for name in ("HTTP_PROXY", "http_proxy"):
            environment.setenv(name, proxy.url)
        client = bk.Gemini(
            emulator.api_key, base_url=emulator.url, retries=bk.Retries(total_seconds=0)
        )
        assert client.files.upload(b"x").bytes == 1
        assert proxy.asked == []


@pytest.mark.parametrize("name", ["GOOGLE_GENAI_USE_VERTEXAI", "GOOGLE_GENAI_USE_ENTERPRISE"])
@pytest.mark.parametrize("value", ["true", "True", "1"])
def test_an_environment_that_asks_for_vertex_is_heard(
    environment: pytest.MonkeyPatch, name: str, value: str
) -> None:
    environment.setenv("GEMINI_API_KEY", "k")
    environment.setenv(name, value)
    assert wanted_service() == "vertex"
    assert key_sent() == "k"  # bk.Gemini says itself which service it is


def test_the_new_name_of_the_variable_wins(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("GOOGLE_GENAI_USE_VERTEXAI", "true")
    environment.setenv("GOOGLE_GENAI_USE_ENTERPRISE", "false")
    assert wanted_service() == "gemini"


@pytest.mark.parametrize("value", ["false", "0", ""])
def test_an_environment_that_asks_against_vertex_is_left_alone(
    environment: pytest.MonkeyPatch, value: str
) -> None:
    environment.setenv("GEMINI_API_KEY", "k")
    environment.setenv("GOOGLE_GENAI_USE_VERTEXAI", value)
    assert wanted_service() == "gemini"
    assert key_sent() == "k"


def test_the_version_of_the_api_is_in_every_path() -> None:
    with scripted(Said()) as server:
        for version in ("v1beta", "v1"):
            client = server.client(api_version=version)
            client.batches.list()
            client.files.list()
        assert [asked.path for asked in server.asked] == [
            "/v1beta/batches",
            "/v1beta/files",
            "/v1/batches",
            "/v1/files",
        ]


def test_a_connection_does_not_show_its_key(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG), scripted(Said()) as server:
        connection = connect("secret-key", base_url=server.url)
        client = bk.Gemini("secret-key", base_url=server.url)
        client.batches.get("b1")
        said = [repr(each) for each in (connection, connection.transport, client)]
        said += [str(connection), repr(client.batches), repr(client.files), caplog.text]
    assert caplog.text
    assert not any("secret-key" in text for text in said)


def test_accounts_are_told_apart_by_host_and_key() -> None:
    accounts = {
        bk.Gemini("one", base_url="http://127.0.0.1:1").account,
        bk.Gemini("two", base_url="http://127.0.0.1:1").account,
        bk.Gemini("one").account,
    }
    assert len(accounts) == 3


def test_an_emulator_on_another_port_is_the_same_account() -> None:
    one, other = (bk.Gemini("k", base_url=f"http://127.0.0.1:{port}") for port in (1, 2))
    assert one.account == other.account


def test_a_wrong_key_is_the_callers_to_fix() -> None:
    with (
        serve() as emulator,
        pytest.raises(bk.errors.NotAuthorisedError, match="API_KEY_INVALID: API key not valid"),
    ):
        bk.Gemini("not-the-key", base_url=emulator.url).batches.get("b1")


@pytest.fixture
def adc(environment: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Application Default Credentials, which no stand-in asks for."""
    path = tmp_path / "credentials.json"
    parts = {"client_id": "c", "client_secret": "s", "refresh_token": "t"}
    path.write_text(json.dumps({"type": "authorized_user", **parts}))
    environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(path))
    environment.delenv("GOOGLE_CLOUD_PROJECT", raising=False)


@pytest.mark.usefixtures("adc")
def test_the_project_is_that_of_the_argument_before_the_environments(
    environment: pytest.MonkeyPatch,
) -> None:
    with pytest.raises(SetupError, match="no Google Cloud project: pass project="):
        connect_cloud()
    environment.setenv("GOOGLE_CLOUD_PROJECT", "from-the-environment")
    assert connect_cloud().project == "from-the-environment"
    assert connect_cloud("from-the-argument").project == "from-the-argument"


@pytest.mark.parametrize("project", ["My Project", "UPPER", "a/b", "-x"])
def test_a_projects_id_is_asked_for(project: str) -> None:
    with pytest.raises(SetupError, match="give the project's id"):
        connect_cloud(project, credentials=AnonymousCredentials())


def test_credentials_that_are_not_there_are_said(
    environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    environment.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "none.json"))
    with pytest.raises(CredentialsError, match="gcloud auth application-default login"):
        connect_cloud("p")


def test_a_project_does_not_show_its_credentials() -> None:
    cloud = connect_cloud("project-1", credentials="secret")
    assert repr(cloud) == "Cloud(project='project-1')"


@pytest.mark.usefixtures("adc")
def test_objects_are_those_of_the_emulator_that_the_environment_names(
    environment: pytest.MonkeyPatch,
) -> None:
    with serve(buckets=["a-bucket"]) as emulator:
        environment.setenv("STORAGE_EMULATOR_HOST", emulator.url)
        connect_cloud("project-1").objects.check_folder(ObjectUri("a-bucket"))


@pytest.mark.usefixtures("adc")
def test_tables_are_those_of_the_stand_in_that_the_environment_names(
    environment: pytest.MonkeyPatch,
) -> None:
    reference = {"projectId": "p", "datasetId": "d"}
    with scripted(Said(body={"location": "EU", "datasetReference": reference})) as server:
        environment.setenv("BIGQUERY_EMULATOR_HOST", server.url)
        cloud = connect_cloud("project-1")
        assert cloud.warehouse.location(TableName("p", "d")) == "eu"
        assert "authorization" not in server.asked[0].headers
