from __future__ import annotations

from batchkit.emulator import Limits


def test_the_defaults_are_the_documented_limits() -> None:
    limits = Limits()
    assert limits.inline_bytes == 20_000_000
    assert limits.file_bytes == 2 * 2**30
    assert limits.storage_bytes == 20 * 2**30
    assert limits.concurrent_jobs == 100
    assert limits.file_seconds == limits.job_seconds == 48 * 3600
    assert (limits.file_id_characters, limits.display_name_characters) == (40, 512)
