"""Recordings behind addresses: a server on this machine that knows ranges, and a folder in the place of a bucket."""

from __future__ import annotations

import functools
import http.server
import io
import os
import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.brainmu.training_nights import make_recording
from tests.electrophysiology_files import write_edf
from typer.testing import CliRunner

from sharpwave import remote
from sharpwave.commands.cli import app
from sharpwave.commands.inputs import hash_sources, name_sources
from sharpwave.errors import MissingExtraError, SharpwaveError
from sharpwave.night.options import open_source
from sharpwave.recordings.readers import read_recording
from sharpwave.recordings.store import write_store
from sharpwave.remote import RemotePath, locate

pytest.importorskip("obstore")


class RangeServer(http.server.SimpleHTTPRequestHandler):
    """Files with ranges; what was asked for is kept; some addresses are refused or lead elsewhere."""

    asked: list[tuple[str, str | None]]

    def log_message(self, *_: object) -> None:
        pass

    def send_head(self) -> io.BytesIO | None:
        span = self.headers.get("Range")
        self.asked.append((self.path, span))
        if self.path.startswith("/secret/"):
            self.send_error(403)
            return None
        if self.path.startswith("/elsewhere/"):
            self.send_response(302)
            self.send_header("Location", f"file://{self.directory}/night.edf")
            self.end_headers()
            return None
        path = Path(self.translate_path(self.path))
        if span is None or not path.is_file():
            return super().send_head()  # type: ignore[return-value]
        first, last = re.fullmatch(r"bytes=(\d*)-(\d*)", span).groups()  # type: ignore[union-attr]
        whole = path.read_bytes()
        low = int(first) if first else len(whole) - int(last)
        data = whole[low : int(last) + 1 if first and last else len(whole)]
        self.send_response(206)
        self.send_header("Content-Range", f"bytes {low}-{low + len(data) - 1}/{path.stat().st_size}")
        self.send_header("Content-Length", str(len(data)))
        self.send_header("Last-Modified", self.date_time_string(path.stat().st_mtime))
        self.end_headers()
        return io.BytesIO(data)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a night as EDF, and as a store."""
    home = tmp_path_factory.mktemp("home")
    write_edf(home / "night.edf")
    write_store(make_recording(0), home / "watch.zarr")
    return home


@pytest.fixture
def server(home: Path) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    asked: list[tuple[str, str | None]] = []
    handler = type("Handler", (RangeServer,), {"asked": asked})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(home))) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}", asked
        running.shutdown()
        thread.join()


@pytest.fixture
def bucket(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A folder that answers as the bucket `s3://lab` does."""
    from obstore.store import LocalStore

    monkeypatch.setattr(
        remote, "open_bucket", lambda address: LocalStore(home / address.removeprefix("s3://lab").strip("/"))
    )
    return "s3://lab"


def test_an_edf_file_is_read_by_ranges_and_each_byte_once(home: Path, server: tuple[str, list]) -> None:
    address, asked = server
    here, there = read_recording(home / "night.edf"), read_recording(f"{address}/night.edf")
    assert list(there.signals) == list(here.signals)
    assert (there.source, there.start, there.subject) == (here.source, here.start, here.subject)
    for _ in range(2):
        for name, signal in here.signals.items():
            np.testing.assert_array_equal(there[name].read(), signal.read())
    spans = [tuple(map(int, span.removeprefix("bytes=").split("-"))) for _, span in asked if span]
    assert sum(high + 1 - low for low, high in spans) == (home / "night.edf").stat().st_size
    assert {path for path, _ in asked} == {"/night.edf"}


def test_only_the_blocks_that_are_used_are_fetched(home: Path, server: tuple[str, list], monkeypatch) -> None:
    monkeypatch.setattr(remote, "BLOCK", 4096)
    address, asked = server
    (home / "large.bin").write_bytes(np.arange(2**17, dtype="<u4").tobytes())
    with locate(f"{address}/large.bin").open("rb", buffering=0) as file:
        file.seek(400_000)
        assert np.frombuffer(file.read(8), dtype="<u4").tolist() == [100_000, 100_001]
    assert [span for _, span in asked if span] == ["bytes=397312-401407"]
    monkeypatch.setattr(remote, "MOST_KEPT", 0)
    with locate(f"{address}/large.bin").open("rb") as file:  # what is not kept is read all the same
        assert len(file.read()) == 2**19


@pytest.mark.parametrize("kind", ["server", "bucket"])
def test_a_store_is_the_same_wherever_it_lies(kind: str, home: Path, request: pytest.FixtureRequest) -> None:
    found = request.getfixturevalue(kind)
    address = f"{found if kind == 'bucket' else found[0]}/watch.zarr"
    here, there = open_source(home / "watch.zarr"), open_source(address)
    np.testing.assert_array_equal(there["pulse"].read(), here["pulse"].read())
    assert there.hypnogram.stages.tolist() == here.hypnogram.stages.tolist()
    assert hash_sources([address]) == hash_sources([str(home / "watch.zarr")])
    assert hash_sources([f"{address.rpartition('/')[0]}/night.edf"]) == hash_sources([str(home / "night.edf")])
    assert name_sources([address, "s3://other/a/b.edf"]) == ["watch", "b"]


def test_a_missing_piece_of_a_store_is_no_silence(home: Path, bucket: str, tmp_path: Path) -> None:
    shutil.copytree(home / "watch.zarr", home / "broken.zarr", dirs_exist_ok=True)
    (home / "broken.zarr/signals/0/c/0").unlink()
    with pytest.raises(SharpwaveError, match=r"undamaged store in broken\.zarr/signals/0; got no piece 0"):
        open_source(f"{bucket}/broken.zarr")["pulse"].read()


def test_an_nwb_session_is_read_by_ranges(home: Path, server: tuple[str, list]) -> None:
    from sharpwave.recordings.store.write_nwb import write_nwb

    write_nwb(make_recording(1), home / "session.nwb")
    here, there = read_recording(home / "session.nwb"), read_recording(f"{server[0]}/session.nwb")
    for name, signal in here.signals.items():
        np.testing.assert_array_equal(there[name].read(), signal.read())


def test_a_recording_behind_an_address_is_appended_to_a_store_on_a_disk(
    home: Path, server: tuple[str, list], tmp_path: Path
) -> None:
    address, _ = server
    done = CliRunner().invoke(app, ["append", str(tmp_path / "year.zarr"), f"{address}/watch.zarr"])
    assert done.exit_code == 0, done.output
    np.testing.assert_array_equal(
        open_source(tmp_path / "year.zarr")["pulse"].read(), open_source(home / "watch.zarr")["pulse"].read()
    )
    done = CliRunner().invoke(app, ["append", f"{address}/watch.zarr", str(home / "watch.zarr")])
    assert isinstance(done.exception, SystemExit | SharpwaveError)
    assert "an address to append to (s3://, gs://)" in done.output + str(done.exception)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("nothing.edf", r"a recording at http://127.*nothing there \(404\)"),
        ("secret/night.edf", "permission to read http://127"),
        ("elsewhere/night.edf", "an answer from http://127"),
        ("night.fif", r"a file named \*\.edf, \*\.bdf, \*\.nwb, \*\.zarr; got night.fif"),
    ],
)
def test_what_a_server_refuses_is_said(address: str, said: str, server: tuple[str, list], home: Path) -> None:
    shutil.copy(home / "night.edf", home / "night.fif")
    with pytest.raises(SharpwaveError, match=said):
        open_source(f"{server[0]}/{address}")


@pytest.mark.parametrize(
    "address",
    [
        "file:///etc/passwd",
        "http://example.org/night.edf",
        "ftp://example.org/night.edf",
        "https://me:word@example.org/night.edf",
        "https://example.org/night.edf?token=1",
        "s3://bucket/../other/night.edf",
        "s3:///night.edf",
        "memory://night.edf",
    ],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(SharpwaveError, match=r"expected an address|expected a server or bucket") as caught:
        open_source(address)
    assert "word" not in str(caught.value).replace("password", "")


def test_nobody_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "SECONDS", 0.2)
    with pytest.raises(SharpwaveError, match=r"an answer from http://127\.0\.0\.1:9/night\.edf"):
        open_source("http://127.0.0.1:9/night.edf")


def test_a_file_that_shrinks_is_told(home: Path, server: tuple[str, list]) -> None:
    (home / "growing.bin").write_bytes(bytes(5000))
    file = locate(f"{server[0]}/growing.bin").open("rb")
    os.truncate(home / "growing.bin", 100)
    with pytest.raises(SharpwaveError, match="to stay as it was when it was opened; got 100 of 5000 bytes"):
        file.read()


def test_without_obstore_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "obstore.store", None)
    with pytest.raises(MissingExtraError, match=r"sharpwave\[objects\]"):
        remote.open_bucket("s3://nowhere")


def test_a_remote_path_is_read_only_and_survives_a_copy() -> None:
    import pickle

    path = RemotePath("s3://bucket/a/night.edf")
    assert pickle.loads(pickle.dumps(path)) == path
    assert {path, RemotePath(str(path))} == {path}
    with pytest.raises(SharpwaveError, match="an address to read from"):
        path.open("wb")
    with pytest.raises(SharpwaveError, match="a folder, which is not listed"):
        list(path.parent.iterdir())
