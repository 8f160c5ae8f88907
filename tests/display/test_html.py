from __future__ import annotations

from batchkit.display.html import table_html, tally_html


def test_a_tally_leaves_zeros_out_and_adds_up() -> None:
    html = tally_html("runs/<x>", {"ok": 1_200, "error": 0, "missing": 3})
    assert "runs/&lt;x&gt;" in html
    assert "<td>error</td>" not in html
    assert "1,203" in html


def test_values_are_escaped_and_long_ones_cut() -> None:
    html = table_html(["a", "b"], [{"a": "<script>", "b": "x" * 500}, {"a": None, "b": 1}])
    assert "<script>" not in html
    assert "x" * 119 + "…" in html
    assert "x" * 121 not in html
    assert "None" not in html
