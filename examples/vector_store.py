"""Put a site into a store that is searched by meaning: Markdown in chunks, each with its embedding, in SQLite.

python examples/vector_store.py https://example.org "how do I install it?"

`embed` below needs no model and works offline: it hashes words, so it finds pages that share words with the question.
Put a function of a model in its place, such as `SentenceTransformer("all-MiniLM-L6-v2").encode`.
"""

from __future__ import annotations

import math
import re
import sqlite3
import sys
import zlib
from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from crawler import Crawl, Record

Vector = Sequence[float]
Embed = Callable[[list[str]], Sequence[Vector]]
"""Makes a vector for each of some texts."""

SIZE = 512
LONGEST = 1_500
"""Characters of a chunk: most models read about 256 to 512 tokens."""


class Chunk(NamedTuple):
    """A part of a page under one heading."""

    url: str
    heading: str
    text: str


class Hit(NamedTuple):
    """A chunk that was found, and how near it is to the question: 1 is the same direction."""

    score: float
    chunk: Chunk


def chunks_of(record: Record) -> Iterator[Chunk]:
    """The page in parts: a new one at each heading of its Markdown, and where one would become too long."""
    heading, lines = record.title or record.url, list[str]()
    for line in (record.markdown or record.text or "").splitlines():
        title = re.match(r"#{1,6} +(.+)", line)
        if title or sum(map(len, lines)) > LONGEST:
            yield from _chunk(record.url, heading, lines)
            lines = []
        heading = title[1] if title else heading
        lines.append(line)
    yield from _chunk(record.url, heading, lines)


def _chunk(url: str, heading: str, lines: Sequence[str]) -> Iterator[Chunk]:
    if text := "\n".join(lines).strip():
        yield Chunk(url, heading, text)


def embed(texts: list[str]) -> Sequence[Vector]:
    """A vector for each text: its words, hashed into SIZE places."""
    vectors = []
    for text in texts:
        vector = [0.0] * SIZE
        for word in re.findall(r"\w+", text.lower()):
            vector[zlib.crc32(word.encode()) % SIZE] += 1.0
        vectors.append(vector)
    return vectors


class Store:
    """Chunks and their vectors in a SQLite file."""

    def __init__(self, file: str, embed: Embed) -> None:
        self._embed = embed
        self._database = sqlite3.connect(file)
        self._database.execute("CREATE TABLE IF NOT EXISTS chunks (url TEXT, heading TEXT, text TEXT, vector BLOB)")
        self._database.execute("CREATE INDEX IF NOT EXISTS by_url ON chunks (url)")

    def put(self, url: str, chunks: Sequence[Chunk]) -> None:
        """Store the chunks of a page in place of those that it had before."""
        vectors = self._embed([f"{chunk.heading}\n{chunk.text}" for chunk in chunks])
        rows = [(*chunk, array("f", vector).tobytes()) for chunk, vector in zip(chunks, vectors, strict=True)]
        with self._database:
            self._database.execute("DELETE FROM chunks WHERE url = ?", (url,))
            self._database.executemany("INSERT INTO chunks VALUES (?, ?, ?, ?)", rows)

    def search(self, question: str, most: int = 5) -> list[Hit]:
        """The chunks nearest to *question*, by cosine. A larger store wants an index, such as sqlite-vec or FAISS."""
        (asked,) = self._embed([question])
        rows = self._database.execute("SELECT url, heading, text, vector FROM chunks")
        hits = [Hit(_cosine(asked, array("f", raw)), Chunk(*chunk)) for *chunk, raw in rows]
        return sorted(hits, reverse=True)[:most]


def _cosine(one: Vector, other: Vector) -> float:
    lengths = math.hypot(*one) * math.hypot(*other)
    return sum(a * b for a, b in zip(one, other, strict=True)) / lengths if lengths else 0.0


def main() -> None:
    *sites, question = sys.argv[1:]
    store = Store("pages.vectors", embed)
    with Crawl(sites, name="vectors", store=["markdown", "text"], max_pages=500) as crawl:
        for record in crawl:
            if record.outcome == "fetched" and record.duplicate_of is None:
                store.put(record.url, list(chunks_of(record)))
    for score, chunk in store.search(question):
        print(f"{score:.2f}  {chunk.heading}  {chunk.url}")


if __name__ == "__main__":
    main()
