from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from batchkit.emulator.tokens import cut_to_tokens, request_tokens, text_tokens


def test_four_bytes_are_a_token() -> None:
    assert [text_tokens(text) for text in ("", "a", "four", "fours", "光合")] == [0, 1, 1, 2, 2]


def test_a_request_counts_contents_instruction_and_tools() -> None:
    request = {
        "contents": [{"parts": [{"text": "four"}, {"fileData": {"fileUri": "u"}}]}],
        "systemInstruction": {"parts": [{"text": "four"}]},
    }
    assert request_tokens(request) == 1 + 258 + 1
    assert request_tokens(request | {"tools": [{"codeExecution": {}}]}) > 260


@settings(deadline=None)
@given(text=st.text(st.characters(exclude_categories=["Cs"])), tokens=st.integers(0, 20))
def test_a_cut_text_is_a_beginning_within_the_tokens(text: str, tokens: int) -> None:
    cut = cut_to_tokens(text, tokens)
    assert text.startswith(cut)
    assert text_tokens(cut) <= tokens
    assert cut == text or text_tokens(text[: len(cut) + 1]) > tokens
