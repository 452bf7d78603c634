"""`mien.mandate`: nobody is read who did not consent, whatever the rows say besides."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis
from hypothesis import strategies as st

from mien import mandate
from mien.clock import ManualClock
from mien.config import Store as StoreConfig
from mien.mandate import Mandate
from mien.store import Store
from people import People

ALL = ("live", "numbers", "pictures")


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    clock = ManualClock()
    store = Store.open(tmp_path, clock, StoreConfig())
    made = People(tmp_path, clock)
    made.put("setting", "clinic")
    yield made
    made.close()
    store.close()


def ruled(people: People) -> Mandate:
    now = people.clock.stamp()
    return people.database.read(lambda db: mandate.mandate(db, now))


def kept(people: People, former: Mandate) -> bool:
    return people.database.read(lambda db: mandate.still_kept(db, former))


@pytest.mark.parametrize("setting", [None, "school", 7])
def test_a_box_that_was_not_set_up_reads_nobody(people: People, setting: object) -> None:
    people.session("s", people.client("a", *ALL))
    people.put("setting", setting)
    assert ruled(people) == Mandate(text="not set up yet: open the page")


def test_a_demo_reads_whoever_sits_there(people: People) -> None:
    people.put("setting", "demo")
    found = ruled(people)
    assert (found.kind, found.keep, found.pictures, found.client) == ("demo", True, True, None)
    assert kept(people, found)


def test_a_clinic_without_a_session_reads_nobody(people: People) -> None:
    people.client("a", *ALL, resident=True)
    assert ruled(people) == Mandate(text="no session is running, so the camera is off")


def test_a_session_that_nobody_stops_is_not_read_for_ever(people: People) -> None:
    people.session("s", people.client("a", *ALL))
    clock = people.clock
    assert isinstance(clock, ManualClock)
    clock.advance(12 * 3600)
    assert ruled(people).kind == "session"
    clock.advance(1)
    assert ruled(people) == Mandate(
        session="s", text="a session was not stopped for 12 hours, so the camera is off"
    )


def test_a_session_with_every_consent(people: People) -> None:
    people.session("s", people.client("a", *ALL))
    assert ruled(people) == Mandate(
        kind="session",
        session="s",
        client="a",
        keep=True,
        pictures=True,
        text="a session runs with consent",
    )


@pytest.mark.parametrize("kind", ["numbers", "pictures"])
def test_what_was_not_consented_to_is_not_done(people: People, kind: str) -> None:
    people.session("s", people.client("a", *(one for one in ALL if one != kind)))
    found = ruled(people)
    assert found.kind == "session"
    assert (found.keep, found.pictures) == (kind != "numbers", kind != "pictures")


def test_a_session_may_keep_less_than_was_consented_to(people: People) -> None:
    people.session("s", people.client("a", *ALL), numbers=False, pictures=False)
    found = ruled(people)
    assert (found.kind, found.keep, found.pictures) == ("session", False, False)
    assert found.text == "a session runs with consent; its numbers are not kept"


def test_a_session_ends_with_the_consent(people: People) -> None:
    people.session("s", people.client("a", *ALL))
    before = ruled(people)
    people.withdraw("a", "live")
    found = ruled(people)
    assert (found.kind, found.session, found.keep, found.pictures) == (None, "s", False, False)
    assert "without valid consent" in found.text
    assert not kept(people, before)


def test_consent_given_again_counts_again(people: People) -> None:
    people.session("s", people.client("a", *ALL))
    people.withdraw("a", "live")
    people.write(
        "INSERT INTO consents (client, kind, version, given_utc, user) "
        "VALUES ('a', 'live', 1, 2, 'anna')"
    )
    assert ruled(people).kind == "session"


@pytest.mark.parametrize("notice", [None, 2])
def test_consent_to_a_notice_that_was_not_shown_is_none(people: People, notice: int | None) -> None:
    people.session("s", people.client("a", *ALL, notice=notice))
    found = ruled(people)
    assert found.kind is None
    assert "was not shown the notice" in found.text


def test_a_stopped_session_may_keep_what_it_saw_unless_that_was_withdrawn(people: People) -> None:
    people.session("s", people.client("a", *ALL))
    before = ruled(people)
    people.stop("s")
    assert ruled(people).kind is None
    assert kept(people, before)
    people.withdraw("a", "numbers")
    assert not kept(people, before)


def test_a_client_who_was_erased_leaves_nothing_to_keep(people: People) -> None:
    people.session("s", people.client("a", *ALL))
    before = ruled(people)
    people.write("DELETE FROM clients WHERE id = 'a'")
    assert ruled(people).kind is None
    assert not kept(people, before)


def test_a_session_of_another_boot_does_not_run(people: People) -> None:
    people.session("s", people.client("a", *ALL), boot="an older boot")
    assert ruled(people).kind is None


def test_the_newest_session_alone_decides(people: People) -> None:
    people.session("old", people.client("a", *ALL), start=1)
    people.session("new", people.client("b"), start=2)
    assert ruled(people).kind is None, "b sits there now, whatever a consented to"
    people.stop("new")
    assert ruled(people).client == "a"


def test_a_home_reads_residents_who_consent_to_the_home_log(people: People) -> None:
    people.put("setting", "home")
    people.client("guest", "home")
    people.client("unasked", resident=True)
    assert ruled(people).kind is None
    people.client("resident", "home", resident=True)
    found = ruled(people)
    assert (found.kind, found.client, found.keep, found.pictures) == (
        "home", "resident", True, False,
    )  # fmt: skip
    people.withdraw("resident", "home")
    assert ruled(people).kind is None
    assert not kept(people, found)


def test_a_session_at_home_goes_by_its_own_consents(people: People) -> None:
    people.put("setting", "home")
    people.client("resident", "home", resident=True)
    people.session("s", people.client("guest"))
    assert ruled(people).kind is None
    people.stop("s")
    assert ruled(people).kind == "home"


def test_the_head_is_the_active_one_for_the_running_bundle(people: People) -> None:
    people.client("a")
    for id, bundle, active in (("1", "old", 1), ("2", "new", 0), ("3", "new", 1)):
        people.write(
            "INSERT INTO heads (id, client, bundle, utc, weights, settings, result, active) "
            "VALUES (?, 'a', ?, 0, x'00', '', '', ?)",
            id, bundle, active,
        )  # fmt: skip

    def found(bundle: str) -> str | None:
        head = people.database.read(lambda db: mandate.head(db, "a", bundle))
        return head and head.id

    assert (found("new"), found("old")) == ("3", "1")
    assert found("unheard of") in ("1", "3"), "told in health that it does not fit"
    assert people.database.read(lambda db: mandate.head(db, "b", "new")) is None


@given(
    setting=st.sampled_from([None, "clinic", "home"]),
    consents=st.sets(st.sampled_from(["live", "numbers", "pictures", "training", "home"])),
    withdrawn=st.sets(st.sampled_from(["live", "numbers", "pictures", "training", "home"])),
    notice=st.sampled_from([None, 1, 2]),
    resident=st.booleans(),
    runs=st.booleans(),
    numbers=st.booleans(),
)
@hypothesis(
    deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_way_round_consent(
    people: People,
    setting: str | None,
    consents: set[str],
    withdrawn: set[str],
    notice: int | None,
    resident: bool,
    runs: bool,
    numbers: bool,
) -> None:
    people.write("DELETE FROM clients")
    people.put("setting", setting)
    people.client("a", *sorted(consents), notice=notice, resident=resident)
    for kind in withdrawn:
        people.withdraw("a", kind)
    if runs:
        people.session("s", "a", numbers=numbers)
    valid = consents - withdrawn
    found = ruled(people)
    if runs and setting:
        assert (found.kind == "session") == ("live" in valid and notice == 1)
        assert found.keep == (found.kind == "session" and numbers and "numbers" in valid)
        assert found.pictures == (found.kind == "session" and "pictures" in valid)
    else:
        assert (found.kind == "home") == (setting == "home" and resident and "home" in valid)
        assert not found.pictures
    assert found.kind or not found.keep
