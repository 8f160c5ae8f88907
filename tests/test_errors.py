from __future__ import annotations

import copy
import dataclasses
import pickle
import re
from pathlib import Path
from typing import Any

import pytest

from batchkit import errors
from batchkit.key import BadKey
from batchkit.service.job import BatchJob, JobState
from batchkit.validity import Problem

CLASSES = {name: getattr(errors, name) for name in errors.__all__}
JOB = BatchJob("batches/1", JobState.RUNNING, content={"name": "batches/1"})
PROBLEM = Problem("error", "no-key", "$.key", "missing", "give one", 3, "a")
# One value for each field that an error may have.
VALUES: dict[str, Any] = {
    "message": "what happened",
    "column": "price",
    "bad_keys": [BadKey(3, "a", "repeats the key of row 1")],
    "template": "{price}",
    "problems": [PROBLEM],
    "path": Path("runs/reviews"),
    "changes": {"key": (("a",), ("b",))},
    "holder": "pid 7 on host",
    "status": 429,
    "reason": "RESOURCE_EXHAUSTED",
    "details": ({"@type": "x", "retryDelay": "3s"},),
    "operation": "create the job",
    "remedy": "do this",
    "retry_after": 3.5,
    "job": JOB,
}


def made(kind: Any) -> Any:
    """An error of this class with a value in each of its fields."""
    return kind(**{field.name: VALUES[field.name] for field in dataclasses.fields(kind)})


RAISED = [kind for kind in CLASSES.values() if dataclasses.is_dataclass(kind)]


def test_the_tree_in_the_docstring_is_the_tree_of_the_classes() -> None:
    drawn: dict[str, str] = {}
    branch: list[str] = []
    for line in (errors.__doc__ or "").split("\n"):
        found = re.match(r"([│├└─ ]*)(\w+Error)\b", line)
        if found:
            depth = len(found[1]) // 4
            branch = [*branch[:depth], found[2]]
            drawn[found[2]] = branch[-2] if depth else "Exception"
    assert drawn.keys() == CLASSES.keys()
    for name, parent in drawn.items():
        bases = [base.__name__ for base in CLASSES[name].__mro__[1:]]
        assert next(base for base in bases if not base.startswith("_")) == parent, name


def test_the_drawn_tree_says_what_to_do_for_each_class() -> None:
    lines = [line for line in (errors.__doc__ or "").split("\n") if "Error" in line]
    assert [line for line in lines if not re.search(r"Error\s{2,}\w|^BatchkitError$", line)] == []


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_an_error_survives_pickling_and_copying_with_all_its_fields(kind: Any) -> None:
    error = made(kind)
    error.add_note("while building row 3")
    for again in (pickle.loads(pickle.dumps(error)), copy.copy(error), copy.deepcopy(error)):  # noqa: S301
        assert type(again) is kind
        assert str(again) == str(error)
        assert again.args == error.args
        assert again.__notes__ == ["while building row 3"]
        for field in dataclasses.fields(kind):
            assert getattr(again, field.name) == VALUES[field.name], field.name


def test_an_error_of_no_kind_of_its_own_survives_pickling_too() -> None:
    again = pickle.loads(pickle.dumps(errors.BatchkitError("what happened")))  # noqa: S301
    assert (type(again), str(again)) == (errors.BatchkitError, "what happened")


@pytest.mark.parametrize("kind", RAISED, ids=lambda kind: kind.__name__)
def test_an_error_says_its_message(kind: Any) -> None:
    assert "what happened" in str(made(kind))


def test_errors_say_where_and_how_many() -> None:
    many = [dataclasses.replace(PROBLEM, line=n) for n in range(25)]
    said = str(errors.BadRequestError("refused", many)).split("\n")
    assert said[1] == "  line 0, key 'a', $.key: missing; give one"
    assert (len(said), said[-1]) == (22, "  … and 5 more")
    keys = [BadKey(n, None, "the key is null") for n in range(25)]
    said = str(errors.BadKeysError("25 rows have no key", keys)).split("\n")
    assert said[1] == "  row 0, key None: the key is null"
    assert len(said) == 21
    changed = errors.RunChangedError("another run", {"key": ("id", "name")})
    assert str(changed) == "another run\n  key: the run has 'id', now 'name'"


@pytest.mark.parametrize(
    "kind, status, message, said",
    [
        (errors.ServiceError, 418, "teapot", "418 REASON: teapot"),
        (errors.InvalidRequestError, 400, "no such field", "`batchkit check` names the line"),
        (errors.InvalidRequestError, 400, "File files/x not found", "upload it again"),
        (errors.InvalidRequestError, 400, "the file has expired", "upload it again"),
        (errors.InvalidRequestError, 400, "model not found", "`batchkit check` names the line"),
        (errors.NotAuthorisedError, 403, "no", "check the API key or the account's permissions"),
        (errors.NotFoundError, 404, "no", "check the name, the API version and the location"),
        (errors.TooLargeError, 413, "no", "send it as a file (target='file')"),
        (errors.RateLimitedError, 429, "no", "batch quotas free up as jobs end"),
        (errors.ServiceFailureError, 503, "no", "run the same command again"),
        (errors.ServiceFailureError, 0, "no answer", "get the job: REASON: no answer"),
    ],
)
def test_an_error_of_the_service_says_what_where_and_what_to_do(
    kind: Any, status: int, message: str, said: str
) -> None:
    error = kind(status, "REASON", message, (), "get the job")
    assert str(error).startswith("get the job: ")
    assert said in str(error)


def test_a_remedy_of_its_own_comes_before_the_usual_one() -> None:
    error = errors.NotAuthorisedError(403, "R", "no", (), "x.y", remedy="ask for the role")
    assert str(error) == "x.y: 403 R: no\n  ask for the role"
    error = errors.InvalidRequestError(400, "R", "no such field", (), "x.y", remedy="")
    assert str(error) == "x.y: 400 R: no such field"


def test_a_wait_that_the_service_asks_for_is_said() -> None:
    error = errors.RateLimitedError(429, "R", "no", (), "create the job", 34.4)
    assert str(error).endswith("\n  the service asks to wait 34.4 s")


@pytest.mark.parametrize(
    "secret",
    [
        "AIzaSyA1234567890abcdefghijklmnopqrstuv",
        "AQ.Ab8RN6Ixyz0123456789",
        "ya29.a0AfH6SMBx-y_z.1234567890",
    ],
)
def test_no_key_or_token_gets_into_an_error(secret: str) -> None:
    texts = [
        f"Permission denied: Consumer 'api_key:{secret}' has been suspended.",
        f"https://generativelanguage.googleapis.com/v1beta/models?key={secret}&alt=json",
        f"Authorization: Bearer {secret}",
        f"the key {secret}, which",
    ]
    for text in texts:
        details = [{"metadata": {"consumer": text, "all": [text, 5]}}]
        error = errors.NotAuthorisedError(403, "CONSUMER_SUSPENDED", text, details)
        for told in (str(error), repr(error), repr(error.details)):
            assert secret not in told
            assert "…" in told


def test_the_address_of_an_upload_is_a_secret() -> None:
    address = "https://host/upload/v1beta/files?upload_id=ABC-def_123&upload_protocol=resumable"
    error = errors.ServiceFailureError(500, "INTERNAL", f"cannot reach {address}", ())
    assert "ABC-def_123" not in str(error)
    assert "upload_protocol=resumable" in str(error)


def test_what_is_no_secret_is_left_alone() -> None:
    text = "API key not valid. Please pass a valid API key. Quota 'GenerateContent' key=value"
    detail = {"reason": "API_KEY_INVALID", "metadata": {"service": "x", "count": 5, "none": None}}
    error = errors.NotAuthorisedError(400, "API_KEY_INVALID", text, [detail])
    assert error.message == text
    assert error.details == (detail,)
