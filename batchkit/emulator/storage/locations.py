"""Where a bucket can be.

https://cloud.google.com/storage/docs/locations
"""

from __future__ import annotations

import re

from batchkit.emulator.storage.errors import invalid

__all__ = ["location_type"]

_MULTI_REGIONS = {"ASIA", "EU", "US"}
_DUAL_REGIONS = {"ASIA1", "EUR4", "EUR5", "EUR7", "EUR8", "NAM4"}
_REGION = re.compile(r"[A-Z]+-[A-Z]+[0-9]{1,2}")


def location_type(location: str) -> str:
    """Of which kind a location is, written in capitals; StorageError 400 when it is none.

    Regions are known by their form: there are new ones every year.
    """
    if location in _MULTI_REGIONS:
        return "multi-region"
    if location in _DUAL_REGIONS:
        return "dual-region"
    if _REGION.fullmatch(location):
        return "region"
    text = "The specified location constraint is not valid."
    raise invalid(text)
