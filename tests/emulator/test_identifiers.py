from __future__ import annotations

from batchkit.emulator.identifiers import identifier


def test_identifiers_follow_from_seed_kind_and_number() -> None:
    one = identifier(0, "file", 1, 12)
    assert one == identifier(0, "file", 1, 12)
    others = [
        identifier(1, "file", 1, 12),
        identifier(0, "batch", 1, 12),
        identifier(0, "file", 2, 12),
    ]
    assert len({one, *others}) == 4


def test_identifiers_are_lower_case_letters_and_digits_of_the_asked_length() -> None:
    name = identifier(0, "batch", 1, 36)
    assert len(name) == 36
    assert name.isalnum()
    assert name == name.lower()
    assert len({identifier(0, "file", number, 12) for number in range(10_000)}) == 10_000
