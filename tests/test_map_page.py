"""The map's pages: figures with what they rest on, their moments, and the neutral face."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import pages
from mien import baseline, sessions
from mien.baseline import REFERENCE, Baseline
from mien.events import EXPRESSIONS, Expression
from mien_web import map
from pages import Browser, text

BASED = "mien-fer-2"


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def anna(box: pages.Box) -> Browser:
    return box.browser()


Looks = list[Expression | None]


def alternating(first: Expression, second: Expression, seconds: int, each: int = 5) -> Looks:
    return [first if at // each % 2 == 0 else second for at in range(seconds)]


def advance(box: pages.Box, seconds: float) -> None:
    """Time goes by, with somebody at the screen, so that it does not lock."""
    box.clock.advance(seconds)
    box.write("UPDATE logins SET created_utc = ?, seen_utc = ?", box.utc_ms, box.utc_ms)


def session_of(box: pages.Box, client: str, looks: Looks, **topics: tuple[int, int]) -> str:
    """A stopped session with topics from–to in seconds."""
    advance(box, 3600 + len(looks))
    box.readings(looks)
    session = box.session(client, len(looks))
    box.write("UPDATE sessions SET bundle = ? WHERE id = ?", BASED, session)
    user = box.user()
    for name, (start, end) in topics.items():
        key = box.db.write(lambda db, name=name: sessions.keyword(db, user, name, 0.0))
        box.write(
            "INSERT INTO tags VALUES (?, ?, ?, ?, ?, 0)",
            f"{session}-{name}", session, key, start * 1000, end * 1000,
        )  # fmt: skip
    return session


def work_and_rest(box: pages.Box, client: str) -> str:
    """Five minutes in which work looks sadder than the rest."""
    sad = alternating("sadness", "neutral", 200)
    calm = alternating("happiness", "neutral", 400)
    return session_of(box, client, [*sad, *calm], work=(0, 200), sleep=(300, 310))


def cell(page: str, topic: str, look: str) -> str:
    """What the table says in one cell, and how it is drawn."""
    row = re.search(rf"<b>{topic}</b>.*?</tr>", page, re.DOTALL)
    assert row, f"no row {topic}"
    found = re.search(rf'<td class="([^"]*)"><a href="[^"]*look={look}">(.*?)</a>', row[0])
    assert found
    return " ".join(f"{found[1]}: {re.sub('<[^>]+>', ' ', found[2])}".split())


def url_of(page: str, topic: str, look: str) -> str:
    row = re.search(rf"<b>{topic}</b>.*?</tr>", page, re.DOTALL)
    assert row
    found = re.search(rf'href="([^"]*look={look})"', row[0])
    assert found
    return found[1].replace("&amp;", "&")


def test_a_map_says_what_each_share_rests_on(box: pages.Box, anna: Browser) -> None:
    client = box.client("K-17", "live", "numbers")
    work_and_rest(box, client)
    page = anna.get(f"/clients/{client}/map")
    said = text(page)
    assert "Map of K-17" in said
    assert "Seen for 10 min 0 s in 1 session." in said
    assert "work 3 min 20 s · 1 session" in said
    assert re.search(r"s6: 50 % 3\d–6\d %", cell(page.text, "work", "sadness"))
    assert "s0: 0 %" in cell(page.text, "work", "happiness")
    assert "About these labels" in said
    assert "chance alone" in said


def test_what_was_seen_too_little_is_folded_away(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    work_and_rest(box, client)
    page = anna.get(f"/clients/{client}/map")
    assert "1 topic was seen too little sleep 10 s" in text(page)
    assert "sleep" not in page.text.split("<tbody>")[1].split("</tbody>")[0]


def test_few_looks_are_hatched_and_bracketed(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    session_of(box, client, alternating("sadness", "neutral", 120, 40), work=(0, 100))
    page = anna.get(f"/clients/{client}/map")
    assert "thin" in cell(page.text, "work", "sadness")


def test_the_difference_from_the_rest_is_clear_or_it_is_not(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    work_and_rest(box, client)
    page = anna.get(f"/clients/{client}/map?show=difference")
    assert re.match(r"more d4: \+50 .*clearly more", cell(page.text, "work", "sadness"))
    assert re.match(r"less d4: −50 .*clearly less", cell(page.text, "work", "happiness"))
    assert cell(page.text, "work", "neutral").startswith("d0: 0")
    assert "8 differences are compared" in text(page)


def test_topics_stand_by_time_or_by_name(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    looks = alternating("sadness", "neutral", 600)
    session_of(box, client, looks, zoo=(0, 400), Aunt=(0, 200), bread=(0, 100))

    def order(query: str) -> list[str]:
        page = anna.get(f"/clients/{client}/map{query}").text
        return re.findall(r"<b>(zoo|Aunt|bread)</b>", page)

    assert order("") == ["zoo", "Aunt", "bread"]
    assert order("?sort=name") == ["Aunt", "bread", "zoo"]


def test_a_period_is_chosen_by_preset_or_by_dates(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    work_and_rest(box, client)
    advance(box, 60 * 86_400)
    work_and_rest(box, client)
    url = f"/clients/{client}/map"
    assert "in 2 sessions" in text(anna.get(url))
    assert "in 1 session." in text(anna.get(f"{url}?period=weeks"))
    first = box.rows("SELECT date(min(utc) / 1000, 'unixepoch', 'localtime') FROM sessions")[0][0]
    assert "in 1 session." in text(anna.get(f"{url}?from={first}&to={first}"))
    assert "in 2 sessions" in text(anna.get(f"{url}?from={first}"))
    assert "No session in this period" in text(anna.get(f"{url}?to=1999-12-31"))


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=yesterday", "A date must be like"),
        ("to=9999-12-31", "A date must be like"),
        ("from=2026-02-30", "A date must be like"),
        ("from=2026-02-03&to=2026-02-01", "The period ends before it begins"),
    ],
)
def test_a_strange_period_gets_a_sentence(
    box: pages.Box, anna: Browser, query: str, sentence: str
) -> None:
    page = anna.get(f"/clients/{box.client()}/map?{query}")
    assert page.status_code == 400
    assert sentence in text(page)


def test_empty_maps_teach(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    assert "No session yet that can be mapped" in text(anna.get(f"/clients/{client}/map"))
    untagged = session_of(box, client, alternating("sadness", "neutral", 60))
    assert "No topic was tagged" in text(anna.get(f"/clients/{client}/map"))
    assert "No topic was tagged" in text(anna.get(f"/sessions/{untagged}/map"))
    box.write("UPDATE sessions SET numbers = 0, counted = 1")
    assert "are not kept" in text(anna.get(f"/sessions/{untagged}/map"))


def test_only_ones_own_clients_are_mapped(box: pages.Box, anna: Browser) -> None:
    client = box.client("K-99", owner="bert")
    session = box.session(client, 60, owner="bert")
    for url in (
        f"/clients/{client}/map",
        f"/clients/{client}/map/moments?look=fear",
        f"/clients/{client}/baseline",
        f"/sessions/{session}/map",
        f"/sessions/{session}/map/moments?look=fear",
        "/clients/none/map",
        "/sessions/none/map",
    ):
        assert anna.get(url).status_code == 404, url
    assert anna.post(f"/sessions/{session}/baseline").status_code == 404
    assert anna.post(f"/clients/{client}/baseline", {"wish": "use"}).status_code == 404
    assert box.browser("carla", "administrator").get(f"/clients/{client}/map").status_code == 403


def test_a_cell_leads_to_its_moments(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    session = work_and_rest(box, client)
    for start in (f"/clients/{client}/map", f"/sessions/{session}/map"):
        page = anna.get(url_of(anna.get(start).text, "work", "sadness"))
        said = text(page)
        assert "Under the topic “work” the expression looked like sadness 50 % of the time" in said
        assert "percentage points more than in the rest of the same sessions" in said
        assert "Seen for 3 min 20 s in 1 session." in said
        assert len(re.findall(r'href="/sessions/[^"]*#t=', page.text)) == 20
        assert f'href="/sessions/{session}#t=10"' in page.text


def test_moments_come_a_few_sessions_at_a_time(
    box: pages.Box, anna: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map, "SESSIONS", 2)
    client = box.client()
    held = [work_and_rest(box, client) for _ in range(5)]
    url: str | None = url_of(anna.get(f"/clients/{client}/map").text, "work", "sadness")
    seen: list[str] = []
    while url:
        page = anna.get(url).text
        seen += re.findall(r'<h2><a href="/sessions/([^"]*)"', page)
        found = re.search(r'class="button" href="([^"]*)"', page)
        url = found[1].replace("&amp;", "&") if found else None
    assert seen == held[::-1]


@pytest.mark.parametrize(
    ("query", "status"), [("look=joy", 400), ("", 400), ("look=fear&topic=none", 404)]
)
def test_a_cell_that_is_none_gets_a_sentence(
    box: pages.Box, anna: Browser, query: str, status: int
) -> None:
    client = box.client()
    session = work_and_rest(box, client)
    anna.get(f"/clients/{client}/map")
    for start in (f"/clients/{client}", f"/sessions/{session}"):
        page = anna.get(f"{start}/map/moments?{query}")
        assert page.status_code == status
        assert "Go back to the map" in text(page)


def test_many_sessions_are_counted_a_few_at_a_time(
    box: pages.Box, anna: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map, "COUNT_S", 0)
    client = box.client()
    for _ in range(3):
        work_and_rest(box, client)
    said = [text(anna.get(f"/clients/{client}/map")) for _ in range(3)]
    assert "2 sessions are being counted" in said[0]
    assert "1 session is being counted" in said[1]
    assert "in 3 sessions" in said[2]


# ── the neutral face ─────────────────────────────────────────────────────────────────────────────


def test_half_a_minute_becomes_a_neutral_face(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    running = box.session(client)
    box.write("UPDATE sessions SET bundle = ?", BASED)
    advance(box, 60)
    box.readings(["fear"] * 30 + ["sadness"] * 28 + [None] * 2)  # type: ignore[list-item]
    assert "Take the last 30 seconds" in text(anna.get(f"/clients/{client}/baseline"))
    answer = anna.post(f"/sessions/{running}/baseline")
    assert answer.status_code == 303
    (kept,) = box.db.read(lambda db: baseline.of_client(db, client))
    assert (kept.active, kept.seconds, kept.bundle) == (True, 28, BASED)
    assert kept.mean[EXPRESSIONS.index("sadness")] == max(kept.mean)
    page = text(anna.get(answer.location))
    assert "The neutral face is recorded" in page
    assert "28 readable seconds" in page
    changed = re.search(r"of 1 min 0 s seen, (\d+) s \(", page)
    assert changed
    assert int(changed[1]) >= 28
    assert box.rows("SELECT action, subject FROM audit") == [("baseline.recorded", "K-17")]


@pytest.mark.parametrize(
    ("looks", "later"), [(["neutral"] * 10 + [None] * 20, 0), (["neutral"] * 30, 90)]
)
def test_too_little_for_a_neutral_face_gets_a_sentence(
    box: pages.Box, anna: Browser, looks: Looks, later: int
) -> None:
    running = box.session(box.client())
    advance(box, 30)
    box.readings(looks)
    advance(box, later)
    answer = anna.post_json(f"/sessions/{running}/baseline", {})
    assert answer.status_code == 409
    assert "could be read; 20 are needed" in answer.json["message"]  # type: ignore[index]
    assert box.rows("SELECT 1 FROM baselines") == []


def test_no_neutral_face_of_a_stopped_or_unkept_session(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    stopped = session_of(box, client, ["neutral"] * 60)
    assert "was stopped" in text(anna.post(f"/sessions/{stopped}/baseline"))
    running = box.session(client)
    box.write("UPDATE sessions SET numbers = 0 WHERE id = ?", running)
    assert "are not kept" in text(anna.post(f"/sessions/{running}/baseline"))


def gloomy(box: pages.Box, client: str) -> None:
    """A recording of a face that reads as sad at rest, in use."""
    mean = tuple(
        m + 4 * (name == "sadness") for m, name in zip(REFERENCE, EXPRESSIONS, strict=True)
    )
    made = Baseline("b1", client, None, 1, 30, BASED, mean, True)
    box.db.write(lambda db: baseline.add(db, made))


def test_the_map_is_read_against_it_when_asked(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    session = work_and_rest(box, client)
    assert "Against the neutral face" not in text(anna.get(f"/clients/{client}/map"))
    gloomy(box, client)
    for url in (f"/clients/{client}/map", f"/sessions/{session}/map"):
        assert "50 %" in cell(anna.get(url).text, "work", "sadness")
        against = anna.get(f"{url}?baseline=1")
        assert ": 0 %" in cell(against.text, "work", "sadness")
        assert "Read against the neutral face recorded on" in text(against)
        moments = anna.get(url_of(against.text, "work", "sadness"))
        assert "There is no such moment." in text(moments)


def test_a_recording_is_used_left_or_deleted(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    gloomy(box, client)
    url = f"/clients/{client}/baseline"

    def active() -> list[bool]:
        return [one.active for one in box.db.read(lambda db: baseline.of_client(db, client))]

    for wish, states in (("rest", [False]), ("use", [True]), ("delete", [])):
        assert anna.post(url, {"baseline": "b1", "wish": wish}).status_code == 303
        assert active() == states
    assert "There is none yet" in text(anna.get(url))
    assert anna.post(url, {"baseline": "b1", "wish": "use"}).status_code == 404
    assert anna.post(url, {"baseline": "b1", "wish": "love"}).status_code == 400
    actions = [action for (action,) in box.rows("SELECT action FROM audit ORDER BY id")]
    assert actions == ["baseline.unused", "baseline.used", "baseline.deleted"]


def test_german_figures(box: pages.Box, anna: Browser) -> None:
    client = box.client()
    work_and_rest(box, client)
    page = anna.get(f"/clients/{client}/map", headers={"Accept-Language": "de"})
    assert "50 %" in cell(page.text, "work", "sadness")
