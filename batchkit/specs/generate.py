"""A spec for generation: each row a prompt, the rest of the request the same for all rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

from batchkit import jsonl
from batchkit.errors import SetupError
from batchkit.fields import field_table
from batchkit.rules import check_request
from batchkit.schema import response_schema
from batchkit.specs.bodies import BoundSpec, RowBodies, Skeleton, TextSlot
from batchkit.specs.callback import Callback, as_callback
from batchkit.specs.rest import (
    as_plain,
    as_rest,
    as_schema,
    as_system,
    config_schema,
    model_name,
    split_config,
)
from batchkit.specs.template import Template, bind_template

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from batchkit.specs.callback import RowFunction
    from batchkit.validity import Problem
    from batchkit.wire import Dialect

__all__ = ["Generate", "generate"]

_PATH = "$.request.contents[0].parts[0].text"
_JSON = "application/json"
_SCHEMA_FIELDS = ("responseSchema", "responseJsonSchema", "response_schema", "response_json_schema")


@dataclass(frozen=True, slots=True)
class Generate:
    """What to generate for each row: the model, the prompt, and the constant part of the request.

    `body` holds everything but `contents`, as the REST API writes it.
    """

    model: str
    prompt: Template | Callback
    body: Mapping[str, Any] = field(default_factory=dict[str, Any])
    kind: Literal["generate"] = "generate"

    @property
    def answers(self) -> tuple[str, ...]:
        """The column an answer takes."""
        return ("response",)

    @property
    def answer_schema(self) -> Mapping[str, Any] | None:
        """The responseSchema that answers are to fit, None when they are not JSON."""
        config = self.body.get("generationConfig", {})
        if config.get("responseMimeType", config.get("response_mime_type")) != _JSON:
            return None
        return config.get("responseSchema", config.get("response_schema"))

    def bind(self, schema: pa.Schema, dialect: Dialect) -> BoundSpec:
        """The spec for a table of this schema; TemplateError when they do not fit."""
        if isinstance(self.prompt, Template):
            return Skeleton(self._request(TextSlot(_PATH, bind_template(self.prompt, schema))))
        return RowBodies(
            tuple(schema.names),
            self.prompt.called(),
            self._wrap,
            lambda body: check_request(body, dialect),
        )

    def problems(self, dialect: Dialect) -> list[Problem]:
        """What the service would refuse or is known to get wrong, whatever the row."""
        return list(check_request(self._request("…"), dialect))

    def to_json(self) -> dict[str, Any]:
        """The spec as it stands in `run.json`."""
        prompt = self.prompt
        said = prompt.text if isinstance(prompt, Template) else prompt.to_json()
        return {"kind": self.kind, "model": self.model, "prompt": said, "body": dict(self.body)}

    @classmethod
    def from_json(cls, content: Mapping[str, Any]) -> Generate:
        """The spec that `to_json` wrote; a function comes back by name only."""
        prompt = content["prompt"]
        bound = Callback.from_json(prompt) if jsonl.is_object(prompt) else Template(prompt)
        return cls(content["model"], bound, content["body"])

    def _request(self, text: Any) -> dict[str, Any]:
        return {"contents": [{"role": "user", "parts": [{"text": text}]}], **self.body}

    def _wrap(self, returned: Any) -> dict[str, Any]:
        """A returned text becomes the prompt; of a returned body, its own fields win."""
        if isinstance(returned, str) and returned:
            return self._request(returned)
        if isinstance(returned, Mapping):
            own = as_plain(returned, "the returned body")
            known = field_table("gemini").message("GenerateContentRequest") or {}
            spelled = {known[name].name for name in own if name in known}
            return {**{n: v for n, v in self.body.items() if n not in spelled}, **own}
        said = "an empty text" if returned == "" else f"a {type(returned).__name__}"
        message = f"the function returned {said}, not a text or a request body"
        raise TypeError(message)


def generate(  # noqa: PLR0913  # the options of the API, by keyword
    model: str,
    prompt: str | RowFunction,
    *,
    system: str | Mapping[str, Any] | None = None,
    config: Mapping[str, Any] | Any = None,
    schema: Mapping[str, Any] | Any = None,
    safety: Mapping[str, str] | Sequence[Mapping[str, str]] | None = None,
    tools: Sequence[Any] | None = None,
    tool_config: Any = None,
    cached_content: str | None = None,
    version: str | None = None,
) -> Generate:
    """A spec that asks `model` for a text, or an answer by `schema`, for each row.

    `prompt` is a template (`"Summarise: {text}"`) or a function of a row (a dict) that returns a
    text or a whole REST body; a function needs `version`. `config` is the API's generationConfig,
    or an SDK's config object. `schema` is a JSON Schema, a REST responseSchema or a pydantic model;
    answers that do not fit it are `malformed`. `safety` maps a category to a threshold.
    https://ai.google.dev/api/generate-content
    """
    kept, beside = split_config(config)
    kept = _with_schema(kept, schema, config_schema(config))
    given = {
        "systemInstruction": as_system(system) if system is not None else None,
        "safetySettings": _safety_settings(safety) if safety is not None else None,
        "tools": as_rest(tools, "tools") if tools is not None else None,
        "toolConfig": as_rest(tool_config, "tool_config") if tool_config is not None else None,
        "cachedContent": cached_content,
    }
    named = {name: value for name, value in given.items() if value is not None}
    twice = sorted(named.keys() & beside.keys())
    if twice:
        message = f"{', '.join(twice)}: given in config and as an argument; give it once"
        raise SetupError(message)
    body = {**beside, **named, **({"generationConfig": kept} if kept else {})}
    text = Template(prompt) if isinstance(prompt, str) else as_callback(prompt, version)
    return Generate(model_name(model), text, body)


def _with_schema(config: dict[str, Any], schema: Any, config_schema: Any) -> dict[str, Any]:
    """The config with the fields that ask for answers by a schema, which is given in one place."""
    if schema is None:
        if config_schema is None:
            return config
        return {**config, "responseSchema": response_schema(as_schema(config_schema))}
    named = [name for name in _SCHEMA_FIELDS if name in config]
    if named or config_schema is not None:
        message = (
            f"{(named or ['response_schema'])[0]}: given in config and as schema=; give it once"
        )
        raise SetupError(message)
    spelled = "response_mime_type" if "response_mime_type" in config else "responseMimeType"
    if config.get(spelled, _JSON) != _JSON:
        message = f"config asks for {config[spelled]}, and answers by schema= are {_JSON}"
        raise SetupError(message)
    return {**config, spelled: _JSON, "responseSchema": response_schema(as_schema(schema))}


def _safety_settings(safety: Mapping[str, str] | Sequence[Any]) -> list[dict[str, Any]]:
    if isinstance(safety, Mapping):
        safety = [
            {"category": _category(category), "threshold": threshold}
            for category, threshold in safety.items()
        ]
    return as_rest(safety, "safety")


def _category(name: str) -> str:
    return name if name.startswith("HARM_CATEGORY_") else f"HARM_CATEGORY_{name.upper()}"
