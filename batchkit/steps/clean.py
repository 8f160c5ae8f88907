"""Clean: what a run has at the service is deleted, once its answers are here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from batchkit.belongings import Belongings
from batchkit.display.live import shown
from batchkit.errors import AccountChangedError
from batchkit.events import Said
from batchkit.rundir import opened
from batchkit.service.client import client_for

if TYPE_CHECKING:
    from pathlib import Path

    from batchkit.belongings import Belonging
    from batchkit.events import Progress
    from batchkit.rundir import Run
    from batchkit.service.client import Client

__all__ = ["Cleaned", "clean"]


@dataclass(frozen=True, slots=True)
class Cleaned:
    """What was deleted (or, in a dry run, would be), and what stays.

    `kept` is still needed, `refused` the service does not delete; each says why.
    """

    things: tuple[Belonging, ...]
    kept: tuple[Belonging, ...]
    refused: tuple[Belonging, ...]
    dry_run: bool

    @property
    def bytes(self) -> int:
        """Bytes of all things whose size is known."""
        return sum(thing.bytes or 0 for thing in self.things)


def clean(
    run: Run | str | Path,
    *,
    dry_run: bool = True,
    unfetched: bool = False,
    jobs: bool = False,
    client: Client | None = None,
    progress: Progress | None = None,
) -> Cleaned:
    """Delete what the run has made at the service; a dry run, the default, only finds it.

    Uploaded request files and the outputs of jobs, objects below the run's own prefix, the
    run's tables in BigQuery except its results; with `jobs`, the jobs themselves. What the ledger
    does not know and what does not have the run's id in its name is not touched, nor is an object
    that is not what was uploaded or fetched. What is not fetched yet stays, unless `unfetched`;
    of a run with pushdown, so do the answers until the result is written. Stopped anywhere, it can
    be repeated; the run directory stays as it is.
    """
    run = opened(run)
    with shown(progress) as tell, run.hold():
        used = client_for(run.definition.dialect.service, client)
        run.check_account(used.account)
        _check_sender(run, used.account)
        belongings = Belongings(run, used, unfetched=unfetched)
        found = belongings.found(jobs=jobs)
        things = [thing for thing in found if not thing.kept]
        kept = tuple(thing for thing in found if thing.kept)
        treat = belongings.foretold if dry_run else belongings.delete
        things = [treat(thing) for thing in things]
        gone = tuple(thing for thing in things if not thing.kept)
        refused = tuple(thing for thing in things if thing.kept)
        cleaned = Cleaned(gone, kept, refused, dry_run)
        tell(Said(_in_words(cleaned)))
    return cleaned


def _check_sender(run: Run, account: str) -> None:
    """Raise AccountChangedError for an account that nothing of the run was sent with."""
    intents = [attempt.last("intent") for attempt in run.attempts()]
    senders = {intent.content["account"] for intent in intents if intent}
    if senders and run.definition.fingerprint(account) not in senders:
        message = (
            f"{run.folder} was sent with another account: clean it with that one, this account "
            "sees nothing of it"
        )
        raise AccountChangedError(message)


def _in_words(cleaned: Cleaned) -> str:
    stay = len(cleaned.kept) + len(cleaned.refused)
    rest = f"; {stay:,} stay" if stay else ""
    if not cleaned.things:
        return f"there is nothing to delete{rest}"
    size = f" ({cleaned.bytes:,} bytes)" if cleaned.bytes else ""
    if cleaned.dry_run:
        return f"a dry run: {len(cleaned.things):,} would be deleted{size}{rest}"
    return f"{len(cleaned.things):,} deleted{size}{rest}"
