"""What leaves the box: the record, the notes apart, the seconds, everything, a file for ELAN."""

import csv
import io
import itertools
import json
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.test import TestResponse

import pages
from mien import dossier
from mien_web import elan
from pages import Box, Browser

DAYS = {"from": "2027-01-01", "to": "2027-12-31"}


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def browser(box: Box) -> Browser:
    return box.browser()


@pytest.fixture
def told(box: Box) -> tuple[str, str]:
    """A client and a session of two minutes: topics, an excluded stretch, a capture, a note."""
    client = box.client("K-17", "live", "numbers", "pictures")
    box.clock.advance(300)
    box.readings(["happiness"] * 60 + ["sadness"] * 30 + [None] * 30)
    session = box.session(client, 120)
    user = box.user()
    for number, text in enumerate(["work", "=cmd()"]):
        box.write(
            "INSERT INTO keywords (id, user, text, used_utc) VALUES (?, ?, ?, 0)",
            f"k{number}", user, text,
        )  # fmt: skip
    for row in (
        ("t0", "k0", 0, 30_000),
        ("t1", "k1", 50_000, 50_000),
        ("t2", "k0", 40_000, 60_000),
    ):
        box.write(
            "INSERT INTO tags (id, session, keyword, from_ms, to_ms) VALUES (?, ?, ?, ?, ?)",
            row[0], session, *row[1:],
        )  # fmt: skip
    box.write(
        "INSERT INTO exclusions (id, session, from_ms, to_ms) VALUES ('x', ?, 10000, 20000)",
        session,
    )
    box.write(
        "INSERT INTO notes (id, session, at_ms, text) VALUES ('n', ?, 65000, 'a dream\x0b of it')",
        session,
    )
    box.write(
        "INSERT INTO captures (id, session, at_ms, face, crop, expression, probabilities, bundle) "
        "VALUES ('c1', ?, 70000, ?, ?, 4, ?, 'mien-fer-2')",
        session, b"\xff\xd8face", b"\x89PNGcrop", b"\x00" * 28,
    )  # fmt: skip
    box.write(
        "INSERT INTO corrections (capture, expression, user, utc) VALUES ('c1', 6, 'anna', 0)"
    )
    return client, session


def table(response: TestResponse) -> list[dict[str, str]]:
    assert response.status_code == 200, response.text
    return list(csv.DictReader(io.StringIO(response.data.decode("utf-8-sig"))))


def audited(box: Box) -> list[tuple[str, str, dict[str, Any]]]:
    rows = box.rows("SELECT action, subject, detail FROM audit WHERE action LIKE 'export.%'")
    return [(action, subject, json.loads(detail)) for action, subject, detail in rows]


def test_the_page_names_what_may_leave(browser: Browser, told: tuple[str, str]) -> None:
    said = pages.text(browser.get(f"/clients/{told[0]}/exports"))
    for words in ("Record", "Private notes", "Seconds, for research", "Everything", "ELAN"):
        assert words in said


def test_without_a_session_it_says_what_will_be_there(box: Box, browser: Browser) -> None:
    said = pages.text(browser.get(f"/clients/{box.client()}/exports"))
    assert "There is no finished session of K-17 yet" in said


def test_the_record_as_a_table(box: Box, browser: Browser, told: tuple[str, str]) -> None:
    (row,) = table(browser.post(f"/clients/{told[0]}/exports/record.csv", DAYS))
    assert row["Length (min)"] == "2"
    assert row["Topics"] == "'=cmd() (1×), work (2×, 50 s)"
    assert row["Looks like happiness (s)"] == "50", "ten seconds were excluded"
    assert row["Looks like sadness (s)"] == "30"
    assert (row["Cannot tell (s)"], row["Excluded (s)"]) == ("30", "10")
    assert (row["Captures"], row["Corrected"]) == ("1", "1")
    assert audited(box) == [
        ("export.record.csv", "K-17", {"sessions": 1, "days": "2027-01-01 – 2027-12-31"})
    ]


def test_the_record_as_a_pdf(browser: Browser, told: tuple[str, str]) -> None:
    response = browser.post(f"/clients/{told[0]}/exports/record.pdf", DAYS)
    assert response.mimetype == "application/pdf"
    assert response.data.startswith(b"%PDF-")
    assert b"dream" not in response.data
    assert "mien-K-17-record.pdf" in response.headers["Content-Disposition"]


def test_notes_stand_apart(browser: Browser, told: tuple[str, str]) -> None:
    response = browser.post(f"/clients/{told[0]}/exports/notes.txt", DAYS)
    assert "01:05  a dream" in response.text
    assert "dream" not in browser.post(f"/clients/{told[0]}/exports/record.csv", DAYS).text


def test_a_row_a_second(browser: Browser, told: tuple[str, str]) -> None:
    rows = table(browser.post(f"/clients/{told[0]}/exports/seconds.csv", DAYS))
    assert len(rows) == 120
    assert tuple(rows[0]) == dossier.COLUMNS
    assert (rows[0]["expression"], rows[0]["topics"], rows[0]["p_happiness"]) == (
        "happiness", "work", "0.761",
    )  # fmt: skip
    assert [row["second"] for row in rows if row["excluded"] == "1"] == [
        str(second) for second in range(10, 20)
    ]
    assert {row["expression"] for row in rows if row["excluded"] == "1"} == {""}
    assert [row["second"] for row in rows if "cmd" in row["topics"]] == ["50"]
    assert rows[119]["reason"] == "turned away"


def test_everything_of_a_client(box: Box, browser: Browser, told: tuple[str, str]) -> None:
    def archive(**form: str) -> zipfile.ZipFile:
        with browser.post(f"/clients/{told[0]}/exports/everything.zip", form) as response:
            assert response.content_length == len(response.data)
            return zipfile.ZipFile(io.BytesIO(response.data))

    plain = archive()
    assert plain.testzip() is None
    assert plain.read("captures/c1-face.jpg") == b"\xff\xd8face"
    client = json.loads(plain.read("client.json"))
    assert client["code"] == "K-17"
    assert {consent["kind"] for consent in client["consents"]} == {"live", "numbers", "pictures"}
    (session,) = client["sessions"]
    assert {topic["text"] for topic in session["topics"]} == {"work", "=cmd()"}
    assert session["captures"][0]["corrections"][0]["expression"] == "neutral"
    assert "notes" not in session
    assert len(plain.read("seconds.csv").decode().splitlines()) == 121
    assert "not inside" in plain.read("README.txt").decode()
    (session,) = json.loads(archive(notes="on").read("client.json"))["sessions"]
    assert session["notes"][0]["at_ms"] == 65_000
    assert audited(box)[0][2] == {"sessions": 1, "pictures": 1, "notes": False}


def test_a_session_for_elan(browser: Browser, told: tuple[str, str]) -> None:
    def tiers(**form: str) -> dict[str, list[str | None]]:
        response = browser.post(f"/sessions/{told[1]}/exports/elan.eaf", form)
        document = ElementTree.fromstring(response.data)
        return {
            tier.attrib["TIER_ID"]: [value.text for value in tier.iter("ANNOTATION_VALUE")]
            for tier in document.iter("TIER")
        }

    found = tiers()
    assert found["Expression looks like"] == [
        "happiness", "happiness", "sadness", "cannot tell: turned away",
    ]  # fmt: skip
    assert found["Excluded"] == ["excluded"]
    assert found["Captures"] == ["neutral"], "the person's word, not the program's"
    assert found["Topic: work"] == ["work", "work"]
    assert "Notes (private)" not in found
    assert tiers(notes="on")["Notes (private)"] == ["a dream  of it"]


@pytest.mark.parametrize(
    "days",
    [{}, {"from": "yesterday", "to": "today"}, {"from": "2027-02-01", "to": "2027-01-01"},
     {"from": "0001-01-01", "to": "9999-12-31"}],
)  # fmt: skip
def test_a_period_that_is_none(
    browser: Browser, told: tuple[str, str], days: dict[str, str]
) -> None:
    response = browser.post(f"/clients/{told[0]}/exports/record.csv", days)
    assert response.status_code == 400
    assert "period" in pages.text(response)


def test_of_other_people_nothing_leaves(box: Box, told: tuple[str, str]) -> None:
    stranger = box.browser("bert", "therapist")
    assert stranger.get(f"/clients/{told[0]}/exports").status_code == 404
    for kind in ("record.pdf", "record.csv", "notes.txt", "seconds.csv", "everything.zip"):
        assert stranger.post(f"/clients/{told[0]}/exports/{kind}", DAYS).status_code == 404
    assert stranger.post(f"/sessions/{told[1]}/exports/elan.eaf").status_code == 404
    assert not audited(box)


@given(
    st.lists(
        st.tuples(st.integers(1, 4000), st.sampled_from(["happiness", "sadness", None])),
        max_size=40,
    )
)
def test_runs_neither_overlap_nor_lose_a_second(steps: list[tuple[int, str | None]]) -> None:
    moments, at = [], 0
    for step, value in steps:
        at += step
        moments.append((at, value))
    found = list(elan.runs(moments))
    assert all(a.from_ms < a.to_ms for a in found)
    assert all(a.to_ms <= b.from_ms for a, b in itertools.pairwise(found))
    for at_ms, value in moments:
        inside = [a.value for a in found if a.from_ms <= at_ms < a.to_ms]
        assert inside == ([value] if value else [])
