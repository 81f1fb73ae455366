"""What lies in a bucket, a page at a time: s3fs's own listing keeps everything it was told."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def has_pages(fs: Any) -> bool:
    """Whether a file system of fsspec is one of S3."""
    return hasattr(fs, "call_s3")


def each_object(fs: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Whole path of every object below a path, in order, with what S3 says of it, and its `size`.

    Args:
        fs: one that `has_pages`.
        path: bucket and prefix.
    """
    bucket, _, prefix = path.partition("/")
    asked = {"Bucket": bucket, "Prefix": f"{prefix}/" if prefix else "", **fs.req_kw}
    while True:
        page = fs.call_s3("list_objects_v2", **asked)
        for item in page.get("Contents", ()):
            item["size"] = item["Size"]
            yield f"{bucket}/{item['Key']}", item
        if not page.get("IsTruncated"):
            return
        asked["ContinuationToken"] = page["NextContinuationToken"]
