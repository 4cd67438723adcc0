"""Tasks of text: the five of glue5, the five domains of qa5, and folders of a user's own.

Training and test items never share a text (classes) or a paragraph (questions). Files are untrusted: sizes are looked
at first, every line is checked, and what is wrong is said with its file and line.
"""

from __future__ import annotations

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sharpwave.errors import SharpwaveError
from sharpwave.untrusted import parse_json

MOST_BYTES = 256 << 20
MOST_LINES = 500_000
MOST_LETTERS = 50_000
"""Largest file (unpacked), most lines of it, and longest text of one line that are read."""
MOST_CLASSES = 200


@dataclass(frozen=True)
class Labelled:
    """A text and what it is.

    Attributes:
        text: The text.
        label: Its class, a word.
    """

    text: str
    label: str

    @property
    def source(self) -> str:
        """What training and test items must not share."""
        return self.text


@dataclass(frozen=True)
class Question:
    """A question about a paragraph, and where its answer is.

    Attributes:
        question: The question.
        context: The paragraph.
        answers: Right answers, as they stand in the paragraph.
        start: Place of the first letter of the first of them.
    """

    question: str
    context: str
    answers: tuple[str, ...]
    start: int

    @property
    def source(self) -> str:
        """What training and test items must not share."""
        return self.context


Item = Labelled | Question


@dataclass(frozen=True)
class TextTask:
    """One task of text.

    Attributes:
        name: Its name.
        train: Items to learn from.
        test: Items to be judged on.
    """

    name: str
    train: tuple[Item, ...]
    test: tuple[Item, ...]

    @property
    def labels(self) -> tuple[str, ...]:
        """The classes of its training items; none where it asks questions."""
        return tuple(sorted({item.label for item in self.train if isinstance(item, Labelled)}))

    def draw(self, *, n_train: int, n_test: int, rng: np.random.Generator, validation: bool = False) -> TextTask:
        """So many of its items.

        Args:
            n_train: Number of training items; all where there are fewer.
            n_test: Number of test items.
            rng: Random generator.
            validation: Draw both from the training items alone, by source.
        """
        train, test = self.train, self.test
        if validation:
            sources = sorted({item.source for item in train})
            kept = set(rng.permutation(len(sources))[: max(1, len(sources) // 5)].tolist())
            judged = {source for number, source in enumerate(sources) if number in kept}
            train, test = split_by_source(train, judged)
        return TextTask(self.name, _draw(train, n_train, rng), _draw(test, n_test, rng))


def _draw(items: Sequence[Item], n_items: int, rng: np.random.Generator) -> tuple[Item, ...]:
    return tuple(items[row] for row in rng.permutation(len(items))[:n_items])


def split_by_source(items: Sequence[Item], judged: set[str]) -> tuple[tuple[Item, ...], tuple[Item, ...]]:
    """Items of other sources than those judged, and items of those.

    >>> first, second = Labelled("a", "yes"), Labelled("b", "no")
    >>> split_by_source([first, second], {"b"}) == ((first,), (second,))
    True
    """
    return tuple(i for i in items if i.source not in judged), tuple(i for i in items if i.source in judged)


def make_task(name: str, train: Iterable[Item], test: Iterable[Item]) -> TextTask:
    """A task whose training items share no source with its test items; those that do are left out of training."""
    tested = tuple(test)
    return TextTask(name, split_by_source(tuple(train), {item.source for item in tested})[0], tested)


def load_glue5(folder: Path) -> list[TextTask]:
    """CoLA, SST-2, QQP, MNLI and AG News, each class a word of its own.

    Args:
        folder: Folder of data sets, with `text` in it.

    Raises:
        SharpwaveError: If a file is missing.
    """
    text = folder / "text"
    cola, sst, news, glue = text / "cola" / "raw", text / "SST-2", text / "agnews", text / "glue-like"
    said = {"cola": {"0": "wrong", "1": "right"}, "sst-2": {"0": "negative", "1": "positive"}}
    qqp, sci = {"False": "different", "True": "same"}, {"Sci/Tech": "Science"}
    return [
        make_task(
            "cola",
            _read_tsv(cola / "in_domain_train.tsv", 3, 1, words=said["cola"]),
            _read_tsv(cola / "in_domain_dev.tsv", 3, 1, words=said["cola"]),
        ),
        make_task(
            "sst-2",
            _read_tsv(sst / "train.tsv", 0, 1, words=said["sst-2"]),
            _read_tsv(sst / "dev.tsv", 0, 1, words=said["sst-2"]),
        ),
        make_task("qqp", *(list(read_items(glue / f"qqp-{part}.jsonl.gz", words=qqp)) for part in PARTS)),
        make_task("mnli", *(_leave_out(read_items(glue / f"mnli-{part}.jsonl.gz"), "-") for part in PARTS)),
        make_task(
            "ag-news",
            _read_tsv(news / "dev.tsv", 0, 1, words=sci, strict=False),
            _read_tsv(news / "test.tsv", 0, 1, words=sci, strict=False),
        ),
    ]


PARTS = ("train", "test")


def _leave_out(items: Iterable[Item], label: str) -> list[Item]:
    """Those of other labels: where annotators did not agree, MNLI has none."""
    return [item for item in items if not isinstance(item, Labelled) or item.label != label]


def _read_tsv(path: Path, text: int, label: int, *, words: dict[str, str], strict: bool = True) -> list[Labelled]:
    _check_file(path)
    with path.open(encoding="utf-8", newline="") as file:
        rows = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        wide = [row for row in rows if len(row) > max(text, label)]
    return [
        Labelled(row[text].strip(), words.get(row[label], row[label]))
        for row in wide
        if row[label] in words or (not strict and row[label])
    ]


def load_qa5(folder: Path) -> list[TextTask]:
    """XQuAD in English and four domains of SubjQA; questions that have an answer alone, paragraphs apart.

    Args:
        folder: Folder of data sets, with `text` in it.

    Raises:
        SharpwaveError: If a file is missing.
    """
    path = folder / "text" / "xquad.en.json"
    _check_file(path)
    content = json.loads(path.read_text(encoding="utf-8"))
    wiki = [
        Question(asked["question"], each["context"], (found["text"],), found["answer_start"])
        for article in content["data"]
        for each in article["paragraphs"]
        for asked in each["qas"]
        for found in asked["answers"][:1]
    ]
    contexts = sorted({each.context for each in wiki})
    train, test = split_by_source(wiki, set(contexts[::4]))
    tasks = [TextTask("xquad", train, test)]
    for name in ("electronics", "grocery", "restaurants", "tripadvisor"):
        files = [folder / "text" / "subjqa" / f"{name}-{part}.jsonl.gz" for part in PARTS]
        tasks.append(make_task(name, *(list(read_items(file)) for file in files)))
    return tasks


def load_folder(folder: Path) -> list[TextTask]:
    """The tasks of a folder of a user's own: `NAME-train.jsonl[.gz]` and `NAME-test.jsonl[.gz]` for each.

    A line is `{"text": ..., "label": ...}`, or SQuAD's `question`, `context` and `answers` (`text`, `answer_start`).
    Classes of the same name are one class, in whatever task.

    Args:
        folder: The folder.

    Raises:
        SharpwaveError: If there are no tasks, a part is missing, tasks are of different kinds, or a line is no item.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        match = re.fullmatch(r"(.+)-(train|test)\.jsonl(\.gz)?", path.name)
        if match:
            parts = found.setdefault(match[1], {})
            if match[2] in parts:
                raise SharpwaveError(
                    f"one file of {match[1]}-{match[2]}",
                    got=f"{parts[match[2]].name} and {path.name}",
                    fix="remove one",
                )
            parts[match[2]] = path
    if not found:
        raise SharpwaveError(
            "a folder of tasks: NAME-train.jsonl and NAME-test.jsonl for each",
            got=f"none in {folder.name}",
            fix='write a line {"text": ..., "label": ...} for each item',
        )
    tasks = []
    for name, parts in found.items():
        for part in PARTS:
            if part not in parts:
                raise SharpwaveError(f"{name}-{part}.jsonl", got="none", fix="each task needs both parts")
        tasks.append(make_task(name, *(list(read_items(parts[part])) for part in PARTS)))
    check_tasks(tasks)
    return tasks


def check_tasks(tasks: Sequence[TextTask]) -> None:
    """Raise where a task has too few items or classes, or tasks ask for different kinds of answers."""
    kinds = {type(item) for task in tasks for item in (*task.train, *task.test)}
    if len(kinds) > 1:
        raise SharpwaveError("tasks of one kind", got="classes and questions", fix="put them into two folders")
    for task in tasks:
        if len(task.train) < 2 or not task.test:
            raise SharpwaveError(
                f"items in both parts of {task.name}, of different texts or paragraphs",
                got=f"{len(task.train)} to learn from that the test does not hold, {len(task.test)} to be judged on",
                fix="add items; a text that is in both parts counts as a test item alone",
            )
        if kinds == {Labelled}:
            unknown = sorted({i.label for i in task.test if isinstance(i, Labelled)} - set(task.labels))
            if unknown or not 2 <= len(task.labels) <= MOST_CLASSES:
                raise SharpwaveError(
                    f"2 to {MOST_CLASSES} classes in {task.name}, each of them among its training items",
                    got=f"{len(task.labels)} classes"
                    + (f", and in the test {', '.join(unknown[:3])}" if unknown else ""),
                    fix="add training items of every class, or take the others out of the test",
                )


def read_items(path: Path, *, words: dict[str, str] | None = None) -> Iterator[Item]:
    """The items of a file with one in a line; questions without an answer are left out.

    Args:
        path: JSON lines, packed by gzip where the name ends so.
        words: Words in place of labels.

    Raises:
        SharpwaveError: If the file is too large, or a line is no item.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "mood-train.jsonl")
    ...     _ = path.write_text('{"text": "well done", "label": "good"}')
    ...     list(read_items(path))
    [Labelled(text='well done', label='good')]
    """
    for number, line in enumerate(_read_lines(path), 1):
        where = f"line {number} of {path.name}"
        try:
            content = parse_json(line, name=where)
        except (ValueError, RecursionError) as error:
            raise SharpwaveError(f"JSON in {where}", got=str(error), fix="write one object in each line") from error
        item = _parse_item(content, where)
        if isinstance(item, Labelled) and words:
            item = Labelled(item.text, words.get(item.label, item.label))
        if item is not None:
            yield item


def _parse_item(content: object, where: str) -> Item | None:
    if isinstance(content, dict) and isinstance(content.get("text"), str) and "label" in content:
        text, label = content["text"], content["label"]
        if isinstance(label, str | int) and text.strip() and str(label).strip():
            return Labelled(text, str(label).strip())
    elif isinstance(content, dict) and all(isinstance(content.get(name), str) for name in ("question", "context")):
        answers = content.get("answers")
        found = answers.get("text") if isinstance(answers, dict) else None
        starts = answers.get("answer_start") if isinstance(answers, dict) else None
        if isinstance(found, list) and isinstance(starts, list) and len(found) == len(starts):
            pairs = [(f, s) for f, s in zip(found, starts, strict=True) if isinstance(f, str) and isinstance(s, int)]
            stands = [(f, s) for f, s in pairs if s >= 0 and f.strip() and content["context"][s : s + len(f)] == f]
            if not found:
                return None
            if len(stands) == len(found):
                return Question(content["question"], content["context"], tuple(f for f, _ in stands), stands[0][1])
    raise SharpwaveError(
        f'{{"text": ..., "label": ...}}, or question, context and answers that stand at answer_start, in {where}',
        got=str(content)[:80],
        fix="give a text that is not empty and a label, or SQuAD's fields",
    )


def _read_lines(path: Path) -> Iterator[bytes]:
    _check_file(path)
    opener: Callable[..., gzip.GzipFile] = gzip.open if path.suffix == ".gz" else open  # type: ignore[assignment]
    total = 0
    try:
        with opener(path, "rb") as file:
            for number in range(MOST_LINES + 1):
                line = file.readline(8 * MOST_LETTERS)
                total += len(line)
                if not line:
                    return
                if total > MOST_BYTES or number == MOST_LINES or len(line) >= 8 * MOST_LETTERS:
                    raise SharpwaveError(
                        f"at most {MOST_BYTES >> 20} MB, {MOST_LINES} lines and {8 * MOST_LETTERS} bytes a line in "
                        f"{path.name}",
                        got=f"more in line {number + 1}",
                        fix="take a part of it",
                    )
                if line.strip():
                    yield line
    except (EOFError, gzip.BadGzipFile, OSError) as error:
        raise SharpwaveError(f"{path.name} packed by gzip", got=str(error), fix="pack it again") from error


def _check_file(path: Path) -> None:
    if not path.is_file():
        raise SharpwaveError(
            f"{path.name} in the folder of data", got="no such file", fix="name the folder that holds it with --data"
        )
    if path.stat().st_size > MOST_BYTES:
        raise SharpwaveError(f"at most {MOST_BYTES >> 20} MB in {path.name}", got="more", fix="take a part of it")
