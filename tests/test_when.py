"""When something was, as a form says it."""

from contextlib import suppress
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from flask_babel import Babel
from hypothesis import given
from hypothesis import strategies as st

from mien import zone
from mien_web import when
from mien_web.when import WhenError

BERLIN = ZoneInfo("Europe/Berlin")
NOW = round(datetime(2026, 11, 21, 15, 30, tzinfo=BERLIN).timestamp() * 1000)


@pytest.fixture(autouse=True)
def words(app: Flask) -> object:
    with app.test_request_context():
        yield


@pytest.fixture(scope="module")
def app() -> Flask:
    app = Flask(__name__)
    Babel(app)
    return app


def of(now: int = NOW, **form: str) -> str:
    return when.of_form(form, now, BERLIN).isoformat()


def test_now_and_what_waited_on_a_phone() -> None:
    assert of() == of(when="now") == "2026-11-21T15:30:00+01:00"
    assert of(age_ms="3600000") == "2026-11-21T14:30:00+01:00"
    for nonsense in ("-5", "²", "", "1e9", "9" * 20):
        assert of(age_ms=nonsense) == of()
    longest = when.of_form({"age_ms": "9" * 14}, NOW, BERLIN)
    assert longest > zone.local(NOW, BERLIN) - timedelta(days=401)


def test_a_time_of_the_list_and_any_other() -> None:
    assert of(when="2026-11-20T20:00") == "2026-11-20T20:00:00+01:00"
    assert of(when="other", date="2026-07-01", time="07:05") == "2026-07-01T07:05:00+02:00"
    assert of(when="2026-11-20T20:00:00+00:00") == "2026-11-20T21:00:00+01:00"


@pytest.mark.parametrize(
    "form",
    [
        {"when": "other", "date": "2026-11-20", "time": ""},
        {"when": "other", "date": "", "time": "10:00"},
        {"when": "other", "date": "31.12.2025", "time": "10:00"},
        {"when": "other", "date": "0900-01-01", "time": "10:00"},
        {"when": "never"},
        {"when": "0001-01-01T00:00+23:00"},
    ],
)
def test_no_time_is_said(form: dict[str, str]) -> None:
    with pytest.raises(WhenError, match="Enter a date and a time"):
        when.of_form(form, NOW, BERLIN)


def test_what_lies_ahead_is_refused() -> None:
    with pytest.raises(WhenError, match="lies ahead"):
        of(when="other", date="2026-11-21", time="15:31")
    assert of(when="other", date="2026-11-21", time="15:30")


def test_an_hour_that_is_missing() -> None:
    with pytest.raises(WhenError, match=r"no 02:30.*such as 03:30"):
        of(when="other", date="2026-03-29", time="02:30")


def test_an_hour_that_comes_twice() -> None:
    with pytest.raises(WhenError, match="came twice") as caught:
        of(when="other", date="2026-10-25", time="02:30")
    assert caught.value.twice is not None
    assert [one.tzname() for one in caught.value.twice] == ["CEST", "CET"]
    first = of(when="other", date="2026-10-25", time="02:30", fold="0")
    second = of(when="other", date="2026-10-25", time="02:30", fold="1")
    assert (first[-6:], second[-6:]) == ("+02:00", "+01:00")


def test_times_that_one_often_means() -> None:
    values = [value for value, _ in when.choices(zone.local(NOW, BERLIN))]
    assert values == [
        "2026-11-21T12:00", "2026-11-21T08:00", "2026-11-20T20:00", "2026-11-20T12:00",
    ]  # fmt: skip
    early = when.choices(datetime(2026, 11, 21, 6, 0, tzinfo=BERLIN))
    assert [value for value, _ in early] == ["2026-11-20T20:00", "2026-11-20T12:00"]


@given(st.integers(0, 1_900_000_000), st.sampled_from(["Europe/Berlin", "Asia/Kathmandu", "UTC",
       "Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia"]))  # fmt: skip
def test_every_minute_that_was_can_be_said(minute: int, name: str) -> None:
    box = ZoneInfo(name)
    moment = zone.local(minute // 60 * 60_000, box)
    back = when.exact(when.parsed(when.iso(moment), box), box, moment.fold)
    assert back.timestamp() == moment.replace(second=0).timestamp()


@given(st.text(max_size=30))
def test_anything_else_is_refused(said: str) -> None:
    with suppress(WhenError):
        assert when.parsed(said, BERLIN).year >= when.EARLIEST
