"""The table of settings: every way to give one, what is refused and how, and what stays with the crawl."""

from __future__ import annotations

from pathlib import Path
from types import NoneType
from typing import Any, Literal, get_args, get_origin, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler import Crawl, units
from crawler.config import load
from crawler.errors import DamagedCrawl, UsageError
from crawler.fetch import ENGINES
from crawler.keywords import Changeable, Fixed, Keywords, OfProcess
from crawler.settings import TABLE, Kind, Settings, coerce, format_value, parse, parse_change, parse_values


def _refused(wrong: Any, *words: str) -> None:
    with pytest.raises(UsageError) as caught:
        wrong()
    message = str(caught.value)
    assert "\n" not in message
    for word in words:
        assert word in message


def test_each_fetcher_may_be_chosen_and_the_first_is_the_default() -> None:
    assert (TABLE["fetcher"].choices, Settings().fetcher) == (ENGINES, ENGINES[0])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0", 0), ("1.5", 1.5), ("500ms", 0.5), ("2s", 2), ("10m", 600), ("10min", 600), ("2H", 7200), (" 1 d ", 86_400)],
)
def test_times(text: str, seconds: float) -> None:
    assert units.duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1", "1w", "1,5", "inf", "nan", "1e3", "٣", "9" * 400, "4000d"])
def test_what_is_no_time(text: str) -> None:
    _refused(lambda: parse("delay", text), "delay: ")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1024", 1024),
        ("512k", 512 * 1024),
        ("10M", 10 << 20),
        ("10MiB", 10 << 20),
        ("10MB", 10_000_000),
        ("1.5k", 1536),
        ("1G", 1 << 30),
        ("1 tib", 1 << 40),
        ("7b", 7),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert units.size(text) == size


@pytest.mark.parametrize("text", ["", "big", "-1", "1P", "9" * 400, "9" * 400 + "T", "1e3"])
def test_what_is_no_size(text: str) -> None:
    _refused(lambda: parse("max_size", text), "max-size: ")


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("workers", "0"),
        ("workers", "two"),
        ("workers", "9" * 5000),
        ("concurrency", "-1"),
        ("retries", "15"),
        ("max_depth", "1.5"),
        ("max_depth", "²"),
        ("lease_term", "2s"),
        ("timeout", "0"),
        ("page_timeout", "0"),
        ("scope", "planet"),
        ("store", "everything"),
        ("fetcher", "browser"),
        ("crawl", "a b"),
        ("crawl", ""),
        ("crawl", "x" * 65),
        ("user_agent", " "),
        ("user_agent", "bot\r\nX: y"),
        ("user_agent", "bøt"),
        ("header", "no colon"),
        ("header", "bad name: x"),
        ("header", "X: a\r\nY: b"),
        ("ignore_robots", "maybe"),
    ],
)
def test_values_that_cannot_be_used(setting: str, text: str) -> None:
    _refused(lambda: parse(setting, text), setting.replace("_", "-"))


def test_secrets_are_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        parse("header", "MARK")
    assert "MARK" not in str(caught.value)
    assert format_value("header", ("Authorization: MARK",)) == "(set)"
    assert format_value("redis", "redis://:MARK@localhost") == "(set)"
    assert format_value("header", ()) == "none"


def test_the_table_is_whole() -> None:
    """Each setting has a kind and a help; fixed and changeable ones survive the way through Redis, others do not go."""
    assert all(meta.help and not meta.help.endswith(".") for meta in TABLE.values())
    assert {meta.kind for meta in TABLE.values()} == set(Kind)
    changed = Settings(
        scope="host", delay=0.25, include=("a", "b"), max_pages=7, ignore_robots=True, redis="redis://x", hook="m:f"
    )
    stored = changed.encode()
    assert b"redis" not in stored
    assert b"m:f" not in stored
    assert Settings(workers=3).with_stored(stored) == Settings(
        scope="host", delay=0.25, include=("a", "b"), max_pages=7, ignore_robots=True, workers=3
    )


def test_what_another_version_stored_is_passed_over() -> None:
    assert Settings().with_stored(b'{"delay": 2.0, "later": [1], "redis": "redis://evil"}') == Settings(delay=2.0)


@pytest.mark.parametrize("setting", [n for n, meta in TABLE.items() if not meta.secret])
def test_what_is_shown_can_be_given(setting: str) -> None:
    """The default of each setting, as `crawler set` shows it, is read back as itself."""
    default = getattr(Settings(), setting)
    shown = format_value(setting, default)
    if TABLE[setting].many and default:
        assert parse_values(setting, [shown]) == default
    elif TABLE[setting].many or (default is None and setting == "workers"):
        assert shown == "none"
    else:
        assert parse(setting, shown) == default


@given(st.floats(0, 3600).map(lambda seconds: round(seconds, 3)), st.integers(0, 1 << 40))
def test_times_and_sizes_are_shown_so_that_they_can_be_given(seconds: float, size: int) -> None:
    assert parse("delay", format_value("delay", seconds)) == pytest.approx(seconds, rel=1e-4)
    assert parse("max_size", format_value("max_size", size)) == size


def test_what_names_a_setting(tmp_path: Path) -> None:
    """Flag over environment over file over default; those that were named are known."""
    file = tmp_path / "crawler.toml"
    file.write_text(
        'delay = "2s"\nuser-agent = "file/1"\nmax-pages = 5\nexclude = ["a", "b"]\ninclude = "c"\n'
        'store = ["links", "text"]\n'
    )
    environ = {"CRAWLER_DELAY": "3", "CRAWLER_USER_AGENT": "env/1", "CRAWLER_HEADER": "X: y", "OTHER": "1"}
    loaded = load({"delay": 4.0}, environ, file)
    assert loaded.named == {
        *("delay", "user_agent", "max_pages", "exclude", "include", "store", "header"),
    }
    assert loaded.settings == Settings(
        delay=4.0,
        user_agent="env/1",
        max_pages=5,
        exclude=("a", "b"),
        include=("c",),
        store=("text", "links"),
        header=("X: y",),
    )


def test_an_empty_variable_counts_as_not_set(tmp_path: Path) -> None:
    environ = {"CRAWLER_DELAY": "", "CRAWLER_EXCLUDE": "", "CRAWLER_REDIS": ""}
    loaded = load({}, environ, tmp_path / "none.toml")
    assert (loaded.settings, loaded.named) == (Settings(), frozenset())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("delay = ", ("cannot be read",)),
        ("colour = 1", ("'colour'", "no setting", "`crawler run --help`")),
        ("dely = 1", ("'dely'", "did you mean delay?")),
        ("pages = 1", ("'pages'", "did you mean max-pages?")),
        ('[crawl]\ndelay = "1s"', ("[crawl]", "without tables")),
        ('delay = "soon"', ("delay", "'soon'")),
        ("[redis]\nurl = 1", ("[redis]", "without tables")),
        ("delay = [1, 2]", ("delay", "one value")),
        ("include = [[1]]", ("include", "a list of values")),
        ("\xff\xfe", ("cannot be read",)),
    ],
)
def test_files_that_cannot_be_used(tmp_path: Path, text: str, words: tuple[str, ...]) -> None:
    file = tmp_path / "crawler.toml"
    file.write_bytes(text.encode("latin-1"))
    _refused(lambda: load({}, {}, file), "crawler.toml", *words)


def test_a_folder_in_place_of_the_file(tmp_path: Path) -> None:
    _refused(lambda: load({}, {}, tmp_path), "cannot be read")


@pytest.mark.parametrize(
    ("setting", "value", "found"),
    [
        ("delay", 1, 1.0),
        ("delay", "10m", 600.0),
        ("max_pages", 5, 5),
        ("max_pages", None, None),
        ("include", "a", ("a",)),
        ("include", ["a", "b"], ("a", "b")),
        ("include", None, ()),
        ("ignore_robots", True, True),
        ("ignore_robots", False, False),
        ("scope", "host", "host"),
    ],
)
def test_python_values(setting: str, value: Any, found: Any) -> None:
    assert coerce(setting, value) == found


@pytest.mark.parametrize(
    ("setting", "value"), [("colour", 1), ("delay", None), ("delay", -1), ("scope", 5), ("workers", 1.5)]
)
def test_python_values_that_cannot_be_used(setting: str, value: Any) -> None:
    _refused(lambda: coerce(setting, value), setting)


@pytest.mark.parametrize(("name", "meant"), [("dely", "delay"), ("maxpages", "max_pages"), ("pages", "max_pages")])
def test_a_misspelt_name_in_python_is_guessed(name: str, meant: str) -> None:
    _refused(lambda: coerce(name, 1), repr(name), f"did you mean {meant}?")


def _choices(hint: Any) -> tuple[Any, ...]:
    """What a type checker lets be given: of one value, or of each of several."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    return next((found for part in get_args(hint) if (found := _choices(part))), ())


def test_python_knows_the_settings_with_their_types() -> None:
    """Editors complete them, and a type checker finds a misspelt one or another type."""
    keywords, table = get_type_hints(Keywords), get_type_hints(Settings)
    for kind, of_kind in {Kind.FIXED: Fixed, Kind.CHANGEABLE: Changeable, Kind.PROCESS: OfProcess}.items():
        own = [name for name, meta in TABLE.items() if meta.kind is kind and name not in ("redis", "crawl", "hook")]
        assert list(get_type_hints(of_kind)) == own
    for name, hint in keywords.items():
        assert TABLE[name].choices == _choices(hint), name
        assert (NoneType in get_args(hint)) == (NoneType in get_args(table[name])), name
        assert (hint is bool) == TABLE[name].switch, name
    for wrong in (
        lambda: Crawl(dely=1),  # type: ignore[call-arg]
        lambda: Crawl(scope="planet"),  # type: ignore[arg-type]
        lambda: Crawl(max_pages="many"),  # type: ignore[arg-type]
    ):
        with pytest.raises(UsageError):
            wrong()


def test_what_decided_a_setting(tmp_path: Path) -> None:
    """Nothing for the command line, a variable before the file, and then the message names both."""
    file = tmp_path / "crawler.toml"
    file.write_text('redis = "redis://a"\nfolder = "b"\n')
    loaded = load({"delay": 1.0}, {"CRAWLER_REDIS": "redis://c", "CRAWLER_CRAWL": "d"}, file)
    assert loaded.decided == {
        "redis": "CRAWLER_REDIS, not crawler.toml",
        "crawl": "CRAWLER_CRAWL",
        "folder": "crawler.toml",
        "delay": "",
    }


def test_changes() -> None:
    assert parse_change("delay", ("2s",)) == 2.0
    assert parse_change("max_pages", ("none",)) is None
    assert parse_change("include", ("a", "b")) == ("a", "b")
    assert parse_change("include", ("none",)) == ()
    assert parse_change("include", ("",)) == ()
    _refused(lambda: parse_change("scope", ("host",)), "fixed", "--fresh")
    _refused(lambda: parse_change("workers", ("2",)), "belongs to a command", "--workers")
    _refused(lambda: parse_change("colour", ("2",)), "no setting of a crawl", "`crawler set`")
    _refused(lambda: parse_change("--dely", ("2",)), "no setting of a crawl", "did you mean delay?")
    _refused(lambda: parse_change("delay", ()), "one value")
    _refused(lambda: parse_change("delay", ("1", "2")), "one value")
    _refused(lambda: parse_change("include", ()), "values")


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"", "cannot be used"),
        (b"[1]", "cannot be used"),
        (b"\xff", "cannot be used"),
        (b'{"delay": "1s"}', "delay: "),
        (b'{"include": [1]}', "include: "),
        (b'{"max_pages": 1.5}', "max-pages: "),
        (b'{"scope": "planet"}', "scope: 'planet' is not one of host, site, prefix, all"),
    ],
)
def test_settings_that_no_version_stores_are_refused_by_name(raw: bytes, words: str) -> None:
    with pytest.raises(DamagedCrawl, match="crawl 'x'") as caught:
        Settings(crawl="x").with_stored(raw)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings_that_take_many_values_take_one_a_line_from_the_environment(tmp_path: Path) -> None:
    lines = "a.example: Authorization: x\n\n  \nAccept: y\n"
    loaded = load({}, {"CRAWLER_HEADER": lines, "CRAWLER_EXCLUDE": "one"}, tmp_path / "crawler.toml")
    assert loaded.settings.header == ("a.example: Authorization: x", "Accept: y")
    assert loaded.settings.exclude == ("one",)
