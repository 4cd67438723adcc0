"""Whole or not at all: what is ours is replaced, what is not stays, a process that dies leaves the old or the new."""

from __future__ import annotations

import os
import resource
import signal
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from sharpwave import outputs
from sharpwave.disk import find_changed, hash_files, hash_path
from sharpwave.errors import SharpwaveError
from sharpwave.outputs import READY, check_folder, locate_file, replace_file, replace_files, replace_folder, write_file

KNOWN = {"a.txt", "b.txt", "c.txt"}


def write_both(folder: Path, text: str) -> None:
    """Two files that belong together."""
    with replace_files(folder) as partial:
        (partial / "a.txt").write_text(text)
        (partial / "b.txt").write_text(text)


def write_all(folder: Path, text: str) -> None:
    """A folder that is ours altogether."""
    with replace_folder(folder, known=KNOWN) as partial:
        (partial / "a.txt").write_text(text)
        (partial / "b.txt").write_text(text)


def list_names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def break_off(replacing: AbstractContextManager[Path], name: str = "") -> None:
    """Fail half-way through writing."""
    with replacing as partial:
        (partial / name).write_text("half")
        raise ZeroDivisionError


def kill_at(moment: int, act: Callable[[], None]) -> bool:
    """Run in a process that is killed before its nth change on the disk; whether it came that far."""
    process = os.fork()
    if process == 0:
        count = 0

        def watch(event: str, arguments: tuple) -> None:
            nonlocal count
            if event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir", "shutil.rmtree") or (
                event == "open" and isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)
            ):
                count += 1
                if count == moment:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        act()
        os._exit(0)
    return os.WIFSIGNALED(os.waitpid(process, 0)[1])


def write_one_by_one(folder: Path, text: str) -> None:
    """One file after the other."""
    for name in ("a.txt", "b.txt"):
        write_file(folder / name, text)


def test_a_kill_within_one_file_leaves_the_old_or_the_new_and_nothing_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outputs, "YOUNG", -1.0)
    moment, killed, left = 0, True, 0
    while killed:
        moment += 1
        folder = tmp_path / str(moment) / "out"
        write_one_by_one(folder, "old")
        killed = kill_at(moment, lambda folder=folder: write_one_by_one(folder, "new"))
        assert {(folder / name).read_text() for name in ("a.txt", "b.txt")} <= {"old", "new"}
        left += len(list_names(folder)) > 2
        check_folder(folder, known={"a.txt", "b.txt"})  # what a killed process left is no one else's
        write_one_by_one(folder, "next")
        assert list_names(folder) == ["a.txt", "b.txt"]
    assert moment > 5
    assert left, "no kill left anything: the test tests nothing"


def test_what_another_process_is_writing_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "YOUNG", -1.0)
    with replace_file(tmp_path / "a.txt") as partial:
        partial.write_text("first")
        write_file(tmp_path / "a.txt", "second")
        assert partial.read_text() == "first"
    assert (tmp_path / "a.txt").read_text() == "first"
    (tmp_path / ".a.txt.partial-mine").mkdir()
    (tmp_path / ".a.txt.partial-mine" / "thesis.docx").write_text("years of work")
    write_file(tmp_path / "a.txt", "third")
    assert (tmp_path / ".a.txt.partial-mine" / "thesis.docx").exists(), "its name is none of ours"


@pytest.mark.parametrize("write", [write_both, write_all])
@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_kill_at_any_moment_leaves_the_old_or_the_new(
    write: Callable[[Path, str], None], can_exchange: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not can_exchange:
        monkeypatch.setattr(outputs, "exchange_folders", lambda *_: False)
    monkeypatch.setattr(outputs, "YOUNG", -1.0)
    seen, moment, killed = set(), 0, True
    while killed:
        moment += 1
        folder = tmp_path / str(moment) / "out"
        write(folder, "old")
        killed = kill_at(moment, lambda folder=folder: write(folder, "new"))
        if folder.exists() or can_exchange:
            found = [locate_file(folder, name).read_text() for name in ("a.txt", "b.txt")]
            assert len(set(found)) == 1, f"mixed after kill {moment}: {found}"
            seen.add(found[0])
        write(folder, "next")
        assert [(folder / name).read_text() for name in ("a.txt", "b.txt")] == ["next", "next"]
        assert list_names(folder) == ["a.txt", "b.txt"]
        assert list_names(folder.parent) == ["out"], "what dead processes left is cleaned away"
    assert seen == {"old", "new"}
    assert moment > 8


def test_a_folder_is_replaced_whole(tmp_path: Path) -> None:
    with replace_folder(tmp_path / "out", known=KNOWN) as partial:
        (partial / "c.txt").write_text("old")
    (tmp_path / "out" / ".DS_Store").write_text("")
    write_all(tmp_path / "out", "new")
    assert list_names(tmp_path / "out") == ["a.txt", "b.txt"]
    assert list_names(tmp_path) == ["out"]


@pytest.mark.parametrize("stranger", ["thesis.docx", "a.txt/deep.txt", ".hidden", "folder/a.txt"])
def test_what_is_not_ours_stays(stranger: str, tmp_path: Path) -> None:
    (tmp_path / "out" / stranger).parent.mkdir(parents=True)
    (tmp_path / "out" / stranger).write_text("years of work")
    with pytest.raises(SharpwaveError, match="nothing was changed"):
        check_folder(tmp_path / "out", known=KNOWN)
    with pytest.raises(SharpwaveError, match="which sharpwave did not write"):
        write_all(tmp_path / "out", "new")
    assert (tmp_path / "out" / stranger).read_text() == "years of work"
    assert list_names(tmp_path) == ["out"]


def test_what_comes_while_we_work_stays_and_so_do_the_results(tmp_path: Path) -> None:
    def work() -> None:
        with replace_folder(tmp_path / "out", known=KNOWN) as partial:
            (partial / "a.txt").write_text("results of an hour")
            (tmp_path / "out").mkdir()
            (tmp_path / "out" / "thesis.docx").write_text("years of work")

    with pytest.raises(SharpwaveError, match="the results are in"):
        work()
    assert (tmp_path / "out" / "thesis.docx").read_text() == "years of work"
    (kept,) = tmp_path.glob("out-*")
    assert (kept / "a.txt").read_text() == "results of an hour"


def test_an_error_in_the_block_changes_nothing(tmp_path: Path) -> None:
    write_all(tmp_path / "out", "old")
    for replacing in (replace_folder(tmp_path / "out", known=KNOWN), replace_files(tmp_path / "out")):
        with pytest.raises(ZeroDivisionError):
            break_off(replacing, "a.txt")
    assert (tmp_path / "out" / "a.txt").read_text() == "old"
    assert list_names(tmp_path / "out") == ["a.txt", "b.txt"]
    assert list_names(tmp_path) == ["out"]


def test_a_link_to_a_folder_elsewhere_is_followed(tmp_path: Path) -> None:
    for place in (tmp_path / "other disk" / "real", Path("/dev/shm") / f"sharpwave-test-{os.getpid()}"):
        if not place.parent.exists() and place.parent.parent == Path("/dev"):
            continue
        place.mkdir(parents=True)
        link = tmp_path / f"link-{place.name}"
        link.symlink_to(place)
        try:
            write_all(link, "old")
            write_all(link, "new")
            assert link.is_symlink()
            assert (place / "a.txt").read_text() == "new"
        finally:
            for path in place.iterdir():
                path.unlink()
            place.rmdir()


def test_where_a_shell_stands_files_are_replaced_within(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with replace_folder(tmp_path / "out", known=KNOWN) as partial:
        (partial / "c.txt").write_text("old")
    monkeypatch.chdir(tmp_path / "out")
    write_all(Path(), "new")
    assert list_names(Path.cwd()) == ["a.txt", "b.txt"]


def test_stale_files_go_and_others_stay(tmp_path: Path) -> None:
    for name in ("a.txt", "c.txt", "other.txt"):
        (tmp_path / name).write_text("old")
    with replace_files(tmp_path, stale=["a.txt", "c.txt", "../outside"]) as partial:
        (partial / "a.txt").write_text("new")
    assert list_names(tmp_path) == ["a.txt", "other.txt"]
    assert (tmp_path / "a.txt").read_text() == "new"


def test_files_that_are_complete_count_before_they_are_moved(tmp_path: Path) -> None:
    write_both(tmp_path, "old")
    (tmp_path / READY).mkdir()
    (tmp_path / READY / "b.txt").write_text("new")  # a.txt was moved already
    (tmp_path / "a.txt").write_text("new")
    assert locate_file(tmp_path, "b.txt").read_text() == "new"
    write_both(tmp_path / "elsewhere", "x")
    outputs.settle_files(tmp_path)
    assert (tmp_path / "b.txt").read_text() == "new"
    assert not (tmp_path / READY).exists()


@pytest.mark.parametrize("folder", ["file/out", "file", "x" * 300])
def test_a_place_that_cannot_be_written_is_said_before_the_work(folder: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    with pytest.raises(SharpwaveError, match="give another --output"):
        check_folder(tmp_path / folder, known=KNOWN)
    assert list_names(tmp_path) == ["file"]


def test_a_full_disk_is_said_in_words_and_leaves_what_was_there(tmp_path: Path) -> None:
    write_all(tmp_path / "out", "old")
    write_both(tmp_path / "both", "old")
    write_file(tmp_path / "page.html", "old")
    _, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, most))
    try:
        for write in (
            lambda: write_all(tmp_path / "out", "x" * 5000),
            lambda: write_both(tmp_path / "both", "x" * 5000),
            lambda: write_file(tmp_path / "page.html", "x" * 5000),
        ):
            with pytest.raises(SharpwaveError, match="room on the disk"):
                write()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
    assert (tmp_path / "out" / "a.txt").read_text() == (tmp_path / "both" / "b.txt").read_text() == "old"
    assert (tmp_path / "page.html").read_text() == "old"
    assert list_names(tmp_path) == ["both", "out", "page.html"]


def test_a_file_is_replaced_whole_through_its_link(tmp_path: Path) -> None:
    write_file(tmp_path / "real.txt", "old")
    (tmp_path / "link.txt").symlink_to(tmp_path / "real.txt")
    with pytest.raises(ZeroDivisionError):
        break_off(replace_file(tmp_path / "link.txt"))
    assert (tmp_path / "real.txt").read_text() == "old"
    write_file(tmp_path / "link.txt", "new")
    assert (tmp_path / "real.txt").read_text() == "new"
    assert list_names(tmp_path) == ["link.txt", "real.txt"]


def test_hashes_know_content_names_and_links(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "x.bin").write_bytes(b"same")
        (tmp_path / name / "back").symlink_to(tmp_path / name)
    os.utime(tmp_path / "two" / "deep" / "x.bin", (0, 0))
    assert hash_path(tmp_path / "one") == hash_path(tmp_path / "two"), "times are no content"
    (tmp_path / "two" / "deep" / "x.bin").write_bytes(b"sAme")
    assert hash_path(tmp_path / "one") != hash_path(tmp_path / "two")
    hashes = hash_files(tmp_path / "one" / "deep")
    assert find_changed(tmp_path / "one" / "deep", hashes) == []
    assert find_changed(tmp_path / "two" / "deep", hashes) == ["x.bin"]
