"""The models the emulator knows, as data, and the calls that describe them.

https://ai.google.dev/gemini-api/docs/models and https://ai.google.dev/api/models
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from batchkit.emulator.errors import ApiError, Rpc
from batchkit.emulator.exchange import Reply, Request, json_reply
from batchkit.emulator.paging import PAGE_PARAMETERS, page_token, requested_page
from batchkit.emulator.routes import Route

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Kind", "Model", "Models", "is_legacy", "known_model"]

Kind: TypeAlias = Literal["generate", "embed"]

_DEFAULT_PAGE, _LARGEST_PAGE = 50, 1000


@dataclass(frozen=True, slots=True)
class Model:
    """One model; `thinks` is whether it does so unasked, `dimensions` the longest vector.

    A shortened vector is of unit length only when the model `normalises` it.
    """

    name: str
    kind: Kind
    input_tokens: int
    output_tokens: int
    thinks: bool = False
    dimensions: int = 0
    normalises: bool = False

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods the service lists for it."""
        if self.kind == "embed":
            return ("embedContent", "batchEmbedContents", "countTokens", "asyncBatchEmbedContent")
        return ("generateContent", "countTokens", "batchGenerateContent")

    def resource(self) -> dict[str, Any]:
        """The Model message."""
        return {
            "name": _full_name(self.name),
            "version": "001",
            "displayName": self.name,
            "inputTokenLimit": self.input_tokens,
            "outputTokenLimit": self.output_tokens,
            "supportedGenerationMethods": list(self.methods),
            **({"thinking": True} if self.thinks else {}),
        }


def _generator(name: str, *, thinks: bool = True) -> Model:
    return Model(name, "generate", 1_048_576, 65_536, thinks=thinks)


# Current on 2026-11-23: https://ai.google.dev/gemini-api/docs/models. What is not here is retired
# (gemini-2.0-flash, text-embedding-004, …) or unknown: 404 either way.
_CURRENT = (
    _generator("gemini-3.8-flash"),
    _generator("gemini-3.7-flash"),
    _generator("gemini-3.6-flash"),
    _generator("gemini-3.5-flash"),
    _generator("gemini-3.5-flash-lite", thinks=False),
    _generator("gemini-3.1-pro-preview"),
    _generator("gemini-3.1-flash-lite", thinks=False),
    _generator("gemini-3.1-flash-lite-image", thinks=False),
    _generator("gemini-3.1-flash-image", thinks=False),
    _generator("gemini-3-pro-image"),
    _generator("gemini-3-flash-preview"),
    _generator("gemini-2.5-pro"),
    _generator("gemini-2.5-flash"),
    _generator("gemini-2.5-flash-lite", thinks=False),
    _generator("gemini-2.5-flash-image", thinks=False),
    # https://ai.google.dev/gemini-api/docs/embeddings
    Model("gemini-embedding-001", "embed", 2_048, 1, dimensions=3072),
    Model("gemini-embedding-2", "embed", 8_192, 1, dimensions=3072, normalises=True),
)
# Of Vertex AI alone, until 2027-04-01:
# https://docs.cloud.google.com/vertex-ai/generative-ai/docs/embeddings/get-text-embeddings
_LEGACY = tuple(
    Model(name, "embed", 2_048, 1, dimensions=768, normalises=True)
    for name in ("text-embedding-004", "text-embedding-005", "text-multilingual-embedding-002")
)
_BY_NAME = {model.name: model for model in _CURRENT}
_LEGACY_BY_NAME = {model.name: model for model in _LEGACY}


def is_legacy(name: str) -> bool:
    """Whether it is one of the models whose rows are texts, not requests."""
    return name in _LEGACY_BY_NAME


def known_model(name: str) -> Model:
    """A model by its bare name; a name of one's own gets the attributes of a current model."""
    known = _BY_NAME.get(name) or _LEGACY_BY_NAME.get(name)
    if known is not None:
        return known
    if "embed" in name:
        return Model(name, "embed", 8_192, 1, dimensions=3072, normalises=True)
    return _generator(name)


class Models:
    """The models of one emulator: the current ones and `extra` names, as `tunedModels/mine`."""

    def __init__(self, extra: Iterable[str] = ()) -> None:
        self._by_name = _BY_NAME | {name: known_model(name) for name in extra}

    def routes(self) -> tuple[Route, ...]:
        """What this service answers."""
        return (
            Route("GET", "/{version}/models/{model}", self._get),
            Route("GET", "/{version}/tunedModels/{tuned}", self._get),
            Route("GET", "/{version}/models", self._list, PAGE_PARAMETERS),
        )

    def named(self, name: str) -> Model | None:
        """The model of this name on Vertex AI, which has the legacy ones, too."""
        return self._by_name.get(name) or _LEGACY_BY_NAME.get(name)

    def requested(self, request: Request, method: str) -> Model:
        """The model in a request's path; ApiError 404 when it has no such method."""
        model = self._by_name.get(_requested_name(request))
        if model is None or (method and method not in model.methods):
            text = (
                f"{_full_name(_requested_name(request))} is not found for API version "
                f"{request['version']}, or is not supported for {method or 'GetModel'}. Call "
                "ListModels to see the list of available models and their supported methods."
            )
            raise ApiError(Rpc.NOT_FOUND, text)
        return model

    def _get(self, request: Request) -> Reply:
        return json_reply(self.requested(request, "").resource())

    def _list(self, request: Request) -> Reply:
        page = requested_page(request.query, default=_DEFAULT_PAGE, largest=_LARGEST_PAGE)
        # Tokens count down, as in the other lists: the first model has the highest number.
        models = list(self._by_name.values())
        start = max(0, len(models) - page.before)
        listed = models[start : start + page.size]
        rest = len(models) - start - len(listed)
        token = {"nextPageToken": page_token(rest)} if rest else {}
        return json_reply({"models": [model.resource() for model in listed], **token})


def _requested_name(request: Request) -> str:
    tuned = request.variables.get("tuned")
    return f"tunedModels/{tuned}" if tuned else request["model"]


def _full_name(name: str) -> str:
    return name if "/" in name else f"models/{name}"
