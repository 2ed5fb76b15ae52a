"""The index: what is put in is found, once."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from xnai_services.store import FILE, Reader, Writer, match_expression


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    writer = Writer(tmp_path)
    writer.put("1", "Turbine", "", ["The turbine was built in 1987.", "It stands at the lake."], 1.0)
    writer.put("2", "Soup", "", ["Lentil soup on Thursdays."], 2.0)
    writer.close()
    return tmp_path


@pytest.mark.parametrize(
    ("question", "found"),
    [
        pytest.param("When was the turbine built?", ["1"], id="a sentence"),
        pytest.param("lentils", ["2"], id="another form of the word"),
        pytest.param("turbine soup", ["1", "2"], id="two documents"),
        pytest.param("what is the", [], id="only stop words"),
        pytest.param('" OR 1=1 --', [], id="quotes"),
        pytest.param("NEAR(", [], id="an operator"),
        pytest.param("", [], id="empty"),
    ],
)
def test_search(question: str, found: list[str], directory: Path) -> None:
    assert sorted(passage.document for passage in Reader(directory).search(question, 5)) == found


def test_a_document_is_found_once_however_many_passages_match(directory: Path) -> None:
    assert len(Reader(directory).search("turbine lake", 5)) == 1


def test_a_document_of_the_same_id_is_not_added_again(directory: Path) -> None:
    with contextlib.closing(Writer(directory)) as writer:
        assert writer.put("1", "Other", "", ["other words"], 3.0) is False
    assert Reader(directory).search("other words", 5) == []


def test_a_failed_put_leaves_nothing(directory: Path) -> None:
    with contextlib.closing(Writer(directory)) as writer, pytest.raises(sqlite3.Error):
        writer.put("3", "x", "", ["found", object()], 1.0)  # type: ignore[list-item]
    assert (Reader(directory).count(), Reader(directory).search("found", 5)) == (2, [])


def test_a_missing_index_is_an_empty_one(tmp_path: Path) -> None:
    assert (Reader(tmp_path).count(), Reader(tmp_path).search("x", 5)) == (0, [])


def test_a_file_without_write_permission_in_a_read_only_folder_is_read(directory: Path) -> None:
    (directory / FILE).chmod(0o444)
    directory.chmod(0o555)
    try:
        assert Reader(directory).count() == 2
    finally:
        directory.chmod(0o755)


def test_words_of_the_query_language_are_words() -> None:
    assert match_expression("cats AND dogs OR NOT") == '"cats" OR "dogs" OR "not"'
