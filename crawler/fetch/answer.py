"""Reads one answer as it arrives, alike for both engines: header lines within bounds, then a body with a limit."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from crawler.fetch import mime
from crawler.fetch.decode import DecodeError, Decoder, decoders
from crawler.fetch.fetcher import FetchRequest, Headers, Response

MAX_HEADER_BYTES: Final = 256 * 1024
MAX_HEADER_LINES: Final = 500
"""Bounds for all header lines of one answer together, including interim answers and trailers."""
MAX_LINE_BYTES: Final = 100 * 1024
"""A header line with its end is shorter than this: libcurl's bound, so that both engines accept the same."""
SMALL: Final = 64 * 1024
"""A body of an unwanted type is read and discarded up to this size in bytes: cheaper than a new connection."""


MAX_FRAMING: Final = 1024 * 1024
MAX_FRAMING_RATIO: Final = 40
"""Bytes besides the body (chunk sizes and extensions, TLS) that are read of one answer: the first number, plus the
second for each byte of the body. Chunks of one byte, each in its own TLS record, need 35.
"""
WASTEFUL: Final = "hardly any body among its chunk extensions"
BODILESS: Final = (204, 304)
"""Statuses of answers that end with their header, whatever it says about a body (RFC 9112 section 6.3)."""
_VERSIONS: Final = frozenset({b"HTTP/1.0", b"HTTP/1.1", b"HTTP/2"})
"""Supported versions; libcurl writes the last one itself, and refuses it in a status line over HTTP/1."""
_SHORT: Final = 100
"""Longest header line that is cached, in bytes."""
_OF_URLS: Final = frozenset({"location", "refresh", "link"})
_FOREIGN = re.compile("[\udc80-\udcff]")
"""A byte that is not UTF-8, decoded by `surrogateescape`."""


class BadAnswer(Exception):
    """The answer breaks HTTP, its encoding, or a bound; the message says how."""


class Answer:
    """Takes what the server sends: `line` for each header line, `feed` for each piece of the body."""

    def __init__(self, request: FetchRequest) -> None:
        self.request = request
        self.status = 0
        """0 until the final header is complete."""
        self.version = b""
        self.headers = Headers()
        self.skipped = False
        self.truncated = False
        self.received = 0
        """Bytes of the body, as received."""
        self._framing = 0
        self._is_head = request.method == "HEAD"
        self._sniffs = self._is_unsure = False
        self._lines: list[bytes] = []
        self._count = 0
        self._bytes = 0
        self._chunks = bytearray()
        self._room = request.max_body
        self._raw = request.max_body + SMALL
        self._stages: list[Decoder] | None = None

    def line(self, raw: bytes) -> bool:
        """Take one header line with its line end; true after the last one of the final header.

        Interim answers (1xx, RFC 9110 section 15.2) and trailers are skipped. Raises BadAnswer.
        """
        self._count += 1
        self._bytes += len(raw)
        if self._count > MAX_HEADER_LINES or self._bytes > MAX_HEADER_BYTES or len(raw) >= MAX_LINE_BYTES:
            raise BadAnswer("header too large")
        if self.status:
            return False
        if raw.strip(b"\r\n"):
            if not self._lines and not raw.startswith(b"HTTP/"):
                raise BadAnswer(f"not HTTP: {raw[:60]!r}")
            self._lines.append(raw)
            return False
        lines, self._lines = self._lines, []
        if not lines:
            return False
        status = status_code(lines[0])
        if status == 101:
            raise BadAnswer("switches protocols unasked")
        if status < 200:
            return False
        self.version = lines[0].partition(b" ")[0]
        self.head(status, Headers(header_fields(lines[1:])))
        return True

    def head(self, status: int, headers: Headers) -> None:
        """Take the final header as a whole. Raises BadAnswer."""
        if headers.get("location") and len(set(headers.all("location"))) > 1:
            raise BadAnswer("several Location lines that differ")
        self.status = status
        self.headers = headers
        if not self._is_head:
            self._expect_body()

    def _expect_body(self) -> None:
        """Find out whether the body is wanted, and how it is encoded. Raises BadAnswer."""
        types, headers = self.request.types, self.headers
        if types is not None and self.status not in BODILESS:
            kind = headers.media_type.essence
            self._is_unsure = kind in self.request.unsure
            self._sniffs = not kind or self._is_unsure
            self.skipped = not self._sniffs and not kind.startswith(types)
        if headers.get("content-encoding"):
            try:
                self._stages = decoders(headers)
            except DecodeError as error:
                raise BadAnswer(str(error)) from None

    def feed(self, data: bytes) -> bool:
        """Take the next piece of the body as received; false when no more is wanted. Raises BadAnswer."""
        self.received += len(data)
        if self._is_head:
            return False
        if self.skipped:
            return self.small
        room = self._room
        over = False
        if self._stages:
            self._raw -= len(data)
            over = self._raw < 0  # a stream that decodes to nothing must end too
            try:
                for stage in self._stages:
                    data = stage.feed(data, room + 1)
                    over = over or len(data) > room
            except DecodeError as error:
                raise BadAnswer(str(error)) from None
        if over or len(data) > room:
            data = data[:room]
            self.truncated = True
        self._chunks += data
        self._room = room - len(data)
        if self._sniffs and len(self._chunks) >= mime.SNIFFED:
            self._sniff()
            return self.small if self.skipped else not self.truncated
        return not self.truncated

    def _sniff(self) -> None:
        """Judge the type of a body by its beginning if no header names it."""
        self._sniffs = False
        found = mime.sniff(self._chunks)
        if not found.startswith(self.request.types or "") or (self._is_unsure and found.startswith("text/")):
            self.skipped, self.truncated = True, False
            self._chunks = bytearray()

    def frame(self, size: int) -> None:
        """Count *size* bytes of chunk framing. Raises BadAnswer if there is too much of it."""
        self._framing += size
        if self.is_wasteful(self._framing):
            raise BadAnswer(WASTEFUL)

    def is_wasteful(self, framing: int) -> bool:
        """Whether *framing* bytes are too many for the body received so far."""
        return framing > MAX_FRAMING + MAX_FRAMING_RATIO * self.received

    @property
    def small(self) -> bool:
        """Whether the body is so small that reading the rest is better than closing the connection."""
        length = self.headers.get("content-length") or ""
        return length.isascii() and length.isdigit() and len(length) < 7 and int(length) <= SMALL

    @property
    def cut(self) -> bool:
        """Whether everything wanted has arrived, though the transfer did not end by itself."""
        return self.status != 0 and (self._is_head or self.truncated or self.skipped)

    def breaks_off(self) -> bool:
        """Whether the answer will do although the rest of its body fails (`body_may_fail`); then it is truncated."""
        will_do = self.status != 0 and self.request.body_may_fail
        self.truncated = self.truncated or will_do
        return will_do

    def forget(self) -> None:
        """Release the body: engines keep their last answer until the next one begins."""
        self._chunks = bytearray()
        self._stages = None

    def response(
        self, elapsed: float, first_byte: float, ended: float, address: str, certificate_expires: float | None = None
    ) -> Response:
        """The answer so far; times in seconds (see Response)."""
        if self._sniffs:
            self._sniff()
        stages = self._stages or ()
        broken = self._raw < self.request.max_body + SMALL and not all(stage.complete for stage in stages)
        part = self.status == 206 and not self._is_head  # (RFC 9110 section 15.3.7)
        return Response(
            url=self.request.url,
            status=self.status,
            headers=self.headers,
            body=bytes(self._chunks),
            truncated=self.truncated or broken or part,
            skipped=self.skipped,
            elapsed=elapsed,
            first_byte=first_byte,
            ended=ended,
            address=address,
            certificate_expires=certificate_expires,
        )


def status_code(line: bytes) -> int:
    """The code in a status line (RFC 9112 section 4), 100 to 999; BadAnswer for anything else."""
    words = line.split(None, 2)
    if len(words) < 2 or not words[0].startswith(b"HTTP/") or len(words[1]) != 3 or not words[1].isdigit():
        raise BadAnswer(f"not a status line: {line[:60]!r}")
    if words[0] not in _VERSIONS:
        raise BadAnswer(f"unknown version {words[0][:20]!r}")
    code = int(words[1])
    if code < 100:
        raise BadAnswer(f"status {code}")
    return code


def header_fields(lines: list[bytes]) -> list[tuple[str, str]]:
    """Names and values. Folded lines are joined (RFC 9112 section 5.2), lines without a name are dropped."""
    fields: list[tuple[str, str]] = []
    for line in lines:
        if line[:1] in b" \t":
            if fields:
                name, value = fields[-1]
                fields[-1] = (name, f"{value} {value_text(name, line.strip())}")
        elif field := _short_field(line) if len(line) <= _SHORT else _field(line):
            fields.append(field)
    return fields


def _field(line: bytes) -> tuple[str, str] | None:
    """The name and the value in one line; None if it has no name."""
    name, colon, value = line.partition(b":")
    if not (colon and name.strip()) or b"\0" in line:
        return None
    title = text(name.strip())
    return title, value_text(title, value.strip())


_short_field = lru_cache(maxsize=1024)(_field)  # most lines of a server are the same in each answer


def text(raw: bytes) -> str:
    """Header bytes as text: UTF-8, or else Latin-1, which accepts anything."""
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def value_text(name: str, raw: bytes) -> str:
    """The value of the header *name* as text.

    If it holds URLs, a byte that is not UTF-8 is percent-encoded, as browsers do: the server expects that byte back.
    """
    if raw.isascii() or name.lower() not in _OF_URLS:
        return text(raw)
    return _FOREIGN.sub(lambda byte: f"%{ord(byte[0]) - 0xDC00:02X}", raw.decode("utf-8", "surrogateescape"))
