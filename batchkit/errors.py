"""Everything that can go wrong, branched by what the reader does next.

BatchkitError
├── RowsError                  fix the rows, the spec or the request file
│   ├── TableError             the table cannot be read, or a column cannot be used
│   ├── BadKeysError           keys that are null, repeated or cannot be written
│   ├── TemplateError          a prompt that names what the table has not
│   └── BadRequestError        a request that the service would refuse
├── SetupError                 fix the setup
│   ├── CredentialsError       no key, no credentials, or the wrong kind
│   ├── CapabilityError        this service, or this version of batchkit, cannot do it
│   ├── RunDirectoryError      the run directory is missing, foreign or damaged
│   ├── RunChangedError        the spec or the table is not what the run was built from
│   ├── RunHeldError           another driver holds the run
│   └── AccountChangedError    the run has requests under way with another account
├── ServiceError               the service said no; `status`, `reason`, `message`, `details` say why
│   ├── InvalidRequestError    400: fix the request
│   ├── NotAuthorisedError     401, 403: fix the key or the permission
│   ├── NotFoundError          404: fix the name
│   ├── TooLargeError          413: send less at once
│   ├── RateLimitedError       429: try again after `retry_after` seconds
│   └── ServiceFailureError    5xx, or no answer at all: try again
└── JobError                   look at the job
    ├── WaitTimeoutError       the job is still running; it was not cancelled
    ├── JobNotFinishedError    its responses are not there yet
    ├── NoOutputError          it ended without output
    └── AmbiguousJobError      which of several is ours cannot be told
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar

from batchkit.secret import without_secrets

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from batchkit.key import BadKey
    from batchkit.service.job import BatchJob
    from batchkit.validity import Problem

__all__ = [
    "AccountChangedError",
    "AmbiguousJobError",
    "BadKeysError",
    "BadRequestError",
    "BatchkitError",
    "CapabilityError",
    "CredentialsError",
    "InvalidRequestError",
    "JobError",
    "JobNotFinishedError",
    "NoOutputError",
    "NotAuthorisedError",
    "NotFoundError",
    "RateLimitedError",
    "RowsError",
    "RunChangedError",
    "RunDirectoryError",
    "RunHeldError",
    "ServiceError",
    "ServiceFailureError",
    "SetupError",
    "TableError",
    "TemplateError",
    "TooLargeError",
    "WaitTimeoutError",
]

_SHOWN = 20


class BatchkitError(Exception):
    """Something batchkit cannot go on from; `str()` says what, where and what to do."""

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle by fields, not by arguments: an engine carries errors between processes."""
        return _blank, (type(self),), {**vars(self), "args": self.args}


def _blank(kind: type[BatchkitError]) -> BatchkitError:
    return kind.__new__(kind)


@dataclass(eq=False)
class _SaidError(BatchkitError):
    """An error that is one message, written where it is raised."""

    message: str

    def __str__(self) -> str:
        return self.message


class RowsError(_SaidError):
    """Fix the rows, the spec or the request file."""


@dataclass(eq=False)
class TableError(RowsError):
    """A table that cannot be read, or a column that cannot be used."""

    column: str | None = None


@dataclass(eq=False)
class BadKeysError(RowsError):
    """Keys that are null, repeated or cannot be written; the first of them are named."""

    bad_keys: Sequence[BadKey] = ()

    def __str__(self) -> str:
        shown = "".join(f"\n  {bad}" for bad in self.bad_keys[:_SHOWN])
        return f"{self.message}{shown}"


@dataclass(eq=False)
class TemplateError(RowsError):
    """A prompt that names a column the table has not, or formats one it cannot."""

    template: str = ""


@dataclass(eq=False)
class BadRequestError(RowsError):
    """Requests that the service would refuse; `problems` says where and why."""

    problems: Sequence[Problem] = ()

    def __str__(self) -> str:
        shown = "".join(f"\n  {problem}" for problem in self.problems[:_SHOWN])
        more = len(self.problems) - _SHOWN
        return f"{self.message}{shown}" + (f"\n  … and {more} more" if more > 0 else "")


class SetupError(_SaidError):
    """Fix the setup: an argument, an environment variable, a folder."""


class CredentialsError(SetupError):
    """No key, no credentials, or the wrong kind for this service."""


class CapabilityError(SetupError):
    """What was asked cannot be done by this service."""


@dataclass(eq=False)
class RunDirectoryError(SetupError):
    """The run directory is missing, is not ours, or is damaged."""

    path: Path | None = None


@dataclass(eq=False)
class RunChangedError(SetupError):
    """The spec, the table or an option is not what this run was built from."""

    changes: Mapping[str, tuple[Any, Any]] = field(default_factory=dict[str, "tuple[Any, Any]"])

    def __str__(self) -> str:
        lines = "".join(
            f"\n  {name}: the run has {was!r}, now {now!r}"
            for name, (was, now) in self.changes.items()
        )
        return f"{self.message}{lines}"


@dataclass(eq=False)
class RunHeldError(SetupError):
    """Another driver holds the run; `holder` says which."""

    holder: str = ""


class AccountChangedError(SetupError):
    """The run has requests under way with another account and could not find its own jobs."""


@dataclass(eq=False)
class ServiceError(BatchkitError):
    """The service, or the way to it, said no.

    `status` is the HTTP code (0 when no answer came), `reason` the service's own word for it
    (`RESOURCE_EXHAUSTED`), `details` the objects of google.rpc.Status as they came, but for keys
    and tokens: the service names them in some messages, and errors end in logs. `remedy` is what
    to do about it, where the kind of error alone does not say.
    """

    status: int
    reason: str
    message: str
    details: Sequence[Mapping[str, Any]] = ()
    operation: str = ""
    remedy: str | None = field(default=None, kw_only=True)
    _usual_remedy: ClassVar[str] = ""

    def __post_init__(self) -> None:
        self.message = without_secrets(self.message)
        self.details = tuple(without_secrets(self.details))

    def __str__(self) -> str:
        where = f"{self.operation}: " if self.operation else ""
        code = f"{self.status} " if self.status else ""
        advice = self._advice() if self.remedy is None else self.remedy
        return f"{where}{code}{self.reason}: {self.message}" + (f"\n  {advice}" if advice else "")

    def _advice(self) -> str:
        """What to do about it, in one line; empty when the message says it all."""
        return self._usual_remedy


class InvalidRequestError(ServiceError):
    """400: the request is not one the service takes."""

    def _advice(self) -> str:
        said = self.message.lower()
        if "file" in said and ("not found" in said or "not exist" in said or "expired" in said):
            return "an uploaded file lives 48 hours: upload it again"
        return "`batchkit check` names the line, key and field of a request file"


class NotAuthorisedError(ServiceError):
    """401 or 403: the key or the account may not do this."""

    _usual_remedy = (
        "check the API key or the account's permissions; "
        "files are visible only to the project that made them, for 48 hours"
    )


class NotFoundError(ServiceError):
    """404: no job, file or model of that name."""

    _usual_remedy = (
        "check the name, the API version and the location; retired models answer 404, too"
    )


class TooLargeError(ServiceError):
    """413, a size the service documents as refused, or no room for another file."""

    _usual_remedy = "send it as a file (target='file'), or in smaller shards (limits=)"


@dataclass(eq=False)
class RateLimitedError(ServiceError):
    """429: the quota is used up; `retry_after` is in seconds, None when the service gave none."""

    retry_after: float | None = None

    def _advice(self) -> str:
        if self.retry_after is not None:
            return f"the service asks to wait {self.retry_after:g} s"
        return "batch quotas free up as jobs end: try again in some minutes"


class ServiceFailureError(ServiceError):
    """5xx, or a connection that broke: the same call may work a little later."""

    _usual_remedy = "nothing is lost: run the same command again"


@dataclass(eq=False)
class JobError(_SaidError):
    """Look at the job: `job` is its last state, where there is one."""

    job: BatchJob | None = None


class WaitTimeoutError(JobError):
    """The time to wait is over; the job goes on and was not cancelled."""


class JobNotFinishedError(JobError):
    """The job has not ended, so its responses are not there yet."""


class NoOutputError(JobError):
    """The job ended without output."""


class AmbiguousJobError(JobError):
    """Several jobs have the name of one shard: none is chosen, and no other is created."""
