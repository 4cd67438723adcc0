"""Appending to a bucket: a small server on this machine that answers as S3 does, conditions on versions included."""

from __future__ import annotations

import hashlib
import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

import numpy as np
import pytest
from tests.recordings.store.test_append import SECONDS, check_same, make_part
from typer.testing import CliRunner

from sharpwave import remote
from sharpwave.commands.append import append_source
from sharpwave.commands.cli import app
from sharpwave.errors import SharpwaveError
from sharpwave.night.options import DecodeOptions
from sharpwave.recordings import open_store, write_store
from sharpwave.recordings.store import append_store, layout

pytest.importorskip("obstore")
YEAR = "s3://lab/mice/year.zarr"


class Bucket(http.server.BaseHTTPRequestHandler):
    """What this project asks of S3. `before_put` is called before each object is taken."""

    protocol_version = "HTTP/1.1"
    objects: dict[str, bytes]
    minds_conditions = True
    before_put = staticmethod(lambda key: None)

    def log_message(self, *_: object) -> None:
        pass

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @property
    def key(self) -> str:
        return unquote(urlsplit(self.path).path).removeprefix("/lab").strip("/")

    def do_PUT(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        try:
            self.before_put(self.key)
        except InterruptedError:
            return self.answer(400)
        old = self.objects.get(self.key)
        wanted, absent = self.headers.get("If-Match"), self.headers.get("If-None-Match")
        wrong = (wanted is not None and (old is None or mark(old) != wanted)) or (absent == "*" and old is not None)
        if self.minds_conditions and wrong:
            return self.answer(412)
        self.objects[self.key] = body
        return self.answer(200, ETag=mark(body))

    def do_GET(self) -> None:
        query = parse_qs(urlsplit(self.path).query)
        if "list-type" in query:
            prefix = query.get("prefix", [""])[0]
            found = "".join(
                f"<Contents><Key>{escape(key)}</Key><ETag>{escape(mark(body))}</ETag><Size>{len(body)}</Size>"
                "<LastModified>2026-01-01T00:00:00.000Z</LastModified></Contents>"
                for key, body in sorted(self.objects.items())
                if key.startswith(prefix)
            )
            return self.answer(
                200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{found}</ListBucketResult>".encode()
            )
        if self.key not in self.objects:
            return self.answer(404)
        body = self.objects[self.key]
        dates = {"ETag": mark(body), "Last_Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        if (span := self.headers.get("Range")) is None:
            return self.answer(200, body, **dates)
        first, _, last = span.removeprefix("bytes=").partition("-")
        low = int(first) if first else max(len(body) - int(last), 0)
        part = body[low : int(last) + 1 if first and last else len(body)]
        return self.answer(206, part, Content_Range=f"bytes {low}-{low + len(part) - 1}/{len(body)}", **dates)

    do_HEAD = do_GET

    def do_POST(self) -> None:  # several objects are removed
        text = self.rfile.read(int(self.headers["Content-Length"])).decode()
        keys = [piece.partition("</Key>")[0] for piece in text.split("<Key>")[1:]]
        for key in keys:
            self.objects.pop(key, None)
        gone = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self.answer(200, f"<DeleteResult>{gone}</DeleteResult>".encode())


def mark(body: bytes) -> str:
    return f'"{hashlib.md5(body).hexdigest()}"'


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Bucket]]:
    from obstore.store import S3Store

    monkeypatch.setattr(layout, "SHARD_BYTES", 1 << 17)  # many shards in a short recording
    handler = type("Handler", (Bucket,), {"objects": {}})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as running:

        def open_bucket(address: str, seconds: float | None = None) -> S3Store:
            return S3Store(
                "lab",
                prefix=address.removeprefix("s3://lab").strip("/") or None,
                endpoint=f"http://127.0.0.1:{running.server_port}",
                region="us-east-1",
                skip_signature=True,
                client_options={"allow_http": True},
            )

        monkeypatch.setattr(remote, "open_bucket", open_bucket)
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield handler
        running.shutdown()
        thread.join()


def test_appending_day_by_day_to_an_address_equals_one_write_here(bucket: type[Bucket], tmp_path: Path) -> None:
    whole = open_store(write_store(make_part(0, SECONDS), tmp_path / "whole.zarr"))
    for first, last in ((0, 900), (900, 1230), (1230, 2400), (2400, 3000)):
        append_store(YEAR, make_part(first, last))
    grown = open_store(YEAR)
    check_same(grown, whole)
    assert grown.events["onset"].tolist() == [5.0, 905.0, 1235.0, 2405.0]
    assert {key.split("/")[2] for key in bucket.objects} == {"zarr.json", "signals", "events-3", "hypnogram-3"}
    assert b"sharpwave_append" not in bucket.objects["mice/year.zarr/zarr.json"]


def test_what_is_stopped_before_any_put_leaves_what_was_there(bucket: type[Bucket]) -> None:
    append_store(YEAR, make_part(0, 900))
    put: list[str] = []
    bucket.before_put = staticmethod(put.append)  # type: ignore[assignment]
    start = dict(bucket.objects)
    append_store(YEAR, make_part(900, 3000))
    assert put[-1] == "mice/year.zarr/zarr.json"
    for stop_at in (len(put) // 2, len(put)):
        bucket.objects.clear()
        bucket.objects.update(start)
        count = iter(range(1, 1000))

        def stop(key: str, count=count, stop_at=stop_at) -> None:
            if next(count) >= stop_at:
                raise InterruptedError

        bucket.before_put = staticmethod(stop)  # type: ignore[assignment]
        with pytest.raises(SharpwaveError, match="an answer from s3://lab"):
            append_store(YEAR, make_part(900, 3000))
        remote._HEADS.clear()
        check_same(open_store(YEAR), make_part(0, 900))
    bucket.before_put = staticmethod(lambda key: None)
    append_store(YEAR, make_part(900, 2400))  # less than what was stopped
    check_same(open_store(YEAR), make_part(0, 2400))
    assert {key.split("/")[2] for key in bucket.objects} == {"zarr.json", "signals", "events-2", "hypnogram-2"}


def test_a_store_whose_beginning_was_stopped_is_begun_again(bucket: type[Bucket], tmp_path: Path) -> None:
    def stop(key: str) -> None:
        if "signals/1" in key:
            raise InterruptedError

    bucket.before_put = staticmethod(stop)  # type: ignore[assignment]
    with pytest.raises(SharpwaveError, match="an answer from s3://lab"):
        append_store(YEAR, make_part(0, 2400))
    bucket.before_put = staticmethod(lambda key: None)
    for first, last, time_zone in ((0, 900, "Europe/Berlin"), (900, 1500, None)):
        source = write_store(make_part(first, last), tmp_path / f"{first}.zarr")
        append_source(remote.locate(YEAR), str(source), DecodeOptions(), time_zone=time_zone)
        check_same(open_store(YEAR), make_part(0, last))
        assert "mice/year.zarr/signals/0/c/3" not in bucket.objects


@pytest.mark.parametrize("at", [1, 3, 9])
def test_of_two_who_append_at_once_at_most_one_counts(at: int, bucket: type[Bucket]) -> None:
    """The second begins and ends while the first is before its put number `at`."""
    append_store(YEAR, make_part(0, 900))
    other = make_part(900, 1800)
    other["EEG"].samples[:] = 7
    seen: list[str] = []

    def meanwhile(key: str) -> None:
        seen.append(key)
        if len(seen) == at:
            append_store(YEAR, other)

    bucket.before_put = staticmethod(meanwhile)  # type: ignore[assignment]
    with pytest.raises(SharpwaveError, match="one process that writes s3://lab"):
        append_store(YEAR, make_part(900, 3000))
    found = np.asarray(open_store(YEAR)["EEG"].samples[:])
    assert len(found) == 180_000
    assert (found[90_000:] == 7).all()
    assert np.array_equal(found[:90_000], np.asarray(make_part(0, 900)["EEG"].samples))


def test_servers_without_conditions_other_things_and_other_addresses_are_refused(bucket: type[Bucket]) -> None:
    append_store(YEAR, make_part(0, 900))
    with pytest.raises(SharpwaveError, match="60 s later"):
        append_store(YEAR, make_part(960, 1200))
    bucket.minds_conditions = False
    with pytest.raises(SharpwaveError, match="a server that replaces objects on conditions"):
        append_store(YEAR, make_part(900, 1200))
    bucket.objects["mice/notes.zarr/readme.txt"] = b"mine"
    with pytest.raises(SharpwaveError, match="where something else lies"):
        append_store("s3://lab/mice/notes.zarr", make_part(0, 900))
    for address in ("https://example.org/year.zarr", "s3://lab/year"):
        done = CliRunner().invoke(app, ["append", address, __file__])
        assert "an address to append to (s3://, gs://), ending in .zarr" in done.output + str(done.exception)
    check_same(open_store(YEAR), make_part(0, 900))
