from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .client import BUCKET, Gcs

if TYPE_CHECKING:
    from collections.abc import Iterator

# https://cloud.google.com/storage/docs/json_api/v1/objects/list
DOCUMENTED = ["a/b", "a/c", "d", "e", "e/f", "e/g/h"]
HOSTILE = [
    *("a", "a/", "a/b", "a/b/c", "a/b/d", "a//", "a0", "b", "b/", "b/\U0010ffff", "b/\ud7ff/x"),
    *("c\U0010ffff", "c\U0010ffff/x", "ä", "ä/ö", "日", "\U0001f600/x", "\U0001f600", "z"),
]


def pages(gcs: Gcs, **query: Any) -> Iterator[dict[str, Any]]:
    while True:
        page = gcs.call("GET", "/o", params=query)
        yield page
        if "nextPageToken" not in page:
            return
        query["pageToken"] = page["nextPageToken"]


def everything(gcs: Gcs, **query: Any) -> tuple[list[str], list[str]]:
    """Names and folds of all pages."""
    names: list[str] = []
    folds: list[str] = []
    for page in pages(gcs, **query):
        entries = [item["name"] for item in page.get("items", [])], page.get("prefixes", [])
        assert sum(map(len, entries)) <= query.get("maxResults", 1000)
        names += entries[0]
        folds += entries[1]
    return names, folds


def test_the_documented_example(gcs: Gcs) -> None:
    gcs.upload_all(DOCUMENTED)
    assert everything(gcs) == (DOCUMENTED, [])
    assert everything(gcs, delimiter="/") == (["d", "e"], ["a/", "e/"])
    assert everything(gcs, delimiter="/", prefix="e/") == (["e/f"], ["e/g/"])


def test_an_empty_page_has_neither_items_nor_prefixes(gcs: Gcs) -> None:
    assert gcs.call("GET", "/o") == {"kind": "storage#objects"}


def test_items_are_whole_resources(gcs: Gcs) -> None:
    made = gcs.upload("a", b"x")
    assert gcs.call("GET", "/o")["items"] == [made]


def expected(names: list[str], query: dict[str, Any]) -> tuple[list[str], list[str]]:
    """What a list shows, by its documentation, one name after the other."""
    shown: list[str] = []
    folds: list[str] = []
    for name in sorted(names, key=str.encode):
        prefix, delimiter = query.get("prefix", ""), query.get("delimiter", "")
        if not name.startswith(prefix):
            continue
        if name.encode() < query.get("startOffset", "").encode():
            continue
        if "endOffset" in query and name.encode() >= query["endOffset"].encode():
            continue
        before, found, _ = name[len(prefix) :].partition(delimiter or "\0")
        fold = prefix + before + found
        if not found:
            shown.append(name)
        elif fold not in folds:
            folds.append(fold)
    return shown, folds


offsets = st.sampled_from([*HOSTILE, "a/b/", "b/\U0010ffff\U0010ffff", "c", "\U0010ffff", "0"])


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "prefix": st.sampled_from(["a", "a/", "a/b/", "b/\U0010ffff", "c\U0010ffff", "ä", "q"]),
            "delimiter": st.sampled_from(["/", "b", "//", "\U0010ffff"]),
            "startOffset": offsets,
            "endOffset": offsets,
            "maxResults": st.integers(1, 6),
        },
    )
)
def test_pages_together_are_the_list_of_the_documentation(gcs: Gcs, query: dict[str, Any]) -> None:
    if not gcs.names():
        gcs.upload_all(HOSTILE)
    assert everything(gcs, **query) == expected(HOSTILE, query)


def test_a_page_ends_at_maxresults_and_the_next_begins_there(gcs: Gcs) -> None:
    gcs.upload_all(["a", "b", "c", "d", "e"])
    seen = [[item["name"] for item in page["items"]] for page in pages(gcs, maxResults=2)]
    assert seen == [["a", "b"], ["c", "d"], ["e"]]


def test_a_page_has_at_most_a_thousand_entries(gcs: Gcs) -> None:
    gcs.upload("0000")
    for first in range(1, 1001, 100):
        gcs.copy_all("0000", [f"{number:04d}" for number in range(first, first + 100)])
    for query in ({}, {"maxResults": 5000}):
        assert [len(page["items"]) for page in pages(gcs, **query)] == [1000, 1]


def test_what_is_created_and_deleted_between_pages_shifts_nothing(gcs: Gcs) -> None:
    gcs.upload_all(["b", "d", "f"])
    listing = pages(gcs, maxResults=1)
    assert next(listing)["items"][0]["name"] == "b"
    gcs.upload_all(["a", "c"])
    gcs.call("DELETE", gcs.object("b"))
    gcs.call("DELETE", gcs.object("d"))
    assert [page["items"][0]["name"] for page in listing] == ["c", "f"]


def test_a_folder_of_many_objects_is_one_fold(gcs: Gcs) -> None:
    gcs.upload_all([f"dir/{number}" for number in range(30)] + ["x", "y"])
    seen = [page.get("prefixes", []) for page in pages(gcs, delimiter="/", maxResults=1)]
    assert seen == [["dir/"], [], []]


def test_an_object_that_ends_with_its_fold_can_be_shown_beside_it(gcs: Gcs) -> None:
    """As pyarrow asks, which takes such objects for directories."""
    gcs.upload_all(["dir/", "dir/a", "dir/sub/", "dir/sub/b", "x"])
    assert everything(gcs, delimiter="/", prefix="dir/") == (["dir/", "dir/a"], ["dir/sub/"])
    for size in (1, 2, 10):
        query = {"delimiter": "/", "includeTrailingDelimiter": "true", "maxResults": size}
        assert everything(gcs, **query) == (["dir/", "x"], ["dir/"])


@pytest.mark.parametrize(
    "pattern, names, folds",
    [
        ("*.txt", ["a.txt"], []),
        ("**.txt", ["a.txt", "d/b.txt", "d/e/c.txt"], []),
        ("d/*", ["d/b.txt"], []),
        ("d/**", ["d/b.txt", "d/e/c.txt", "d/e/z"], []),
        ("?.txt", ["a.txt"], []),
        ("d/[a-b].txt", ["d/b.txt"], []),
        ("d/[!b]*/z", ["d/e/z"], []),
        ("d[!x]b.txt", [], []),
        ("{a,d/b}.txt", ["a.txt", "d/b.txt"], []),
    ],
)
def test_a_glob_chooses_names(gcs: Gcs, pattern: str, names: list[str], folds: list[str]) -> None:
    gcs.upload_all(["a.txt", "d/b.txt", "d/e/c.txt", "d/e/z"])
    assert everything(gcs, matchGlob=pattern) == (names, folds)
    assert everything(gcs, matchGlob=pattern, maxResults=1) == (names, folds)


def test_a_glob_chooses_folds_too(gcs: Gcs) -> None:
    gcs.upload_all(["a/1", "b/1", "a.txt"])
    assert everything(gcs, matchGlob="a*/", delimiter="/") == ([], ["a/"])


def test_only_asked_for_fields_are_sent_the_token_among_them(gcs: Gcs) -> None:
    gcs.upload_all(["a", "b"])
    page = gcs.call("GET", "/o", params={"fields": "items(name)", "maxResults": 1})
    assert page == {"items": [{"name": "a"}]}
    page = gcs.call("GET", "/o", params={"fields": "items/name,nextPageToken", "maxResults": 1})
    assert page["items"] == [{"name": "a"}]
    assert "nextPageToken" in page


@pytest.mark.parametrize(
    "query",
    [
        {"pageToken": "!"},
        {"pageToken": "4oKs4"},
        {"maxResults": "many"},
        {"maxResults": "-1"},
        {"matchGlob": "a["},
        {"matchGlob": "{a,{b}}"},
        {"matchGlob": "[z-a]"},
        {"fields": "items(name"},
        {"fields": "items)"},
        {"fields": ",name"},
    ],
)
def test_what_cannot_be_understood_is_refused(gcs: Gcs, query: dict[str, str]) -> None:
    assert gcs.refused("GET", "/o", params=query) == (400, "invalid")


def test_a_bucket_that_is_not_there_is_not_found(gcs: Gcs) -> None:
    assert gcs.refusal(gcs.send("GET", "/storage/v1/b/nowhere/o")) == (404, "notFound")
    assert gcs.send("GET", f"/storage/v1/b/{BUCKET}/o").status_code == 200
