"""One list of what is a secret: refused in URLs, stored nowhere, shown nowhere."""

from __future__ import annotations

import json
import time
from io import StringIO

import pytest
from rich.table import Table

from lazsl.cli.console import SafeConsole
from lazsl.errors import DamagedError, UserError
from lazsl.settings import Job, make_job
from lazsl.store.urls import canonical_url, masked

SECRET = "hun/ter+2"


@pytest.mark.parametrize(
    "url",
    [
        f"s3://bob:{SECRET}@bucket/x",
        f"s3://bob:p@s{SECRET}@bucket/x",
        f"https://bob:{SECRET}@host:8080/x",
        f"see ftp://:{SECRET}@host/x, please",
    ],
)
def test_a_password_with_a_slash_is_masked_and_refused(url: str) -> None:
    assert "hun" not in masked(url) and "ter" not in masked(url)
    if " " not in url:
        for field in ("archive", "labels", "workspace", "truth", "only"):
            fields = {"archive": "a", "labels": "b"} | {field: url}
            with pytest.raises(UserError, match="holds credentials") as refused:
                make_job(**fields)
            assert "hun" not in str(refused.value)


@pytest.mark.parametrize(
    "name",
    "access_token api_key apikey client_secret X-Amz-Signature X-Amz-Credential x-goog-signature "
    "X-Amz-Security-Token sig token AWSAccessKeyId AccountKey refresh_token password key".split(),
)
def test_secret_parameters_are_masked_wherever_they_stand(name: str) -> None:
    for text in (
        f"https://h/x?a=1&{name}={SECRET}&b=2",
        f"could not open https://h/x?{name}={SECRET}: no",
        f"{name.upper()}={SECRET}",
        f"config: '{name}={SECRET}'",
    ):
        assert SECRET not in masked(text) and "***" in masked(text), text


def test_headers_are_masked_and_what_is_no_secret_stays() -> None:
    for header in ("Authorization: Basic aGVsbG8=", "{'authorization': 'Bearer abc.def'}"):
        assert "aGVsbG8" not in masked(header) and "abc.def" not in masked(header)
    for plain in (
        "s3://bucket/photos@2x/a.jpg",
        "https://host:8080/a@b/c",
        "https://host/@user/x?monkey=1&turkey=2",
        "s3://bucket/a:b@c/d",
        "file:///home/me@work/x",
    ):
        assert masked(plain) == plain
        assert canonical_url(plain).endswith(plain.partition("://")[2].rstrip("/"))


def test_a_signed_url_of_a_label_set_opens_nothing_for_whoever_reads_the_record() -> None:
    signed = "https://store/labels.json?versionId=3&X-Amz-Signature=4bcd&X-Amz-Credential=AK%2F1"
    job = make_job(archive="a", labels=signed)
    assert job.labels == signed  # it is read with
    stored = job.model_dump(mode="json")
    assert stored["labels"] == "https://store/labels.json?versionId=3"
    assert "4bcd" not in json.dumps(stored) and "4bcd" not in job.model_dump_json()
    assert Job(**stored).labels == stored["labels"]


def test_a_sentence_is_masked_where_it_is_made_and_the_terminal_masks_the_rest() -> None:
    url = f"https://bob:{SECRET}@host/x?sig=4bcd"
    for error in (UserError(f"cannot read {url!r}; go"), DamagedError(f"cannot read {url!r}; go")):
        assert str(error) == "cannot read 'https://***@host/x?sig=***'; go"
    terminal = StringIO()
    console = SafeConsole(file=terminal, width=200)
    console.print(f"reading {url}")
    table = Table("key")
    table.add_row("token=5/plate.jpg")  # a folder's name is data, and shown as it is
    console.print(table)
    assert "4bcd" not in terminal.getvalue() and "hun" not in terminal.getvalue()
    assert "reading https://***@host/x?sig=***" in terminal.getvalue()
    assert "token=5/plate.jpg" in terminal.getvalue()


def test_masking_a_long_text_takes_time_in_proportion() -> None:
    def seconds(times: int) -> float:
        started = time.thread_time()
        for piece in ("a-", "://", "x:", "key=", "@", "a_b.c-"):
            masked(piece * times)
        return time.thread_time() - started

    seconds(100)
    assert seconds(40_000) < 40 * seconds(4_000) + 0.2
