"""The clients' pages: the list, the notice, the consents, withdrawing, receipts."""

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from werkzeug.test import TestResponse

import pages
from mien import audit, clients
from mien_web.consents import TEXTS


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def erasing(box: pages.Box, monkeypatch: pytest.MonkeyPatch) -> pages.Box:
    """A box whose daemon really erases."""
    monkeypatch.setattr(box.daemon, "erase", box.store.erase)
    return box


def followed(browser: pages.Browser, answer: TestResponse) -> str:
    """What a person reads on the page after a form."""
    assert answer.status_code == 303, pages.text(answer)
    return pages.text(browser.get(answer.location))


def actions(box: pages.Box) -> list[str]:
    return [entry.action for entry in box.db.read(audit.entries)][::-1]


# ── the list ─────────────────────────────────────────────────────────────────────────────────────


def test_an_empty_list_teaches_three_steps(box: pages.Box) -> None:
    said = pages.text(box.browser().get("/clients"))
    assert "Three steps to the first session" in said
    assert "Add a code name." in said


def test_the_therapist_is_asked_to_mask_the_own_seat(box: pages.Box) -> None:
    browser = box.browser("berta", "therapist")  # who has no menu entry for the box
    page = browser.get("/clients")
    assert "Your own seat is not masked yet." in pages.text(page)
    assert 'href="/seat"' in page.text
    browser.post("/seat", {"seat": '{"client": null, "masked": [], "far": false}', "alone": "1"})
    assert "Your own seat" not in pages.text(browser.get("/clients"))


def test_a_client_is_added_and_the_first_step_is_told(box: pages.Box) -> None:
    browser = box.browser()
    said = followed(browser, browser.post("/clients", {"code": " K-17 "}))
    assert "K-17 was added" in said
    assert "A session cannot start yet" in said
    assert "The notice was not shown yet" in said
    assert "There is no valid consent to live analysis." in said
    assert actions(box) == ["client.created"]
    assert box.rows("SELECT code, resident FROM clients") == [("K-17", 0)]


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("", "Type a code name first."),
        ("x" * 25, "up to 24 characters"),
        ("Anna Schmidt", "looks like a full name"),
        ("anna@example.org", "looks like an e-mail address"),
        ("12.03.1987", "looks like a date of birth"),
    ],
)
def test_what_tells_who_it_is_is_refused_and_says_why(box: pages.Box, code: str, why: str) -> None:
    browser = box.browser()
    assert why in followed(browser, browser.post("/clients", {"code": code}))
    assert box.rows("SELECT * FROM clients") == []


def test_a_code_name_is_used_once_a_therapist(box: pages.Box) -> None:
    box.client("K-17", owner="bert")
    browser = box.browser()
    browser.post("/clients", {"code": "K-17"})
    said = followed(browser, browser.post("/clients", {"code": "k-17"}))
    assert "You have a client called k-17 already" in said
    assert box.rows("SELECT count(*) FROM clients") == [(2,)]


def test_the_list_is_searched_and_archived(box: pages.Box) -> None:
    one = box.client("K-17", "live", "numbers")
    box.client("M-4")
    box.clock.advance(100)
    box.session(one, 60)
    browser = box.browser()
    said = pages.text(browser.get("/clients"))
    assert re.search(r"K-17 Last session \d+ \w+ \d{4} ✓ Live analysis ✓ Keep numbers", said)
    assert "M-4 No session yet No consent" in said
    assert "M-4" not in pages.text(browser.get("/clients?q=k-1"))
    assert "No code name here contains “zz”." in pages.text(browser.get("/clients?q=zz"))
    said = followed(browser, browser.post(f"/clients/{one}/archive", {"archived": "1"}))
    assert "K-17 is archived. Nothing was erased." in said
    assert "Last session" not in said
    assert "Last session" in pages.text(browser.get("/clients?archived=1"))
    assert "This client is archived" in pages.text(browser.get(f"/clients/{one}"))
    followed(browser, browser.post(f"/clients/{one}/archive", {"archived": "0"}))
    assert actions(box) == ["client.archived", "client.restored"]


def test_renaming_is_noted_and_asked_the_same_questions(box: pages.Box) -> None:
    one = box.client("K-17")
    browser = box.browser()
    assert "Saved." in followed(browser, browser.post(f"/clients/{one}/code", {"code": "k-17"}))
    said = followed(browser, browser.post(f"/clients/{one}/code", {"code": "Anna Schmidt"}))
    assert "looks like a full name" in said
    assert box.rows("SELECT code FROM clients") == [("k-17",)]


@pytest.mark.parametrize("page", ["", "/notice", "/card", "/consents", "/withdraw/live", "/delete"])
def test_another_therapists_client_is_not_there(box: pages.Box, page: str) -> None:
    theirs = box.client("K-17", "live", owner="bert")
    browser = box.browser()
    assert browser.get(f"/clients/{theirs}{page}").status_code == 404
    assert browser.get(f"/clients/made-up{page}").status_code == 404


@pytest.mark.parametrize(
    "page", ["code", "archive", "notice", "consents", "withdraw/live", "delete"]
)
def test_nothing_is_done_to_another_therapists_client(box: pages.Box, page: str) -> None:
    theirs = box.client("K-17", "live", owner="bert")
    form = {"code": "K-17", "archived": "1", "version": "1", "kind": "numbers"}
    assert box.browser().post(f"/clients/{theirs}/{page}", form).status_code == 404
    assert actions(box) == []


def test_an_administrator_alone_sees_no_clients(box: pages.Box) -> None:
    assert box.browser("carl", "administrator").get("/clients").status_code == 403


# ── notice and consents ──────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("language", ["en", "de"])
def test_the_notice_is_shown_and_noted_in_its_language(box: pages.Box, language: str) -> None:
    one = box.client("K-17")
    box.write("DELETE FROM notices")
    browser = box.browser()
    shown = browser.get(f"/clients/{one}/notice?language={language}")
    assert f'<main class="notice" lang="{language}">' in shown.text
    form = {"version": "1", "language": language}
    said = followed(browser, browser.post(f"/clients/{one}/notice", form))
    assert "the notice was shown" in said
    assert box.rows("SELECT version, language, user FROM notices") == [(1, language, "anna")]
    assert actions(box) == ["notice.shown"]
    assert box.daemon.refreshed == 1


def test_the_notice_and_the_card_claim_no_feeling(box: pages.Box) -> None:
    one = box.client("K-17")
    browser = box.browser()
    assert "A face is not a feeling." in pages.text(browser.get(f"/clients/{one}/notice"))
    card = pages.text(browser.get(f"/clients/{one}/card"))
    assert box.store.box_id() in card
    assert "How to withdraw" in card


def test_no_consent_is_ticked_for_anybody(box: pages.Box) -> None:
    one = box.client("K-17", "live")
    shown = box.browser().get(f"/clients/{one}/consents").text
    boxes = re.findall(r'<input type="checkbox"[^>]*>', shown)
    assert len(boxes) == 3
    assert not any("checked" in tag for tag in boxes)
    assert str(TEXTS["training"].kept) in " ".join(unescape(shown).split())


def test_consents_are_given_one_by_one(box: pages.Box) -> None:
    one = box.client("K-17")
    browser = box.browser()
    form = {"version": "1", "kind": ["live", "numbers"]}
    said = followed(browser, browser.post(f"/clients/{one}/consents", form))
    assert "2 consents were recorded." in said
    assert "Notice shown, consent given: ready." in said
    given = box.rows("SELECT kind, version, user, withdrawn_utc FROM consents ORDER BY id")
    assert given == [("live", 1, "anna", None), ("numbers", 1, "anna", None)]
    assert actions(box) == ["consent.given"] * 2
    browser.post(f"/clients/{one}/consents", form)  # sent twice
    assert box.rows("SELECT count(*) FROM consents") == [(2,)]


@pytest.mark.parametrize(
    ("kinds", "why"),
    [
        (["numbers"], "“Keep numbers” needs “Live analysis” too."),
        (["live", "training"], "needs “Keep pictures” too."),
        ([], "Nothing was ticked"),
        (["everything"], "Nothing was ticked"),
    ],
)
def test_what_cannot_stand_alone_is_not_recorded(
    box: pages.Box, kinds: list[str], why: str
) -> None:
    one = box.client("K-17")
    browser = box.browser()
    answer = browser.post(f"/clients/{one}/consents", {"version": "1", "kind": kinds})
    assert why in followed(browser, answer)
    assert box.rows("SELECT * FROM consents") == []


def test_a_form_of_an_older_text_is_refused(
    box: pages.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = box.client("K-17", "live")
    monkeypatch.setattr(clients, "VERSION", 2)
    browser = box.browser()
    for page in ("consents", "notice"):
        answer = browser.post(f"/clients/{one}/{page}", {"version": "1", "kind": "numbers"})
        assert answer.status_code == 409
    said = pages.text(browser.get(f"/clients/{one}"))
    assert "given under an older text: ask again" in said
    assert "The notice was not shown yet as it is now." in said


# ── withdrawing ──────────────────────────────────────────────────────────────────────────────────


def test_a_withdrawal_shows_counts_then_a_receipt(erasing: pages.Box) -> None:
    one = erasing.client("K-17", "live", "numbers")
    erasing.clock.advance(5000)
    erasing.readings(["happiness"] * 2460)
    session = erasing.session(one, 2460)
    browser = erasing.browser()
    asked = pages.text(browser.get(f"/clients/{one}/withdraw/numbers"))
    assert "41 minutes of numbers in 1 session" in asked
    answer = browser.post(f"/clients/{one}/withdraw/numbers")
    said = followed(browser, answer)
    assert "Numbers, by the second 2,460 0" in said
    assert "will be erased" not in said
    (entry,) = (e for e in erasing.db.read(audit.entries) if e.action == "consent.withdrawn")
    assert f"number {entry.id} {entry.hash}" in said
    assert erasing.rows("SELECT count(*) FROM readings") == [(0,)]
    assert actions(erasing) == ["consent.withdrawn", "numbers.erased"]
    assert erasing.rows("SELECT id FROM sessions") == [(session,)], "the session stays"
    assert "Keep numbers" in pages.text(browser.get(f"/clients/{one}/consents"))
    assert erasing.browser("bert").get(answer.location).status_code == 404


def test_what_the_service_cannot_erase_now_is_erased_later(erasing: pages.Box) -> None:
    one = erasing.client("K-17", "live", "numbers")
    erasing.clock.advance(500)
    erasing.readings(["fear"] * 90)
    erasing.session(one, 90)
    browser = erasing.browser()
    erasing.server.stop()
    answer = browser.post(f"/clients/{one}/withdraw/numbers")
    said = followed(browser, answer)
    assert "1 stretch of numbers will be erased as soon as the service runs" in said
    assert "Numbers, by the second 90 90" in said
    erasing.server.start()
    browser.get("/clients")  # any visit asks again
    assert "Numbers, by the second 90 0" in pages.text(browser.get(answer.location))
    assert erasing.rows("SELECT rows > 0, done_utc NOT NULL FROM erasures") == [(1, 1)]


def test_live_names_what_stays(box: pages.Box) -> None:
    one = box.client("K-17", "live", "numbers")
    box.session(one)
    browser = box.browser()
    asked = pages.text(browser.get(f"/clients/{one}/withdraw/live"))
    assert "1 session that runs now ends" in asked
    assert "“Keep numbers” is a consent of its own: what was kept so far stays." in asked
    assert "A session with K-17 is running." in pages.text(browser.get("/clients"))
    browser.post(f"/clients/{one}/withdraw/live")
    assert box.rows("SELECT ended FROM sessions") == [("withdrawn",)]
    assert box.daemon.refreshed == 1
    said = followed(browser, browser.post(f"/clients/{one}/withdraw/live"))
    assert "withdrawn already" in said
    assert browser.get(f"/clients/{one}/withdraw/live").status_code == 404


def test_deleting_needs_the_code_typed(erasing: pages.Box) -> None:
    one = erasing.client("K-17", "live", "numbers")
    erasing.clock.advance(600)
    erasing.session(one, 60)
    browser = erasing.browser()
    asked = pages.text(browser.get(f"/clients/{one}/delete"))
    assert "1 session with its topics and notes" in asked
    said = followed(browser, browser.post(f"/clients/{one}/delete", {"code": "K-71"}))
    assert "did not match, so nothing was erased" in said
    assert erasing.rows("SELECT count(*) FROM clients") == [(1,)]
    said = followed(browser, browser.post(f"/clients/{one}/delete", {"code": "K-17"}))
    assert "Everything about K-17 was erased" in said
    assert "Sessions 1 0" in said
    assert browser.get(f"/clients/{one}").status_code == 404
    assert erasing.db.read(audit.broken) is None


# ── at home ──────────────────────────────────────────────────────────────────────────────────────


def test_at_home_they_are_people_of_the_house(box: pages.Box) -> None:
    box.set("home")
    browser = box.browser("olga", "administrator home")
    assert "Three steps to the home log" in pages.text(browser.get("/clients"))
    browser.post("/clients", {"code": "blue"})
    ((one, resident),) = box.rows("SELECT id, resident FROM clients")
    assert resident == 1
    shown = pages.text(browser.get(f"/clients/{one}/consents"))
    assert shown.index("Home log") < shown.index("Live analysis")
    browser.post(f"/clients/{one}/consents", {"version": "1", "kind": "home"})
    asked = pages.text(browser.get(f"/clients/{one}/withdraw/home"))
    assert "The box does not know who sat there" in asked
