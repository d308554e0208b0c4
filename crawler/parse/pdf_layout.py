"""Lines of a PDF to HTML: headings, paragraphs, lists, code, and what repeats at the edges of pages. Pure.

A PDF has letters at places, no structure. Sizes, gaps and indents of the lines show what was meant.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Final, Literal, NamedTuple, TypeVar
from unicodedata import normalize

from crawler.parse.pdf_line import Line, PdfPage

_T = TypeVar("_T")
Kind = Literal["heading", "paragraph", "bullet", "number", "code", "edge"]

_LISTS: Final[dict[Kind, str]] = {"bullet": "ul", "number": "ol"}
_LARGER: Final = 1.12
"""A heading's letters are larger than the body's by this factor."""
_MAX_HEADING: Final = 200
"""Characters; what is longer is a paragraph in large letters."""
_MIN_PITCH: Final = 0.8
_MAX_PITCH: Final = 2.5
"""Lines of one paragraph are that far apart, in sizes of their letters."""
_APART: Final = 1.25
"""A gap between lines that is larger than the usual one by this factor separates paragraphs."""
_INDENT: Final = 0.8
"""An indent of this many letters' sizes begins a paragraph, or belongs to a list."""
_EDGE_LINES: Final = 2
"""How many lines at the top and the bottom of a page may be its header and its footer."""
_SAME: Final = 10
"""Lines at the edges of pages are the same if so many characters are: a title may follow."""
_NEIGHBOURS: Final = 2
"""A header repeats within this many pages: left and right pages may have their own."""

_BULLET = re.compile(r"[•‣◦▪●○■□–—·∙➢✓*-](?:\s+|\Z)")
_NUMBER = re.compile(r"\(?(\d{1,3})[.)]\s+(?=\S)")
_SECTION = re.compile(r"(?:chapter |appendix |section )?(?:\d{1,2}|[A-Z])(?:\.\d{1,2})*\.?\s+\S", re.I)
_LEADER = re.compile(r"\s*(?:[.·…] ?){4,}\s*")
_ENDS = re.compile(r"[.!?:;。！？：][)\"'”’»]*\Z")
_DIGITS = re.compile(r"\d+|\b[ivxlc]+\b", re.I)
_HYPHEN = re.compile("(?<=\\w)[\x02\ufffe](?=[^\\W\\d_])")
_MARK = re.compile("[\x02\ufffe]")
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ufffe\uffff\ud800-\udfff]")
_LIGATURES: Final = str.maketrans({code: normalize("NFKC", chr(code)) for code in range(0xFB00, 0xFB07)})
# TeX's old fonts have accents as letters of their own, in front of the letter that they belong to.
_ACCENTS: Final = {"¨": "\u0308", "´": "\u0301", "ˆ": "\u0302", "˜": "\u0303", "ˇ": "\u030c", "˚": "\u030a"}
_ACCENTED = re.compile(f"([{''.join(_ACCENTS)}])([^\\W\\d_])")
_CJK = re.compile("[\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef]")


@dataclass(slots=True)
class Block:
    """What becomes one element."""

    kind: Kind
    html: str
    last: Line
    level: int = 0
    """Of a heading; the number of a list's item."""
    lines: int = 1
    left: float = 0.0
    """Of code: where its lines begin."""
    rows: list[Line] = field(default_factory=list)
    """Of code."""


class _Style(NamedTuple):
    """What is usual in the document."""

    size: float
    """Of the body's letters."""
    pitch: float
    """From one line to the next, in sizes of the letters."""
    levels: dict[int, int]
    """Half points of letters -> level of the headings that have them."""
    right: float
    """Where full lines end."""


def to_html(pages: Sequence[PdfPage]) -> str:
    """The content of `<body>` for a document of these *pages*."""
    style = _style(pages)
    edges = [_apart(page, found, style) for page, found in zip(pages, _edges(pages), strict=True)]
    blocks: list[Block] = []
    for number, page in enumerate(pages):
        _add_page(blocks, page, edges[number], style)
    return _written(blocks)


def clean(text: str) -> str:
    """*text* without control characters; words that were divided at the end of a line are whole again."""
    text = _MARK.sub("-", _HYPHEN.sub("", text)).translate(_LIGATURES)
    text = _ACCENTED.sub(lambda found: normalize("NFC", found[2] + _ACCENTS[found[1]]), text)
    return _CONTROLS.sub("", text)


# -- what is usual -----------------------------------------------------------------------------------------------------


def _style(pages: Sequence[PdfPage]) -> _Style:
    letters: Counter[int] = Counter()
    gaps: Counter[float] = Counter()
    rights: Counter[int] = Counter()
    for page in pages:
        before: Line | None = None
        for line in page.lines:
            letters[_half_points(line)] += len(line.text)
            rights[round(line.right / 5) * 5] += 1
            if before is not None and before.size == line.size and _MIN_PITCH < _gap(before, line) < _MAX_PITCH:
                gaps[round(_gap(before, line), 1)] += 1
            before = line
    body = letters.most_common(1)[0][0] if letters else 0
    total = sum(letters.values())
    large = sorted((size for size in letters if size > body * _LARGER and letters[size] < total / 4), reverse=True)
    levels = {size: min(level, 5) for level, size in enumerate(_merged(large), 1)}
    for size in large:  # sizes that differ by rounding only have one level
        levels.setdefault(size, next(levels[near] for near in (size + 1, size - 1, *levels) if near in levels))
    pitch = max(gaps, key=lambda gap: (gaps[gap], -gap), default=1.2)
    return _Style(body / 2, pitch, levels, _full(rights))


def _half_points(line: Line) -> int:
    return round(min(line.size, 1000.0) * 2)


def _merged(sizes: list[int]) -> Iterable[int]:
    """*sizes* without those that are within half a point of a larger one."""
    before = 0
    for size in sizes:
        if before - size > 1 or not before:
            yield size
            before = size


def _full(rights: Counter[int]) -> float:
    """The right end that most of the long lines share."""
    few = sum(rights.values()) / 20
    return float(max((right for right, count in rights.items() if count >= few), default=0))


# -- edges of pages ----------------------------------------------------------------------------------------------------


def _edges(pages: Sequence[PdfPage]) -> list[set[int]]:
    """For each page the numbers of the lines that are its header and its footer."""
    candidates = [_candidates(page) for page in pages]
    found: list[set[int]] = []
    places: list[set[int]] = []
    for at, own in enumerate(candidates):
        near = {key for other in _near(candidates, at) for key in other.values()}
        found.append({number for number, key in own.items() if key in near})
        places.append({own[number][0] for number in found[at]})
    for at, own in enumerate(candidates):  # a header with a title of its own stands where its neighbours have theirs
        known = {place for other in _near(places, at) for place in other}
        found[at] |= {number for number, key in own.items() if key[0] in known and pages[at].lines[number].size}
    return found


def _apart(page: PdfPage, found: set[int], style: _Style) -> set[int]:
    """Those of the lines *found* at the edges that stand apart from the text."""
    order = sorted(range(len(page.lines)), key=lambda number: -page.lines[number].y)
    kept: set[int] = set()
    for way in (order, order[::-1]):
        count = next((at for at, number in enumerate(way) if number not in found), len(way))
        while (
            0 < count < len(way)
            and abs(_gap(page.lines[way[count - 1]], page.lines[way[count]])) < style.pitch * _APART
        ):
            count -= 1
        kept.update(way[:count])
    return kept


def _near(items: Sequence[_T], at: int) -> list[_T]:
    return [*items[max(at - _NEIGHBOURS, 0) : at], *items[at + 1 : at + 1 + _NEIGHBOURS]]


def _candidates(page: PdfPage) -> dict[int, tuple[int, str]]:
    """The highest and lowest lines of a page: number -> height, and how its text begins, without numbers."""
    order = sorted(range(len(page.lines)), key=lambda number: -page.lines[number].y)
    chosen = order[:_EDGE_LINES] + order[-_EDGE_LINES:]
    return {n: (round(page.lines[n].y / 2), _DIGITS.sub("#", page.lines[n].text[:50])[:_SAME]) for n in chosen}


# -- blocks ------------------------------------------------------------------------------------------------------------


def _add_page(blocks: list[Block], page: PdfPage, edges: set[int], style: _Style) -> None:
    kept: list[Block] = []
    for number, line in enumerate(page.lines):
        if number in edges:
            kept.append(Block("edge", _html(line), line))
            continue
        before = blocks[-1] if blocks else None
        if before is not None and _continues(before, line, style):
            _join(before, line)
        else:
            blocks.append(_begin(line, before, style))
    kept.extend(Block("edge", _anchor(url, url), page.lines[-1]) for url in page.links if page.lines)
    if not page.lines:
        kept.extend(Block("edge", _anchor(url, url), Line("", 0, 0, 0, 0)) for url in page.links)
    _put_edges(blocks, kept)


def _put_edges(blocks: list[Block], edges: list[Block]) -> None:
    """Put the *edges* of a page before its last block or list, which may continue on the next page."""
    at = max(len(blocks) - 1, 0)
    while at and blocks[at].kind in _LISTS and blocks[at - 1].kind == blocks[at].kind:
        at -= 1
    blocks[at:at] = edges


def _begin(line: Line, before: Block | None, style: _Style) -> Block:
    if level := _level(line, before, style):
        return Block("heading", _html(line), line, level)
    if line.is_mono:
        return Block("code", "", line, left=line.x, rows=[line])
    if bullet := _BULLET.match(line.text):
        return Block("bullet", _html(line, bullet.end()), line)
    if number := _NUMBER.match(line.text):
        return Block("number", _html(line, number.end()), line, int(number[1]))
    return Block("paragraph", _html(line), line)


def _level(line: Line, before: Block | None, style: _Style) -> int:
    """The level of a heading; 0 if it is none."""
    if len(line.text) > _MAX_HEADING or not any(map(str.isalpha, line.text)) or _LEADER.search(line.text):
        return 0
    if level := style.levels.get(_half_points(line)):
        return level
    is_apart = before is None or _gap(before.last, line) > style.pitch * _APART or before.last.y < line.y
    if line.is_bold and is_apart and line.size >= style.size and _SECTION.match(line.text):
        return min(len(set(style.levels.values())) + 1, 6)
    return 0


def _gap(before: Line, line: Line) -> float:
    """From one line to the next, in sizes of the letters; negative if the next one is higher."""
    return ((before.y if before.last_y is None else before.last_y) - line.y) / (line.size or 1)


def _continues(block: Block, line: Line, style: _Style) -> bool:
    """Whether *line* belongs to *block*."""
    before, gap = block.last, _gap(block.last, line)
    if abs(before.size - line.size) > 0.1 * max(before.size, line.size):
        return False
    is_higher = gap < -0.5 or gap > 10
    if block.kind == "heading":
        same = before.is_bold == line.is_bold and style.levels.get(_half_points(line), -1) == block.level
        return same and 0 <= gap < 1.6 and not _SECTION.match(line.text)
    if block.kind == "code" or line.is_mono:
        return block.kind == "code" and line.is_mono and not is_higher and gap < 4
    if _LEADER.search(before.text) or _BULLET.match(line.text):
        return block.kind == "bullet" and not block.html
    if _NUMBER.match(line.text) and (block.kind == "number" or line.x < before.x + 1):
        return False
    if is_higher:  # the next column or page
        is_full = before.right > style.right - 4 * before.size
        return not _ENDS.search(before.text) and (is_full or line.text[:1].islower())
    return gap <= style.pitch * _APART and not _begins_paragraph(block, line, style)


def _begins_paragraph(block: Block, line: Line, style: _Style) -> bool:
    """Whether *line*, which follows closely, begins a paragraph: by its indent, or since the last line ended early."""
    before = block.last
    shift = (line.x - before.x) / (line.size or 1)
    is_short = before.right < style.right - 8 * line.size
    if shift > _INDENT:  # the first line of a paragraph, or the second of a list's item
        return block.kind == "paragraph" and (block.lines > 1 or is_short)
    if shift < -_INDENT and block.kind in ("bullet", "number"):
        return block.lines > 1 or is_short
    return is_short and _ENDS.search(before.text) is not None


def _join(block: Block, line: Line) -> None:
    if block.kind == "code":
        block.rows.append(line)
        block.left = min(block.left, line.x)
    else:
        glue = "" if _CJK.match(line.text[:1]) and _CJK.match(block.last.text[-1:]) else " "
        block.html = f"{block.html}{glue}{_html(line)}".strip()
    block.last = line
    block.lines += 1


# -- writing -----------------------------------------------------------------------------------------------------------


def _html(line: Line, begin: int = 0) -> str:
    """The line from *begin* on, with its links."""
    parts, at = [], begin
    for start, end, url in line.links:
        if start < at:
            continue
        parts += [_escaped(line.text[at:start]), _anchor(url, line.text[start:end])]
        at = end
    return "".join((*parts, _escaped(line.text[at:])))


def _anchor(url: str, text: str) -> str:
    return f'<a href="{escape(_CONTROLS.sub("", url))}">{_escaped(text)}</a>'


def _escaped(text: str) -> str:
    return escape(_LEADER.sub(" … ", clean(text)), quote=False)


def _written(blocks: Sequence[Block]) -> str:
    parts: list[str] = []
    opened = ""
    for at, block in enumerate(blocks):
        wanted = _LISTS.get(block.kind, "")
        if opened and (wanted != opened or (wanted == "ol" and block.level != blocks[at - 1].level + 1)):
            parts.append(f"</{opened}>")
            opened = ""
        if wanted and not opened:
            parts.append(f'<ol start="{block.level}">' if wanted == "ol" else "<ul>")
            opened = wanted
        parts.append(_element(block))
    return "\n".join((*parts, f"</{opened}>")) if opened else "\n".join(parts)


def _element(block: Block) -> str:
    match block.kind:
        case "heading":
            return f"<h{block.level}>{block.html}</h{block.level}>"
        case "code":
            return f"<pre><code>{escape(_code(block), quote=False)}</code></pre>"
        case "bullet" | "number":
            return f"<li>{block.html}</li>"
        case "edge":
            return f"<footer>{block.html}</footer>"
        case "paragraph":
            return f"<p>{block.html}</p>"


def _code(block: Block) -> str:
    """Lines of code. Their places give the indents, which the text of a PDF does not have."""
    widths = sorted((row.right - row.x) / len(row.text) for row in block.rows if len(row.text) > 3)
    width = widths[len(widths) // 2] if widths else 0.6 * block.last.size
    lines: list[str] = []
    before: Line | None = None
    for row in block.rows:
        if before is not None and _gap(before, row) > 1.8:
            lines.append("")
        indent = min(round((row.x - block.left) / width), 80) if width > 0 else 0
        lines.append(" " * indent + clean(_MARK.sub("-", row.text)))
        before = row
    return "\n".join(lines)
