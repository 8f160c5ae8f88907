"""Options that several commands share, and the spec that they describe."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import batchkit as bk
from batchkit import jsonl
from batchkit.cli.places import Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchkit.specs.spec import Spec

    _Choice = click.Choice[str]
else:
    _Choice = click.Choice  # older ones take no type

__all__ = [
    "SECONDS",
    "build_options",
    "json_option",
    "limits_of",
    "poll_option",
    "settle_option",
    "spec_of",
    "target_option",
]

# Options of `batchkit.generate` and `batchkit.embed` that are JSON, and those that are text.
_JSON_OPTIONS = ("config", "schema", "safety", "tools", "tool_config")
_GENERATE_OPTIONS = ("system", *_JSON_OPTIONS, "cached_content")
_EMBED_OPTIONS = ("title", "task_type", "dimensions")
# Tables that hold rows, and so no requests that are ready.
_ROWS_ONLY = (".parquet", ".csv")
_ROWS_AT = ("bq://", "gs://")


class _Seconds(click.FloatRange):
    """A time that can be slept: a number that is neither negative, infinite nor none."""

    name = "seconds"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        seconds: float = super().convert(value, param, ctx)
        if not math.isfinite(seconds):
            self.fail(f"{value} is no time.", param, ctx)
        return seconds


class _Way(_Choice):
    """A target's name, or an address on Vertex AI."""

    def __init__(self) -> None:
        super().__init__(["inline", "file"])

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if str(value).startswith(_ROWS_AT):
            return str(value)
        return super().convert(value, param, ctx)

    def get_metavar(self, param: click.Parameter, ctx: click.Context | None = None) -> str:  # noqa: ARG002  # click's
        return "[inline|file|gs://bucket/folder|bq://project.dataset]"


SECONDS = _Seconds(min=0)


def _text(name: str, help_text: str) -> Callable[..., Any]:
    return click.option(name, metavar="TEXT|@FILE", help=help_text)


def _json(name: str, help_text: str) -> Callable[..., Any]:
    return click.option(name, metavar="JSON|@FILE", help=help_text)


def _columns(name: str, help_text: str) -> Callable[..., Any]:
    return click.option(name, multiple=True, metavar="COLUMN", help=f"{help_text} May be repeated.")


target_option: Callable[..., Any] = click.option(
    "--target",
    type=_Way(),
    help="How requests travel; inline or file, whichever fits, if absent.",
)
poll_option: Callable[..., Any] = click.option(
    "--poll-seconds",
    type=_Seconds(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Longest time between looks.",
)
settle_option: Callable[..., Any] = click.option(
    "--settle-seconds",
    type=SECONDS,
    default=60.0,
    show_default=True,
    help="How long lists of jobs may lag.",
)
_BUILD_OPTIONS = (
    click.option(
        "--model",
        required=True,
        metavar="NAME",
        help="Such as gemini-3.8-flash, gemini-embedding-001.",
    ),
    _text("--prompt", "Template of the prompt: 'Summarise: {text}'."),
    click.option(
        "--embed",
        "text",
        metavar="TEXT|@FILE",
        help="Template of the text to embed: '{text}'.",
    ),
    _text("--system", "System instruction."),
    _json("--config", "The API's generationConfig."),
    _json("--schema", "JSON Schema that answers are to fit."),
    _json("--safety", "Thresholds by category, or the API's safetySettings."),
    _json("--tools", "The API's tools."),
    _json("--tool-config", "The API's toolConfig."),
    click.option("--cached-content", metavar="NAME", help="Such as cachedContents/abc123."),
    _text("--title", "Template of the title of an embedded document."),
    click.option("--task-type", metavar="TYPE", help="Such as RETRIEVAL_DOCUMENT."),
    click.option(
        "--dimensions", type=click.IntRange(min=1), metavar="N", help="Length of the vectors."
    ),
    _columns("--key", "Column that names rows; row numbers if absent."),
    click.option(
        "--into",
        type=Place(file_okay=False),
        help="Run directory; a new one below ./runs if absent.",
    ),
    target_option,
    click.option(
        "--output", metavar="ADDRESS", help="Another gs:// folder for a Vertex AI job to write to."
    ),
    click.option(
        "--labels/--no-labels",
        default=True,
        show_default=True,
        help="Whether requests on Vertex AI carry a label of ours.",
    ),
    _columns("--carry", "Column of a Parquet table to copy into the run."),
    click.option(
        "--on-bad-key",
        type=click.Choice(["raise", "reject"]),
        default="raise",
        show_default=True,
        help="Whether null and repeated keys stop the build, or their rows are rejected.",
    ),
    click.option(
        "--limit",
        multiple=True,
        metavar="NAME=NUMBER",
        help="What a shard may hold: max_rows=1000. May be repeated.",
    ),
    click.option("--prefix", default="", help="Goes before the names of the result's columns."),
    click.option(
        "--flatten/--no-flatten",
        default=True,
        show_default=True,
        help="A column for each field of the schema, or one column `answer`.",
    ),
    click.option(
        "--pushdown",
        is_flag=True,
        help="Requests of a bq:// table are made, and answers joined, by SQL: no row comes here.",
    ),
    click.option("--provenance", is_flag=True, help="Add job, shard, attempt and request hash."),
    click.option("--raw", is_flag=True, help="Add the untouched response."),
)


def json_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """Put `--json` on a command."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")(command)


def build_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Put the options that describe a run on a command."""
    for option in reversed(_BUILD_OPTIONS):
        command = option(command)
    return command


def spec_of(table: str, options: dict[str, Any]) -> tuple[Spec | None, str | None]:
    """The spec that the options describe, taken out of them; or no spec, and the model."""
    model, prompt, text = (options.pop(name) for name in ("model", "prompt", "text"))
    generating = {name: options.pop(name) for name in _GENERATE_OPTIONS}
    embedding = {name: options.pop(name) for name in _EMBED_OPTIONS}
    if prompt is not None and text is not None:
        message = "--prompt generates and --embed embeds: give one of them"
        raise click.UsageError(message)
    _refuse(generating, "--prompt", is_wrong=prompt is None)
    _refuse(embedding, "--embed", is_wrong=text is None)
    if prompt is not None:
        for name in _JSON_OPTIONS:
            generating[name] = _json_of(name, generating[name])
        generating["system"] = _text_of("system", generating["system"])
        return bk.generate(model, _text_of("prompt", prompt) or "", **generating), None
    if text is not None:
        embedding["title"] = _text_of("title", embedding["title"])
        return bk.embed(model, _text_of("embed", text) or "", **embedding), None
    if table.lower().endswith(_ROWS_ONLY) or table.startswith(_ROWS_AT):
        message = f"{table} holds rows: say what to ask of each with --prompt or --embed"
        raise click.UsageError(message)
    return None, model


def _refuse(options: dict[str, Any], belongs_to: str, *, is_wrong: bool) -> None:
    given = [name for name, value in options.items() if value is not None]
    if is_wrong and given:
        message = f"--{given[0].replace('_', '-')} goes with {belongs_to}"
        raise click.UsageError(message)


def limits_of(given: tuple[str, ...]) -> dict[str, float]:
    """`name=number` options as a mapping."""
    limits: dict[str, float] = {}
    for text in given:
        name, _, number = text.partition("=")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not name or not math.isfinite(value):
            message = f"--limit {text}: write it as name=number"
            raise click.UsageError(message)
        limits[name] = int(value) if value.is_integer() else value
    return limits


def _text_of(name: str, value: str | None) -> str | None:
    """The option's own text, or that of the file it names with `@`; `@@` is a text's own `@`."""
    if value is None or not value.startswith("@"):
        return value
    if value.startswith("@@"):
        return value[1:]
    option, path = f"--{name.replace('_', '-')}", value[1:]
    try:
        return Path(path).read_text(encoding="utf-8-sig").rstrip("\n")
    except OSError as error:
        message = f"{option} {value}: {error.strerror}"
    except UnicodeDecodeError as error:
        message = f"{option} {value}: not UTF-8 text, at byte {error.start}"
    raise click.UsageError(message)


def _json_of(name: str, value: str | None) -> Any:
    text = _text_of(name, value)
    if text is None:
        return None
    try:
        return jsonl.loads(text)
    except ValueError as error:
        shown = value if value and value.startswith("@") else repr(text[:40])
        message = f"--{name.replace('_', '-')} {shown} is not JSON: {error}"
        raise click.UsageError(message) from error
