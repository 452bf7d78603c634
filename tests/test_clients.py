"""Clients, consents and what withdrawing one erases, asked of the store itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pages
from mien import audit, clients, database, erasures, forgetting
from mien.clients import Client, Kind
from mien.events import EXPRESSIONS, Expression, Quarter
from mien.quarters import QUARTER_MS

MARK = b"the plain bytes of a captured face "


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


def found(box: pages.Box, id: str) -> Client:
    owner = box.user()
    client = box.db.read(lambda db: clients.find(db, id, owner))
    assert client
    return client


def hindrances(box: pages.Box, id: str) -> list[clients.Hindrance]:
    told: list[clients.Hindrance] = box.db.read(lambda db: clients.hindrances(db, id))
    return told


def withdraw(box: pages.Box, id: str, kind: Kind) -> int | None:
    client, now = found(box, id), box.clock.stamp()
    entry: int | None = box.db.write(lambda db: erasures.withdraw(db, client, kind, "anna", now))
    return entry


def receipt(box: pages.Box, entry: int | None) -> erasures.Receipt:
    assert entry
    told: erasures.Receipt | None = box.db.read(lambda db: erasures.receipt(db, entry, "anna"))
    assert told
    return told


def left(box: pages.Box, told: erasures.Receipt) -> dict[str, dict[str, int]]:
    counted: dict[str, dict[str, int]] = box.db.read(
        lambda db: erasures.left(db, told, box.clock.stamp())
    )
    return counted


def erase(box: pages.Box) -> None:
    """What the daemon does when it looks at the store."""
    for id, stretch in box.db.read(forgetting.undone):
        rows = box.store.erase([stretch])
        box.db.write(lambda db, id=id, rows=rows: forgetting.done(db, id, box.utc_ms, rows))


def capture(box: pages.Box, session: str, id: str = "c1", face: bytes = MARK * 300) -> None:
    box.write(
        "INSERT INTO captures (id, session, at_ms, face, crop, probabilities, embedding, bundle) "
        "VALUES (?, ?, 0, ?, x'00', x'00', x'0102', 'b')",
        id, session, face,
    )  # fmt: skip


def picture(box: pages.Box, client: str | None, of_capture: str | None, name: str) -> None:
    box.write(
        "INSERT INTO pictures (sha256, dhash, client, capture, source, name, color, width, height, "
        "face, crop, added_utc) VALUES (?, '', ?, ?, 'capture', '', '', 1, 1, x'00', x'00', 0)",
        name, client, of_capture,
    )  # fmt: skip
    box.write(
        "INSERT INTO predictions SELECT id, 'b', '', 3, x'00', x'00' FROM pictures "
        "WHERE sha256 = ?",
        name,
    )


def head(box: pages.Box, client: str) -> None:
    box.write(
        "INSERT INTO heads (id, client, bundle, utc, weights, settings, result, active) "
        "VALUES ('h', ?, 'b', 0, x'00', '{}', '{}', 1)",
        client,
    )


# ── code names ───────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("K-17", None),
        ("blue-heron", None),
        ("M 4", None),
        ("Ärztin", None),
        ("🦊", None),
        ("x" * 24, None),
        ("", "empty"),
        ("   ", "empty"),
        ("x" * 25, "long"),
        ("K\u202817", "control"),
        ("K\x0017", "control"),
        ("anna@example.org", "address"),
        ("12.03.1987", "birth"),
        ("1987-03-12", "birth"),
        ("19870312", "birth"),
        ("AS 12/3/87", "birth"),
        ("Anna Schmidt", "name"),
        ("schmidt, anna", "name"),
        ("Зоя Иванова", "name"),
    ],
)
def test_a_code_name_tells_nobody_who_it_is(code: str, fault: str | None) -> None:
    assert clients.fault(code) == fault


@given(st.text(max_size=60))
def test_whatever_is_typed_gets_a_verdict(code: str) -> None:
    fault = clients.fault(code)
    assert fault is None or fault in ("empty", "long", "control", "address", "birth", "name")
    assert fault or 1 <= len(code) <= clients.LONGEST_CODE


def test_clients_are_found_by_their_own_therapist_alone(box: pages.Box) -> None:
    mine, other = box.client("K-17"), box.client("K-17", owner="bert")
    assert found(box, mine).code == "K-17"
    me = box.user()
    assert box.db.read(lambda db: clients.find(db, other, me)) is None
    listed = box.db.read(lambda db: clients.listed(db, me, "k-1"))
    assert [one.client.id for one in listed] == [mine]


@pytest.mark.parametrize("search", ["%", "_", "\\"])
def test_a_search_looks_for_the_very_signs(box: pages.Box, search: str) -> None:
    box.client("K-17")
    kept = box.client(f"odd{search}one")
    me = box.user()
    listed = box.db.read(lambda db: clients.listed(db, me, search))
    assert [one.client.id for one in listed] == [kept]


# ── consents ─────────────────────────────────────────────────────────────────────────────────────


def test_a_session_needs_the_notice_and_live_analysis(box: pages.Box) -> None:
    id = box.client("K-17")
    box.write("DELETE FROM notices")
    assert hindrances(box, id) == ["no notice", "no consent"]
    assert not box.db.read(lambda db: clients.may_start(db, id))
    box.db.write(lambda db: clients.show_notice(db, id, "en", "anna", 1.0))
    assert hindrances(box, id) == ["no consent"]
    assert box.db.write(lambda db: clients.give(db, id, "live", "anna", 2.0))
    assert not box.db.write(lambda db: clients.give(db, id, "live", "anna", 3.0)), "stands already"
    assert box.db.read(lambda db: clients.may_start(db, id))
    withdraw(box, id, "live")
    assert hindrances(box, id) == ["no consent"]
    assert [one.withdrawn_utc for one in box.db.read(lambda db: clients.history(db, id))] != [None]


def test_an_older_text_stays_valid_but_the_new_notice_comes_first(
    box: pages.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = box.client("K-17", "live", "numbers")
    monkeypatch.setattr(clients, "VERSION", 2)
    assert box.db.read(lambda db: clients.valid(db, id, "numbers"))
    assert hindrances(box, id) == ["no notice"]
    box.db.write(lambda db: clients.show_notice(db, id, "de", "anna", 1.0))
    assert hindrances(box, id) == []
    assert box.db.write(lambda db: clients.give(db, id, "live", "anna", 2.0))
    assert box.db.read(lambda db: clients.standing(db, id))["live"].version == 2
    withdraw(box, id, "live")
    assert not box.db.read(lambda db: clients.valid(db, id, "live")), "every version is withdrawn"


def test_a_consent_to_a_text_that_was_never_shown_is_asked_for_again(
    box: pages.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    id = box.client("K-17", "live")
    box.write("UPDATE notices SET version = 2")
    monkeypatch.setattr(clients, "VERSION", 2)
    assert hindrances(box, id) == ["old consent"]  # the daemon would read nobody either


def test_an_archived_client_is_taken_back_first(box: pages.Box) -> None:
    id = box.client("K-17", "live")
    box.db.write(lambda db: clients.archive(db, id, archived=True))
    assert hindrances(box, id) == ["archived"]


# ── withdrawing ──────────────────────────────────────────────────────────────────────────────────


def test_live_ends_a_running_session_and_keeps_the_rest(box: pages.Box) -> None:
    id = box.client("K-17", "live", "numbers")
    session = box.session(id)
    box.write("INSERT INTO keywords VALUES ('k', ?, 'work', 0, 0)", box.user())
    box.write("INSERT INTO tags VALUES ('t', ?, 'k', 1000, NULL, 0)", session)
    box.clock.advance(30)
    told = receipt(box, withdraw(box, id, "live"))
    assert told.before == {"live": {"running": 1}}
    assert box.rows("SELECT length_ms, ended FROM sessions") == [(30_000, "withdrawn")]
    assert box.rows("SELECT to_ms FROM tags") == [(30_000,)]
    assert box.db.read(lambda db: clients.valid(db, id, "numbers"))
    assert withdraw(box, id, "live") is None, "withdrawn already"


def test_numbers_go_by_the_daemon_and_only_this_clients(
    box: pages.Box, monkeypatch: pytest.MonkeyPatch
) -> None:
    id, other = box.client("K-17", "live", "numbers"), box.client("M-4", "live", "numbers")
    box.clock.advance(1000)
    box.readings(["happiness"] * 90)
    box.session(id, 90)
    box.clock.advance(300)
    box.readings(["sadness"] * 60)
    box.session(other, 60)
    box.write("INSERT INTO baselines VALUES ('b', ?, NULL, 0, 30, 'b', x'00', 1)", id)
    told = receipt(box, withdraw(box, id, "numbers"))
    assert told.before["numbers"]["readings"] == 90
    assert told.before["numbers"]["sessions"] == 1
    assert told.before["numbers"]["baselines"] == 1
    assert left(box, told)["numbers"]["readings"] == 90, "the daemon has not done it yet"
    assert box.rows("SELECT numbers, counted FROM sessions WHERE client = ?", id) == [(0, 1)]
    erase(box)
    assert set(left(box, told)["numbers"].values()) == {0}
    assert box.rows("SELECT count(*) FROM readings") == [(60,)]
    progress = box.db.read(lambda db: erasures.progress(db, told))
    assert (progress.asked, progress.done) == (1, 1)
    assert progress.rows >= 90
    assert box.db.read(forgetting.undone) == []


def test_a_session_nobody_stopped_is_erased_to_the_end_of_its_boot(box: pages.Box) -> None:
    id = box.client("K-17", "live", "numbers")
    box.clock.advance(100)
    box.session(id)
    box.clock.advance(120)
    box.readings(["fear"] * 120)
    box.clock.boot_id, box.clock.now = "the next boot", 5.0
    told = receipt(box, withdraw(box, id, "numbers"))
    assert told.before["numbers"]["readings"] == 120
    erase(box)
    assert box.rows("SELECT count(*) FROM readings") == [(0,)]


def test_pictures_take_training_along(box: pages.Box) -> None:
    id, other = box.client("K-17", *clients.KINDS), box.client("M-4", *clients.KINDS)
    mine, theirs = box.session(id, 60), box.session(other, 60)
    capture(box, mine, "c1")
    capture(box, theirs, "c2")
    box.write("INSERT INTO corrections (capture, user, utc) VALUES ('c1', 'anna', 0)")
    picture(box, None, "c1", "of a capture")
    picture(box, id, None, "brought along")
    picture(box, other, "c2", "of somebody else")
    head(box, id)
    told = receipt(box, withdraw(box, id, "pictures"))
    assert told.kinds == ["training", "pictures"]
    assert told.before["pictures"]["captures"] == 1
    assert told.before["pictures"]["corrections"] == 1
    assert told.before["training"]["heads"] == 1
    assert all(set(counts.values()) == {0} for counts in left(box, told).values())
    assert box.rows("SELECT id FROM captures") == [("c2",)]
    assert box.rows("SELECT sha256 FROM pictures") == [("of somebody else",)]
    assert box.rows("SELECT count(*) FROM predictions") == [(1,)]
    assert not box.db.read(lambda db: clients.valid(db, id, "training"))
    assert box.db.read(lambda db: clients.valid(db, id, "numbers"))


def test_training_keeps_the_captures_without_what_was_learnt_from(box: pages.Box) -> None:
    id = box.client("K-17", *clients.KINDS)
    capture(box, box.session(id, 60))
    head(box, id)
    told = receipt(box, withdraw(box, id, "training"))
    assert told.before["training"] == {
        "heads": 1, "embeddings": 1, "pictures": 0, "predictions": 0
    }  # fmt: skip
    assert box.rows("SELECT embedding FROM captures") == [(None,)]
    assert box.rows("SELECT count(*) FROM heads") == [(0,)]


def test_the_home_log_goes_from_the_consent_on_and_leaves_sessions(box: pages.Box) -> None:
    box.clock.advance(600)
    box.readings(["neutral"] * 120)  # before anybody consented
    box.clock.advance(120)
    id = box.client("K-17", "home", "live", "numbers")
    box.clock.advance(120)
    box.readings(["happiness"] * 120)
    box.clock.advance(60)
    box.readings(["sadness"] * 60)
    box.session(id, 60)
    box.clock.boot_id, box.clock.now, box.clock.offset = "later", 300.0, box.clock.offset + 9000
    box.readings(["anger"] * 60)
    told = receipt(box, withdraw(box, id, "home"))
    assert told.before["home"]["readings"] == 180
    erase(box)
    assert left(box, told)["home"]["readings"] == 0
    rows = box.rows("SELECT expression, count(*) FROM readings GROUP BY 1 ORDER BY 1")
    assert rows == [(4, 60), (6, 120)]  # the session's, and those before


def test_with_the_home_log_goes_what_another_box_saw_of_it(box: pages.Box) -> None:
    id = box.client("K-17", "home")
    box.write("UPDATE clients SET resident = 1")
    said: dict[Expression, int] = {**dict.fromkeys(EXPRESSIONS, 0), "fear": 9}
    years_ago = box.utc_ms // QUARTER_MS - 90_000
    box.store.take_over([Quarter(years_ago + n, 60, 9, 9, 9, 0, said, 0) for n in range(3)])
    told = receipt(box, withdraw(box, id, "home"))
    assert told.before["home"]["imported"] == 3
    assert left(box, told)["home"]["imported"] == 3
    erase(box)
    assert left(box, told)["home"]["imported"] == 0
    assert box.rows("SELECT count(*) FROM quarters") == [(0,)]


def test_a_deleted_client_leaves_one_line_in_the_audit_list(box: pages.Box) -> None:
    id, other = box.client("K-17", *clients.KINDS), box.client("M-4", "live")
    box.clock.advance(600)
    session = box.session(id, 60)
    box.readings(["happiness"] * 60)
    capture(box, session)
    box.write("INSERT INTO notes VALUES ('n', ?, 0, 'said something', 0)", session)
    picture(box, None, "c1", "of a capture")
    head(box, id)
    now = box.clock.stamp()
    client = found(box, id)
    told = receipt(box, box.db.write(lambda db: erasures.erase_client(db, client, "anna", now)))
    erase(box)
    assert told.code == "K-17"
    assert told.before["client"]["notes"] == 1
    assert told.before["client"]["consents"] == 5
    assert all(set(counts.values()) == {0} for counts in left(box, told).values())
    for table in ("sessions", "captures", "notes", "pictures", "heads", "readings", "episodes"):
        assert box.rows(f"SELECT count(*) FROM {table}") == [(0,)], table
    assert box.rows("SELECT id FROM clients") == [(other,)]
    assert box.db.read(audit.broken) is None
    assert box.db.read(lambda db: erasures.receipt(db, told.entry.id, "bert")) is None


# ── beyond recovery ──────────────────────────────────────────────────────────────────────────────


def test_nothing_of_an_erased_capture_is_left_in_the_file(box: pages.Box) -> None:
    id = box.client("K-17", "live", "pictures")
    capture(box, box.session(id, 60))
    assert box.db.read(erasures.emptied)
    assert MARK in pages_in_plain(box), "else this test would prove nothing"
    withdraw(box, id, "pictures")
    assert box.db.read(erasures.emptied)
    path = box.config.state_dir / database.FILE
    assert path.with_name(path.name + "-wal").stat().st_size == 0
    assert MARK[:16] not in pages_in_plain(box)


def pages_in_plain(box: pages.Box) -> bytes:
    """Every page of the database file decrypted, free ones too.

    SQLCipher 4 encrypts each page on its own with AES-256-CBC and keeps at its end the
    initialisation vector (16 bytes) and a hash (64): https://www.zetetic.net/sqlcipher/design/
    """
    size, reserved = 1024, 80
    sealed = (box.config.state_dir / database.FILE).read_bytes()
    key = database.key(box.config.state_dir, make=False)
    # CBC is ECB, then an exclusive or with what stood before.
    raw = subprocess.run(
        ["openssl", "enc", "-d", "-aes-256-ecb", "-nopad", "-K", key],
        input=sealed, capture_output=True, check=True,
    ).stdout  # fmt: skip
    plain = b""
    for at in range(0, len(sealed), size):
        page = sealed[at : at + size]
        skipped = 0 if at else 16  # the salt
        iv = page[size - reserved : size - reserved + 16]
        before = iv + page[skipped : size - reserved - 16]
        opened = raw[at + skipped : at + size - reserved]
        plain += bytes(a ^ b for a, b in zip(opened, before, strict=True))
    # A long value goes over pages, each of which begins with the number of the next.
    return plain
