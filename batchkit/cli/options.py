"""Options that several commands share, and the spec that they describe."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

import batchkit as bk
from batchkit import jsonl

if TYPE_CHECKING:
    from collections.abc import Callable

    from batchkit.specs.spec import Spec

__all__ = ["build_options", "json_option", "limits_of", "spec_of"]

_TEXT = "A text, or @FILE."
_JSON = "JSON text, or @FILE."


_BUILD_OPTIONS = (
    click.option("--model", required=True, help="Such as gemini-3.8-flash, gemini-embedding-001."),
    click.option("--prompt", help=f"Template of the prompt: 'Summarise: {{text}}'. {_TEXT}"),
    click.option("--embed", "text", help=f"Template of the text to embed: '{{text}}'. {_TEXT}"),
    click.option("--system", help=f"System instruction. {_TEXT}"),
    click.option("--config", help=f"The API's generationConfig. {_JSON}"),
    click.option("--schema", help=f"JSON Schema that answers are to fit. {_JSON}"),
    click.option("--title", help="Template of the title of an embedded document."),
    click.option("--task-type", help="Such as RETRIEVAL_DOCUMENT."),
    click.option("--dimensions", type=int, help="Length of the vectors."),
    click.option("--key", multiple=True, help="Column that names rows; may be repeated."),
    click.option("--into", help="Run directory; a new one below ./runs when left out."),
    click.option("--target", type=click.Choice(["inline", "file"]), help="Chosen when left out."),
    click.option("--carry", multiple=True, help="Column to copy into the run; may be repeated."),
    click.option("--reject-bad-keys", is_flag=True, help="Do not stop at them; reject the rows."),
    click.option("--limit", multiple=True, help="Such as max_rows=1000; may be repeated."),
    click.option("--prefix", default="", help="Goes before the names of the result's columns."),
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


def spec_of(options: dict[str, Any]) -> tuple[Spec | None, str | None]:
    """The spec that the options describe, taken out of them; or no spec, and the model."""
    model, prompt, text = (options.pop(name) for name in ("model", "prompt", "text"))
    generating = {name: options.pop(name) for name in ("system", "config", "schema")}
    embedding = {name: options.pop(name) for name in ("title", "task_type", "dimensions")}
    if prompt and text:
        message = "--prompt generates and --embed embeds: give one of them"
        raise click.UsageError(message)
    _refuse(generating, "--prompt", is_wrong=not prompt)
    _refuse(embedding, "--embed", is_wrong=not text)
    if prompt:
        system = _text(generating["system"])
        config, schema = _json(generating["config"]), _json(generating["schema"])
        spec = bk.generate(model, _text(prompt) or "", system=system, config=config, schema=schema)
        return spec, None
    if text:
        return bk.embed(model, _text(text) or "", **embedding), None
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
            limits[name] = float(number) if "." in number else int(number)
        except ValueError:
            message = f"--limit {text}: write it as name=number"
            raise click.UsageError(message) from None
    return limits


def _text(value: str | None) -> str | None:
    """The option's own text, or that of the file it names with `@`."""
    if value is None or not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8").rstrip("\n")
    except OSError as error:
        message = f"{value[1:]}: {error.strerror}"
        raise click.UsageError(message) from error


def _json(value: str | None) -> Any:
    if value is None:
        return None
    try:
        return jsonl.loads(_text(value) or "")
    except ValueError as error:
        message = f"{value[:40]!r} is not JSON: {error}"
        raise click.UsageError(message) from error
