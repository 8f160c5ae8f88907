"""The slice of Cloud Storage that google-cloud-storage, pyarrow and gcsfs use, as strict as it is.

    Storage        the service: its routes, its blobs, its statistics
    Access         what the emulator's other services read and write, by gs:// URI

A call goes to buckets, metadata and listing (JSON about things), uploads and sessions (contents
in), downloads (contents out), copies and compositions (objects of objects), parts (the XML API's
multipart uploads) or batch (many calls in one). Drafts become stored objects in objects, which
keeps a row and a blob for each. The rest is grammar: preconditions, ranges, checksums, multipart
bodies, fields, globs, pages, settings, locations, stamps, replies, bodies, errors.
"""

from batchkit.emulator.storage.access import Access
from batchkit.emulator.storage.service import Storage

__all__ = ["Access", "Storage"]
