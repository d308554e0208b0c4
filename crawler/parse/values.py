"""Numbers and dates as people write them, to values. Pure: no clock, no locale of the machine.

What can be read in two ways is refused with words that say so, never guessed silently; where a convention decides, the
docstring names it.
"""

from __future__ import annotations

import re
from datetime import date, datetime, time, timedelta, timezone
from typing import Final, Literal

Order = Literal["dmy", "mdy", "ymd"]
"""The order of day, month and year in a date of three numbers."""

MAX_TEXT: Final = 1_000
"""Characters that are searched for a number or a date."""
_MAX_DIGITS: Final = 18
"""JSON readers take integers of 64 bits."""

# -- numbers -----------------------------------------------------------------------------------------------------------

_SPACES: Final = " \u00a0\u2007\u2009\u202f"
_QUOTES: Final = "'\u2019\u02bc"
_DIGITS: Final = rf"\d+(?:[{_SPACES}{_QUOTES}_]\d{{3}}(?!\d)|[.,]\d+)*"
_NUMBER: Final = re.compile(
    rf"((?<!\w)[-+\u2212\uff0d]|)({_DIGITS}|[.,]\d+)([eE][-+]?\d{{1,3}}(?!\w))?(,[-\u2013\u2014])?"
)
_GROUPING: Final = str.maketrans("", "", f"{_SPACES}{_QUOTES}_")
_ARABIC: Final = str.maketrans({"\u066b": ".", "\u066c": "'", "\uff0e": ".", "\uff0c": ","})
_MINUS: Final = "-\u2212\uff0d"
_CURRENCY: Final = re.compile(
    r"[$\u00a2-\u00a5\u20a0-\u20cf]|(?<![^\W\d_])(?:AUD|BRL|CAD|CHF|CNY|CZK|DKK|EUR|GBP|HUF|IDR|ILS|INR|JPY|KRW|MXN"
    r"|NOK|NZD|PLN|RON|RUB|SEK|SGD|THB|TRY|UAH|USD|VND|ZAR|kr|zł|Kč|Ft|lei)(?![^\W\d_])"
)


def number(text: str, decimal: str = "") -> int | float:
    """The first number in *text*: `1,234.56`, `1.234,56 €`, `1 234,5`, `-3`, `2.5e3`. ValueError if there is none.

    *decimal* is the decimal mark, `.` or `,`. Without it: of two different marks the last one is the decimal mark; a
    mark that occurs more than once groups digits. A single mark is the decimal mark unless exactly three digits follow
    it. Then a comma groups (`1,234` is 1234), and a dot groups only beside a currency (`1.234 €` is 1234, `1.234` is
    not).
    """
    text = text[:MAX_TEXT].translate(_ARABIC)
    found = _NUMBER.search(text)
    if found is None:
        raise ValueError("it has no number")
    sign, digits, exponent, dash = found.groups()
    digits = digits.translate(_GROUPING)
    if len(digits) > _MAX_DIGITS:
        raise ValueError(f"its number has more than {_MAX_DIGITS} digits")
    mark = decimal or ("," if dash else _decimal_mark(digits, is_price=_CURRENCY.search(text) is not None))
    whole, point, rest = digits.rpartition(mark) if mark in digits else (digits, "", "")
    other = "." if mark == "," else ","
    if mark in whole or other in rest or not _is_grouped(whole, other):
        raise ValueError(f"{digits!r} is no number: its marks do not group digits by three")
    return _value(sign, whole.replace(other, ""), rest if point else "", exponent or "")


def _decimal_mark(digits: str, *, is_price: bool) -> str:
    dots, commas = digits.count("."), digits.count(",")
    if dots and commas:
        return max(".,", key=digits.rindex)
    mark = "." if dots else ","
    other = "," if dots else "."
    if dots + commas != 1:
        return other
    before, _, after = digits.partition(mark)
    may_group = len(after) == 3 and 1 <= len(before) <= 3 and before[0] != "0"
    return other if may_group and (mark == "," or is_price) else mark


def _is_grouped(digits: str, mark: str) -> bool:
    """Whether *mark*, if it occurs, stands where digits are grouped: by three, or in India by two before the last."""
    first, *groups = digits.split(mark)
    if not groups:
        return True
    return 1 <= len(first) <= 3 and len(groups[-1]) == 3 and all(len(group) in (2, 3) for group in groups)


def _value(sign: str, whole: str, rest: str, exponent: str) -> int | float:
    minus = "-" if sign and sign in _MINUS else ""
    if not rest and not exponent:
        return int(f"{minus}{whole}")
    value = float(f"{minus}{whole or '0'}.{rest or '0'}{exponent}")
    if value in (float("inf"), float("-inf")):
        raise ValueError("its number is too large")
    return value


# -- dates -------------------------------------------------------------------------------------------------------------

_MONTHS: Final = (
    "jan januar january janvier enero gennaio janeiro januari stycznia января январь ene genn janv ledna",
    "feb februar february février fevrier febrero febbraio fevereiro februari lutego февраля февраль févr fev února",
    "mar marts märz maerz march mars marzo março marco maart mrz marca марта март mär mrt března",
    "apr april avril abril aprile kwietnia апреля апрель avr abr dubna",
    "may mai mayo maggio maio mei maj maja мая май mag května",
    "jun juni june juin junio giugno junho czerwca июня июнь giu června",
    "jul juli july juillet julio luglio julho lipca июля июль juil lug července",
    "aug august août aout agosto augusto augustus augusti sierpnia августа август ago srpna",
    "sep sept september septembre septiembre settembre setembro września сентября сентябрь set sett září",
    "oct oktober october octobre octubre ottobre outubro października октября октябрь okt ott out října",
    "nov november novembre noviembre novembro listopada ноября ноябрь listopadu",
    "dec desember dezember december décembre diciembre dicembre dezembro grudnia декабря декабрь dez déc dic prosince",
)
_MONTH: Final = {name: n for n, names in enumerate(_MONTHS, 1) for name in names.split()}
_WORD: Final = r"([^\W\d_]{3,12})\.?"
_ISO: Final = re.compile(r"(?<!\d)(\d{4})-(\d\d)-(\d\d)(?!\d)|^\s*(\d{4})(\d\d)(\d\d)(?=T|\s*$)")
_YEAR_FIRST: Final = re.compile(r"(?<![\d./])(\d{4})\s?[./年-]\s?(\d{1,2})\s?[./月-]\s?(\d{1,2})日?(?!\d)")
_DAY_WORD: Final = re.compile(
    rf"(?<!\d)(\d{{1,2}})(?:st|nd|rd|th|er|º|ª)?\.?(?:\s+|-|/)(?:de\s+|of\s+)?{_WORD},?(?:\s+|-|/)(?:de\s+)?(\d{{4}})(?!\d)",
    re.IGNORECASE,
)
_WORD_DAY: Final = re.compile(rf"{_WORD}\s+(\d{{1,2}})(?:st|nd|rd|th)?,?\s+(\d{{4}})(?!\d)", re.IGNORECASE)
_NUMBERS: Final = re.compile(r"(?<![\w./-])(\d{1,2})\s?([./-])\s?(\d{1,2})\s?\2\s?(\d{4})(?!\d)")
_MONTH_ONLY: Final = re.compile(rf"\s*(?:(\d{{4}})-(\d\d)|{_WORD}\s+(?:de\s+)?(\d{{4}})|(\d{{4}}))\s*")
_TIME: Final = re.compile(
    r"[\sT,]{0,3}(?:at |um |à |om |kl\.? )?(\d{1,2}):(\d\d)(?::(\d\d)(?:[.,]\d+)?)?\s?([ap]\.?m\b\.?)?"
    r"(?:\s?(Z\b|UTC\b|GMT\b)?(?:\s?([+\u2212-])(\d\d):?(\d\d)(?!\d))?)",
    re.IGNORECASE,
)


def iso_date(text: str, order: Order | None = None, lang: str = "") -> str:
    """The first date in *text* in ISO 8601: `2024-01-05`, or `2024-01-05T10:30:00+01:00` if a time follows it.

    Read are ISO 8601, HTTP's date, `5 January 2024`, `January 5, 2024` (months in thirteen languages), `5.1.2024`,
    `2024/1/5`, `2024年1月5日`, and of a text that is nothing else `2024-01`, `January 2024` and `2024`. A date of three
    numbers with `/` or `-` and the year last has the *order*; without it, the order that its numbers or its *lang*
    (BCP 47) leave possible. ValueError if there is none, or if it may mean two days.
    """
    text = text[:MAX_TEXT]
    for pattern, read in _FORMS:
        for found in pattern.finditer(text):
            parts = read(found.groups(), order, lang)
            if parts is not None:
                return _with_time(_day(*parts), text, found.end())
    if (short := _MONTH_ONLY.fullmatch(text)) and (partial := _partial(*short.groups())):
        return partial
    raise ValueError("it has no date that can be read")


_Parts = tuple[int, int, int] | None
_Groups = tuple[str, ...]


def _iso(groups: _Groups, _order: Order | None, _lang: str) -> _Parts:
    year, month, day = [group for group in groups if group is not None]
    return int(year), int(month), int(day)


def _day_word(groups: _Groups, _order: Order | None, _lang: str) -> _Parts:
    month = _MONTH.get(groups[1].lower())
    return None if month is None else (int(groups[2]), month, int(groups[0]))


def _word_day(groups: _Groups, order: Order | None, lang: str) -> _Parts:
    return _day_word((groups[1], groups[0], groups[2]), order, lang)


def _numbers(groups: _Groups, order: Order | None, lang: str) -> _Parts:
    first, mark, second, year = int(groups[0]), groups[1], int(groups[2]), int(groups[3])
    if order is None and mark == ".":
        order = "dmy"
    if order is None and first != second and max(first, second) <= 12:
        order = _order_of(lang)
        if order is None:
            raise ValueError("its date may mean two days: say which by order = 'dmy' or 'mdy'")
    month_first = order == "mdy" or (order is None and second > 12)
    return (year, first, second) if month_first else (year, second, first)


_FORMS: Final = (
    (_ISO, _iso),
    (_YEAR_FIRST, _iso),
    (_DAY_WORD, _day_word),
    (_WORD_DAY, _word_day),
    (_NUMBERS, _numbers),
)


def _order_of(lang: str) -> Order | None:
    """The order of a language's dates; None for English alone, in which both are common."""
    lang = lang.lower().replace("_", "-")
    if lang == "en-us":
        return "mdy"
    return None if lang in ("", "en") else "dmy"


def _day(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError:
        raise ValueError(f"{year:04}-{month:02}-{day:02} is no date") from None


def _with_time(day: date, text: str, end: int) -> str:
    found = _TIME.match(text, end)
    if found is None:
        return day.isoformat()
    hour, minute, second, half, zone, sign, hours, minutes = found.groups()
    value = int(hour)
    if half:
        value = value % 12 + (12 if half[0] in "pP" else 0)
    try:
        clock = time(value, int(minute), int(second or 0))
    except ValueError:
        return day.isoformat()
    offset = timezone.utc if zone else None  # noqa: UP017 - beside other zones
    if sign and int(hours) < 24:
        shift = timedelta(hours=int(hours), minutes=int(minutes))
        offset = timezone(shift if sign == "+" else -shift)
    return datetime.combine(day, clock, offset).isoformat()


def _partial(year: str | None, month: str | None, word: str | None, of: str | None, alone: str | None) -> str | None:
    if year and month and 1 <= int(month) <= 12:
        return f"{year}-{month}"
    if word and of:
        named = _MONTH.get(word.lower())
        return None if named is None else f"{of}-{named:02}"
    return alone
