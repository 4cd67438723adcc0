"""Fetching: copied from a mirror, or downloaded, resumed and verified from a server that the test runs."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from sharpwave.errors import SharpwaveError
from sharpwave.recordings.datasets import DATASETS, compute_checksum, fetch, fetch_dataset

CONTENT = bytes(range(256)) * 4096
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    """Serves `files`, from any byte on (whole.mat: never; cut.mat: breaks off at first); notes what was asked for."""

    def __init__(self, files: dict[str, bytes], asked: list[str], *args: object) -> None:
        self.files, self.asked = files, asked
        super().__init__(*args)  # type: ignore[arg-type]

    def do_GET(self) -> None:
        content, start = self.files.get(self.path), self.headers.get("Range", "bytes=0-")
        self.asked.append(f"{self.path} {start}")
        if content is None:
            self.send_error(404)
            return
        low = 0 if self.path == "/whole.mat" else int(start.removeprefix("bytes=").rstrip("-"))
        if low >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if low else 200)
        self.send_header("Content-Length", str(len(content) - low))
        self.end_headers()
        cut = self.path == "/cut.mat" and not low
        self.wfile.write(content[low:600_000] if cut else content[low:])

    def log_message(self, *args: object) -> None:
        """Say nothing."""


@pytest.fixture
def asked() -> list[str]:
    return []


@pytest.fixture
def address(asked: list[str]) -> Iterator[str]:
    files = {
        "/spikes.mat": CONTENT,
        "/whole.mat": CONTENT,
        "/cut.mat": CONTENT,
        "/SUMS.txt": f"{SHA256} a.rec\n{SHA256} notes.txt\n{SHA256} ../b.rec\n".encode(),
        "/a.rec": CONTENT,
    }
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, files, asked))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.fixture
def no_mirror(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(fetch, "data_root", lambda: None)


def register(monkeypatch: pytest.MonkeyPatch, base: str, *, sha256: str = SHA256, **changes: object) -> None:
    files = (("spikes.mat", "spikes.mat", sha256),)
    fields = {"base": base, "files": files, "sums": "", **changes}
    monkeypatch.setitem(DATASETS, "rat-ca1", replace(DATASETS["rat-ca1"], **fields))


@pytest.mark.usefixtures("no_mirror")
def test_a_download_resumes_and_is_verified(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, asked: list[str]
) -> None:
    register(monkeypatch, address)
    folder = tmp_path / "rat-ca1-linear-track"
    folder.mkdir()
    (folder / "spikes.mat.part").write_bytes(CONTENT[:1000])
    assert fetch_dataset("rat-ca1", tmp_path) == folder
    assert (folder / "spikes.mat").read_bytes() == CONTENT
    assert asked == ["/spikes.mat bytes=1000-"]
    fetch_dataset("rat-ca1", tmp_path)
    assert len(asked) == 1
    assert [path.name for path in folder.iterdir()] == ["spikes.mat"]


@pytest.mark.usefixtures("no_mirror")
def test_a_finished_part_is_not_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    register(monkeypatch, address)
    folder = tmp_path / "rat-ca1-linear-track"
    folder.mkdir()
    (folder / "spikes.mat.part").write_bytes(CONTENT)
    fetch_dataset("rat-ca1", tmp_path)
    assert (folder / "spikes.mat").read_bytes() == CONTENT


@pytest.mark.usefixtures("no_mirror")
def test_a_broken_download_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, asked: list[str]
) -> None:
    register(monkeypatch, address, files=(("spikes.mat", "cut.mat", SHA256),))
    folder = tmp_path / "rat-ca1-linear-track"
    with pytest.raises(SharpwaveError, match=r"a connection to 127.0.0.1.*it resumes"):
        fetch_dataset("rat-ca1", tmp_path)
    assert [path.name for path in folder.iterdir()] == ["spikes.mat.part"]
    fetch_dataset("rat-ca1", tmp_path)
    assert asked == ["/cut.mat bytes=0-", "/cut.mat bytes=589824-"]
    assert (folder / "spikes.mat").read_bytes() == CONTENT


@pytest.mark.usefixtures("no_mirror")
@pytest.mark.parametrize("name", ["whole.mat", "spikes.mat"])
def test_a_part_that_does_not_fit_is_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, name: str
) -> None:
    """The server does not know byte ranges, or the part is longer than the file."""
    register(monkeypatch, address, files=(("spikes.mat", name, SHA256),))
    folder = tmp_path / "rat-ca1-linear-track"
    folder.mkdir()
    (folder / "spikes.mat.part").write_bytes(b"other" * len(CONTENT))
    fetch_dataset("rat-ca1", tmp_path)
    assert (folder / "spikes.mat").read_bytes() == CONTENT
    assert [path.name for path in folder.iterdir()] == ["spikes.mat"]


@pytest.mark.usefixtures("no_mirror")
def test_nothing_is_written_outside_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    register(monkeypatch, address, files=(("../spikes.mat", "spikes.mat", SHA256),))
    with pytest.raises(SharpwaveError, match="a file inside"):
        fetch_dataset("rat-ca1", tmp_path)
    assert not (tmp_path / "spikes.mat").exists()


@pytest.mark.usefixtures("no_mirror")
def test_another_file_than_was_published_is_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    register(monkeypatch, address, sha256="0" * 64)
    with pytest.raises(SharpwaveError, match=r"SHA-256 000000000000.*was deleted"):
        fetch_dataset("rat-ca1", tmp_path)
    assert not list((tmp_path / "rat-ca1-linear-track").iterdir())


@pytest.mark.usefixtures("no_mirror")
def test_the_sources_own_sums_choose_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    register(monkeypatch, address, files=(), sums="SUMS.txt", suffixes=(".rec",))
    folder = fetch_dataset("rat-ca1", tmp_path)
    assert [path.name for path in folder.iterdir()] == ["a.rec"]


@pytest.mark.usefixtures("no_mirror")
def test_offline_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    register(monkeypatch, "http://127.0.0.1:9/")
    with pytest.raises(SharpwaveError, match=r"a connection to 127.0.0.1:9.*SHARPWAVE_DATA"):
        fetch_dataset("rat-ca1", tmp_path)
    register(monkeypatch, address + "elsewhere/")
    with pytest.raises(SharpwaveError, match="404"):
        fetch_dataset("rat-ca1", tmp_path)
    register(monkeypatch, "file:///etc/")
    with pytest.raises(SharpwaveError, match="an http or https address"):
        fetch_dataset("rat-ca1", tmp_path)
    with pytest.raises(SharpwaveError, match=r"no program can download.*Zenodo"):
        fetch_dataset("dreams", tmp_path)


def test_a_mirror_is_copied_and_an_interrupted_copy_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = tmp_path / "mirror" / "rat-ca1-linear-track"
    (mirror / "inner").mkdir(parents=True)
    (mirror / "spikes.mat").write_bytes(CONTENT)
    (mirror / "inner" / "notes.txt").write_text("a")
    monkeypatch.setenv("SHARPWAVE_DATA", str(tmp_path / "mirror"))
    assert fetch_dataset("rat-ca1") == mirror
    folder = tmp_path / "out" / "rat-ca1-linear-track"
    folder.mkdir(parents=True)
    (folder / "spikes.mat").write_bytes(CONTENT[:-1] + b"x")
    assert fetch_dataset("rat-ca1", tmp_path / "out") == folder
    assert compute_checksum(folder) == compute_checksum(mirror)


def test_checksums_see_names_and_contents(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("1")
    first = compute_checksum(tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")
    renamed = compute_checksum(tmp_path)
    (tmp_path / "b").write_text("2")
    assert len({first, renamed, compute_checksum(tmp_path)}) == 3
