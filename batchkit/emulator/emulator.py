"""An emulator: all services on one port, started and stopped together."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from batchkit.emulator.answering import Answerer, Answering
from batchkit.emulator.batch_work import BatchWork
from batchkit.emulator.batches import Batches
from batchkit.emulator.blobs import Blobs
from batchkit.emulator.clock import Clock
from batchkit.emulator.control import Control
from batchkit.emulator.echo import echo
from batchkit.emulator.fate import Fate
from batchkit.emulator.files import Files
from batchkit.emulator.interactive import Interactive
from batchkit.emulator.interference import Interference
from batchkit.emulator.jobs import Jobs
from batchkit.emulator.life import Life
from batchkit.emulator.limits import Limits
from batchkit.emulator.models import Models
from batchkit.emulator.routes import Route, Router
from batchkit.emulator.server import Server
from batchkit.emulator.state import State
from batchkit.emulator.storage import Access, Storage
from batchkit.emulator.uploads import Uploads
from batchkit.emulator.vertex import PROJECT, Accounts, Answers, Quirks, Vertex
from batchkit.emulator.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import TracebackType

    from batchkit.emulator.bigquery import BigQuery
    from batchkit.emulator.faults import Fault

    Effect = Callable[[str, str], None]

__all__ = ["Emulator", "serve"]


@dataclass(frozen=True, slots=True)
class _Options:
    """How an emulator behaves; `serve` says what each means."""

    host: str
    port: int
    folder: str | Path | None
    seed: int
    clock: Clock
    job_seconds: float
    pending_seconds: float
    api_key: str
    answerer: Answerer
    limits: Limits
    models: tuple[str, ...]
    buckets: tuple[str, ...]
    quirks: Quirks
    faults: tuple[Fault, ...]
    on_effect: Effect


class Emulator:
    """A running emulator; leaving its `with` block, or `close`, stops it.

    `url` is where it answers, `api_key` what it wants to hear, `clock` the time it goes by,
    `folder` where it keeps everything, `project` and `location` what Vertex AI is asked with.
    """

    def __init__(self, options: _Options) -> None:
        self.api_key: str = options.api_key
        self.clock: Clock = options.clock
        self.project: str = PROJECT
        self.location: str = "us-central1"
        with contextlib.ExitStack() as opened:
            folder = options.folder or opened.enter_context(tempfile.TemporaryDirectory())
            self.folder: Path = Path(folder)
            blobs = Blobs(self.folder / "blobs")  # makes the folder, too
            state = State(self.folder / "state.sqlite", self.clock, options.seed)
            opened.callback(state.close)
            server = Server(options.host, options.port)
            opened.callback(server.close)
            self.url: str = server.url
            workspace = Workspace(
                state=state,
                blobs=blobs,
                clock=self.clock,
                limits=options.limits,
                url=server.url,
                seed=options.seed,
                effect=options.on_effect,
                fate=Fate(state, options.faults),
            )
            self._fate = workspace.fate
            self._services = _services(workspace, options)
            opened.callback(self._services.vertex.tables.close)
            self._accounts = Accounts(workspace, self.folder / "credentials.json")
            routes = self._services.routes(self._accounts)
            server.start(Interference(self._fate, Router(routes, options.api_key)))
            self._opened = opened.pop_all()

    @property
    def storage(self) -> Access:
        """The objects of its Cloud Storage, by gs:// URIs, without a client."""
        return self._services.storage.access

    @property
    def credentials_file(self) -> Path:
        """A service account's file, for Google's libraries: throw-away, and good only here."""
        return self._accounts.file()

    def use_bigquery(self, place: BigQuery | Mapping[str, str]) -> None:
        """Have Vertex AI's jobs read and write bq:// there, in a BigQuery or by its variables."""
        named = place if isinstance(place, Mapping) else place.environment
        self._services.vertex.tables.use(named)

    @property
    def environment(self) -> dict[str, str]:
        """Variables that point Google's clients here, and away from anywhere else.

        The empty and false ones undo what the surroundings may say: google-genai prefers
        GOOGLE_API_KEY, and goes to Vertex AI when told to; gcsfs asks every bucket over gRPC, and
        past the emulator, whether it is of an experimental kind.
        """
        return {
            "GOOGLE_GEMINI_BASE_URL": self.url,
            "GEMINI_API_KEY": self.api_key,
            "GOOGLE_API_KEY": "",
            "GOOGLE_GENAI_USE_VERTEXAI": "false",
            "GOOGLE_GENAI_USE_ENTERPRISE": "false",
            "STORAGE_EMULATOR_HOST": self.url,
            "CLOUD_STORAGE_EMULATOR_ENDPOINT": self.url,  # of the C++ client, which pyarrow has
            "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
            "GOOGLE_APPLICATION_CREDENTIALS": str(self.credentials_file.absolute()),
            "GOOGLE_VERTEX_BASE_URL": self.url,
            "GOOGLE_CLOUD_PROJECT": self.project,
            "GOOGLE_CLOUD_LOCATION": self.location,
        }

    def inject(self, *faults: Fault) -> None:
        """Have these befall calls and jobs from now on, beside and after those there are.

        A job keeps what befalls it when it is created, also after `heal`. How often each kind
        has struck is in `stats()["faults"]`.
        """
        self._fate.inject(*faults)

    def heal(self) -> None:
        """Have nothing befall the calls and jobs that come."""
        self._fate.heal()

    def stats(self) -> dict[str, Any]:
        """What `GET /_emulator/stats` says: jobs by state, files, objects, calls, requests."""
        return self._services.control.stats()

    def close(self) -> None:
        """Stop answering and cut open connections; a temporary folder is deleted."""
        self._opened.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def serve(  # noqa: PLR0913 - one call, each option a keyword with a default
    port: int = 0,
    *,
    host: str = "127.0.0.1",
    folder: str | Path | None = None,
    seed: int = 0,
    clock: Clock | None = None,
    job_seconds: float = 0.0,
    pending_seconds: float = 0.0,
    api_key: str = "emulator-key",
    answerer: Answerer | None = None,
    limits: Limits | None = None,
    models: Iterable[str] = (),
    buckets: Iterable[str] = (),
    quirks: Quirks | None = None,
    bigquery: BigQuery | Mapping[str, str] | None = None,
    faults: Iterable[Fault] = (),
    on_effect: Effect | None = None,
) -> Emulator:
    """Start an emulator of the Gemini APIs and Cloud Storage in a thread of this process.

    Port 0 is any free port. With a `folder` all that was acknowledged is there after a restart;
    BlockingIOError when another emulator has it open.
    `seed` decides identifiers and order. A job waits `pending_seconds`, then runs `job_seconds`.
    `models` are known beside the current ones; a name with "embed" in it makes embeddings.
    `buckets` are made where they do not exist, in the US. `quirks` are how Vertex AI behaves where
    accounts differ; `bigquery`, or its variables, is what its jobs read and write by bq://.
    `faults` are what goes wrong from the start on; see `Emulator.inject`.
    `on_effect` hears a kind ("batch.created", …) and a name once a change is on disk and before
    its reply is sent; when it raises ConnectionError the connection is cut instead.
    """
    options = _Options(
        host=host,
        port=port,
        folder=folder,
        seed=seed,
        clock=clock or Clock(),
        job_seconds=job_seconds,
        pending_seconds=pending_seconds,
        api_key=api_key,
        answerer=answerer or echo,
        limits=limits or Limits(),
        models=tuple(models),
        buckets=tuple(buckets),
        quirks=quirks or Quirks(),
        faults=tuple(faults),
        on_effect=on_effect or _unheard,
    )
    emulator = Emulator(options)
    if bigquery is not None:
        emulator.use_bigquery(bigquery)
    return emulator


def _unheard(_kind: str, _name: str) -> None:
    """Nobody asked to be told of effects."""


@dataclass(frozen=True, slots=True)
class _Services:
    """The services on one workspace: what answers, in the order in which it is asked."""

    first: tuple[Route, ...]
    vertex: Vertex
    control: Control
    storage: Storage

    def routes(self, accounts: Accounts) -> tuple[Route, ...]:
        return (
            *self.first,
            *accounts.routes(),
            *self.vertex.routes(accounts),
            *self.control.routes(),
            *self.storage.routes(),
        )


def _services(workspace: Workspace, options: _Options) -> _Services:
    seconds = {"pending_seconds": options.pending_seconds, "job_seconds": options.job_seconds}
    files = Files(workspace)
    uploads = Uploads(workspace, files)
    models = Models(options.models)
    answering = Answering(options.answerer, files.find_uri)
    life = Life(workspace, Jobs(workspace.state), BatchWork(workspace, files, answering))
    batches = Batches(workspace, life, files, models, **seconds)
    interactive = Interactive(workspace, models, answering)
    storage = Storage(workspace, options.buckets)
    answers = Answers(options.answerer, options.quirks)
    vertex = Vertex(workspace, models, answers, storage.access, **seconds)
    lives = {"BATCH_STATE_": life, "JOB_STATE_": vertex.life}
    control = Control(workspace, lives, files=files, interactive=interactive, storage=storage)
    # What a killed process left half done belongs to nobody.
    needed = {*files.blobs(), *uploads.blobs(), *storage.blobs()}
    for each in lives.values():
        needed |= {*each.blobs()}
    workspace.blobs.delete(*(name for name in workspace.blobs.names() if name not in needed))
    first = (
        *uploads.routes(),
        *files.routes(life.settle),
        *batches.routes(),
        *interactive.routes(),
        *models.routes(),
    )
    return _Services(first, vertex, control, storage)
