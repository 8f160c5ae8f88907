from __future__ import annotations

import hashlib
from typing import Any

import pytest

import batchkit as bk
from batchkit import jsonl
from batchkit.specs.ready import ready
from batchkit.specs.spec import Spec, spec_from_json, spec_hash

SPECS: list[Spec] = [
    bk.generate("m", "{x}"),
    bk.generate("n", "{x}"),
    bk.generate("m", "{y}"),
    bk.generate("m", "{x}", system="s"),
    bk.generate("m", "{x}", config={"temperature": 0}),
    bk.generate("m", "{x}", config={"temperature": 1}),
    bk.generate("m", "{x}", schema={"type": "object", "properties": {"a": {"type": "string"}}}),
    bk.generate("m", len, version="1"),  # pyright: ignore[reportArgumentType]
    bk.generate("m", len, version="2"),  # pyright: ignore[reportArgumentType]
    bk.embed("m", "{x}"),
    bk.embed("m", "{x}", title="{x}"),
    bk.embed("m", "{x}", dimensions=8),
    ready("m", "generate"),
    ready("m", "embed"),
]


@pytest.mark.parametrize("spec", SPECS, ids=str)
def test_a_spec_comes_back_from_json_equal_and_of_its_kind(spec: Spec) -> None:
    back = spec_from_json(jsonl.loads(jsonl.dumps(spec.to_json())))
    assert back == spec
    assert type(back) is type(spec)


def test_specs_that_differ_have_hashes_that_differ() -> None:
    assert len({spec_hash(spec) for spec in SPECS}) == len(SPECS)


def test_the_order_in_which_a_config_was_written_is_no_difference() -> None:
    one: dict[str, Any] = {"temperature": 0.5, "seed": 1}
    other: dict[str, Any] = {"seed": 1, "temperature": 0.5}
    assert spec_hash(bk.generate("m", "{x}", config=one)) == spec_hash(
        bk.generate("m", "{x}", config=other)
    )


def test_a_hash_is_that_of_the_json_in_sorted_order_in_every_process() -> None:
    text = b'{"body":{"generationConfig":{"seed":1}},"kind":"generate","model":"m","prompt":"{x}"}'
    spec = bk.generate("m", "{x}", config={"seed": 1})
    assert spec_hash(spec) == hashlib.sha256(text).hexdigest()
