"""The index of curated documents: SQLite with FTS5. The curation worker writes it, the RAG API reads it.

The reader's volume may be mounted read-only, where a write-ahead log does not work: the journal is a rollback journal.
"""

import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FILE: Final = "index.sqlite"
_SCHEMA: Final = """
PRAGMA journal_mode = DELETE;
CREATE TABLE IF NOT EXISTS documents (id TEXT PRIMARY KEY, title TEXT NOT NULL, url TEXT NOT NULL, added REAL NOT NULL);
CREATE VIRTUAL TABLE IF NOT EXISTS chunks USING fts5(
    text, title, document UNINDEXED, position UNINDEXED, tokenize = 'porter unicode61 remove_diacritics 2');
"""
# Words that stand in every question and would let every document match.
_STOP: Final = frozenset(
    """a an and are as at be by can do does for from how i in is it me my of on or that the their this to was what when
    where which who why will with you your""".split()  # noqa: SIM905 - read as prose, a list of forty strings is not
)


@dataclass(frozen=True)
class Passage:
    """A chunk found. `score`: bm25, smaller is better."""

    document: str
    title: str
    url: str
    text: str
    score: float


def match_expression(question: str) -> str:
    """An FTS5 query: any of the question's words, each quoted, so that no word is an operator."""
    words = [word for word in re.findall(r"\w+", question.lower()) if word not in _STOP]
    return " OR ".join(f'"{word}"' for word in dict.fromkeys(words))


class Writer:
    """Makes and fills the index in `directory`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # One writer, one call at a time, but not always from the thread that made the connection.
        self._connection = sqlite3.connect(directory / FILE, isolation_level=None, timeout=30, check_same_thread=False)
        self._connection.executescript(_SCHEMA)

    def put(self, document: str, title: str, url: str, chunks: Sequence[str], added: float) -> bool:
        """Add a document in one transaction; False when the index has a document of this id."""
        execute = self._connection.execute
        execute("BEGIN IMMEDIATE")
        try:
            inserted = execute(
                "INSERT OR IGNORE INTO documents VALUES (?, ?, ?, ?)", (document, title, url, added)
            ).rowcount
            if inserted:
                rows = [(text, title, document, position) for position, text in enumerate(chunks)]
                self._connection.executemany(
                    "INSERT INTO chunks (text, title, document, position) VALUES (?, ?, ?, ?)", rows
                )
            execute("COMMIT")
        except BaseException:
            execute("ROLLBACK")
            raise
        return bool(inserted)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


class Reader:
    """Searches the index in `directory`. A missing index is an empty one."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / FILE

    def _connect(self) -> sqlite3.Connection | None:
        if not self._file.exists():
            return None
        return sqlite3.connect(f"file:{self._file}?mode=ro", uri=True, timeout=2)

    def search(self, question: str, limit: int) -> list[Passage]:
        """The best passages, one a document. Blocking: some milliseconds. Raises sqlite3.Error."""
        expression = match_expression(question)
        connection = self._connect() if expression else None
        if connection is None:
            return []
        try:
            rows = connection.execute(
                "SELECT c.document, d.title, d.url, c.text, bm25(chunks, 1.0, 2.0) AS score FROM chunks c"
                " JOIN documents d ON d.id = c.document WHERE chunks MATCH ? ORDER BY score LIMIT ?",
                (expression, limit * 4),
            ).fetchall()
        finally:
            connection.close()
        best: dict[str, Passage] = {}
        for row in rows:
            best.setdefault(row[0], Passage(*row))
        return list(best.values())[:limit]

    def count(self) -> int:
        """How many documents there are. Raises sqlite3.Error."""
        connection = self._connect()
        if connection is None:
            return 0
        try:
            return int(connection.execute("SELECT count(*) FROM documents").fetchone()[0])
        finally:
            connection.close()
