"""Numbers and dates as people write them."""

from __future__ import annotations

import time
from datetime import date, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crawler.parse.values import Order, iso_date, number


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("7", 7),
        ("Price: 1,234.56 USD", 1234.56),
        ("1.234,56 €", 1234.56),
        ("1 234,5", 1234.5),
        ("1\u202f234,5", 1234.5),
        ("CHF 1'234.50", 1234.5),
        ("1.234.567", 1234567),
        ("12,34,567.89", 1234567.89),
        ("1,234", 1234),
        ("1.234", 1.234),
        ("1.234 €", 1234),
        ("$1.234", 1234),
        ("EUR 1.234,-", 1234),
        ("19,\u2013", 19),
        ("0,123", 0.123),
        ("12,5 %", 12.5),
        (".99", 0.99),
        ("-3", -3),
        ("\u22123", -3),
        ("from 2-3 people", 2),
        ("A-5", 5),
        ("2.5e3 kg", 2500.0),
        ("\u0663\u066b\u0661\u0664", 3.14),
        ("10 20", 10),
        ("4,5 von 5", 4.5),
    ],
)
def test_a_number_as_people_write_it(text: str, value: float) -> None:
    found = number(text)
    assert (found, type(found)) == (value, type(value))


@pytest.mark.parametrize(
    ("text", "decimal", "value"),
    [("1,234", ",", 1.234), ("1.234", ",", 1234), ("1.234", ".", 1.234), ("1,234.5", ".", 1234.5), ("12", ",", 12)],
)
def test_the_decimal_mark_may_be_named(text: str, decimal: str, value: float) -> None:
    assert number(text, decimal) == value


@pytest.mark.parametrize("text", ["", "none", "3.11.2", "1,23,4", "1" * 19, "1e999", "1.234.56", "12.5.1"])
def test_what_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="number"):
        number(text)


@given(st.integers(-(10**12), 10**12))
def test_an_integer_is_read_back_however_it_is_grouped(value: int) -> None:
    for mark in (",", " ", "'", "_"):
        assert number(f"{value:,}".replace(",", mark) + " pieces") == value


@given(st.decimals(-(10**9), 10**9, places=2))
def test_a_price_is_read_back_in_either_convention(value: object) -> None:
    english = f"{value:,}"
    continental = english.translate(str.maketrans(",.", ".,"))
    assert number(english) == number(continental) == pytest.approx(float(str(value)))


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2024-01-05", "2024-01-05"),
        ("20240105", "2024-01-05"),
        ("updated 2024-01-05 10:30", "2024-01-05T10:30:00"),
        ("2024-01-05T10:30:00.123Z", "2024-01-05T10:30:00+00:00"),
        ("2024-01-05T10:30-0530", "2024-01-05T10:30:00-05:30"),
        ("Fri, 05 Jan 2024 10:00:00 GMT", "2024-01-05T10:00:00+00:00"),
        ("5 January 2024", "2024-01-05"),
        ("January 5th, 2024 at 3:05 PM", "2024-01-05T15:05:00"),
        ("Mon, 5 February 2024 12:15 a.m.", "2024-02-05T00:15:00"),
        ("5. März 2024, 14:30 Uhr", "2024-03-05T14:30:00"),
        ("5 de enero de 2024", "2024-01-05"),
        ("le 1er août 2024", "2024-08-01"),
        ("5 января 2024", "2024-01-05"),
        ("12-Jan-2024", "2024-01-12"),
        ("05.01.2024", "2024-01-05"),
        ("13/1/2024", "2024-01-13"),
        ("1/13/2024", "2024-01-13"),
        ("5/5/2024", "2024-05-05"),
        ("2024/1/5", "2024-01-05"),
        ("2024年1月5日 10:30", "2024-01-05T10:30:00"),
        ("January 2024", "2024-01"),
        ("2024-01", "2024-01"),
        (" 2024 ", "2024"),
        ("2024-01-05T24:00", "2024-01-05"),
    ],
)
def test_a_date_as_people_write_it(text: str, iso: str) -> None:
    assert iso_date(text) == iso


@pytest.mark.parametrize(
    ("order", "lang", "iso"),
    [
        ("dmy", "", "2024-06-05"),
        ("mdy", "de", "2024-05-06"),
        (None, "en-US", "2024-05-06"),
        (None, "en-GB", "2024-06-05"),
        (None, "fr", "2024-06-05"),
    ],
)
def test_a_date_that_may_mean_two_days_is_read_by_its_order(order: Order | None, lang: str, iso: str) -> None:
    assert iso_date("5/6/2024", order, lang) == iso


@pytest.mark.parametrize("lang", ["", "en"])
def test_without_an_order_it_is_refused(lang: str) -> None:
    with pytest.raises(ValueError, match="two days: say which by order"):
        iso_date("5/6/2024", lang=lang)


@pytest.mark.parametrize("text", ["", "soon", "v1.2.2024", "2024-02-30", "2024-13", "in 2024 or later", "1:30"])
def test_what_is_no_date_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="date"):
        iso_date(text)


@given(st.dates(min_value=date(1000, 1, 1)), st.times())
def test_a_date_is_read_back(day: date, clock: object) -> None:
    for form in ("%Y-%m-%d", "%d %B %Y", "%B %d, %Y", "%d.%m.%Y", "%Y/%m/%d"):
        assert iso_date(day.strftime(form)) == day.isoformat()
    moment = datetime.fromisoformat(f"{day}T{clock}").replace(microsecond=0)
    assert iso_date(f"at {moment}") == moment.isoformat()


@given(st.text())
def test_any_text_gives_a_value_or_a_reason(text: str) -> None:
    for read in (number, iso_date):
        try:
            assert isinstance(read(text), int | float | str)
        except ValueError as error:
            assert str(error)


@pytest.mark.parametrize("text", ["1," * 9_999, "1 000" * 9_999, "mar " * 9_999, "1 de " * 9_999, " " * 99_999])
def test_no_text_takes_long(text: str) -> None:
    began = time.process_time()
    for read in (number, iso_date):
        try:
            read(text)
        except ValueError:
            continue
    assert time.process_time() - began < 1


MONTHS = {
    "en": "January February March April May June July August September October November December",
    "cs": "ledna února března dubna května června července srpna září října listopadu prosince",
    "da": "januar februar marts april maj juni juli august september oktober november december",
    "de": "Januar Februar März April Mai Juni Juli August September Oktober November Dezember",
    "es": "enero febrero marzo abril mayo junio julio agosto septiembre octubre noviembre diciembre",
    "fr": "janvier février mars avril mai juin juillet août septembre octobre novembre décembre",
    "it": "gennaio febbraio marzo aprile maggio giugno luglio agosto settembre ottobre novembre dicembre",
    "nl": "januari februari maart april mei juni juli augustus september oktober november december",
    "no": "januar februar mars april mai juni juli august september oktober november desember",
    "pl": "stycznia lutego marca kwietnia maja czerwca lipca sierpnia września października listopada grudnia",
    "pt": "janeiro fevereiro março abril maio junho julho agosto setembro outubro novembro dezembro",
    "ru": "января февраля марта апреля мая июня июля августа сентября октября ноября декабря",
    "sv": "januari februari mars april maj juni juli augusti september oktober november december",
}


@pytest.mark.parametrize("language", MONTHS)
def test_months_are_known_by_their_names(language: str) -> None:
    found = [iso_date(f"7. {name} 2024") for name in MONTHS[language].split()]
    assert found == [f"2024-{month:02}-07" for month in range(1, 13)]
