"""Backup and restore on the page: made, fetched, sent to a second box, shown, restored."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import pages
from mien import audit, backup, firstrun, passphrase, restore
from mien.control import ControlServer
from mien.scripted import ScriptedDaemon
from mien_web import jobs, restoring
from pages import SAME, Box, Browser, text
from samples import HEALTH

WORDS = f"x'{'0123456789abcdef' * 4}'"  # a key itself, which spares its derivation
LOGIN = "four unrelated words here"


class Taking(ScriptedDaemon):
    """Takes a backup over as the service does."""

    def __init__(self, box: Box) -> None:
        super().__init__(HEALTH)
        self._box = box

    def restore(self, file: Path) -> None:
        super().restore(file)
        restore.replace(self._box.config.state_dir, self._box.clock, file, lambda: None)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    for made in pages.box(tmp_path / "two", monkeypatch):
        made.server.stop()
        made.daemon = Taking(made)
        made.server = ControlServer(
            made.config.state_dir / "control.sock", made.daemon, poll_s=0.01
        )
        made.server.start()
        yield made


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A backup of a box where `ben` is administrator."""
    monkeypatch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("one")
    try:
        for one in pages.box(folder, monkeypatch):
            one.user("ben", "administrator home")
            one.write("UPDATE users SET passphrase = ?", passphrase.hashed(LOGIN))
            one.client("K-17", "live", owner="ben")
            backup.make(folder, "mien-one", one.clock, WORDS, folder / "f", lambda *_: None)
    finally:
        monkeypatch.undo()
    return (folder / "f").read_bytes()


def wait(box: Box) -> None:
    job = box.app.extensions["mien.restoring"].job
    assert job.wait(30)


def send(browser: Browser, url: str, data: bytes, piece: int = 200_000) -> Any:
    """As the script of the page does."""
    for at in range(0, len(data), piece):
        answer = browser.client.post(
            f"{url}/piece?at={at}&of={len(data)}",
            data=data[at : at + piece],
            headers={**SAME, "Mien-Token": browser.token},
        )
        assert answer.json == {"at": min(at + piece, len(data))}
    return answer


def looked_into(box: Box, browser: Browser, url: str, data: bytes, words: str = WORDS) -> str:
    send(browser, url, data)
    assert browser.post(f"{url}/check", {"passphrase": words}).status_code == 303
    wait(box)
    return text(browser.get(url))


def name(box: Box) -> str:
    return box.store.box_id()


class TestBackup:
    def test_made_fetched_and_gone(self, box: Box) -> None:
        browser = box.browser()
        assert "No backup was made yet." in text(browser.get("/box/backup"))
        words = {"passphrase": WORDS, "again": WORDS}
        assert browser.post("/box/backup", words).status_code == 303
        with box.app.app_context():
            job = next(iter(jobs._jobs().of(1)))
        assert job.wait(30)
        said = text(browser.get("/box/backup"))
        assert "The backup is ready" in said
        assert "The last backup was made on" in said
        answer = browser.post(f"/box/backup/{job.id}/file")
        named = answer.headers["Content-Disposition"]
        assert named == f'attachment; filename="{name(box)}-2027-01-15.mien-backup"'
        fetched = box.config.state_dir / "fetched"
        fetched.write_bytes(answer.data)
        assert backup.look_into(fetched, WORDS).box == name(box)
        assert list((box.config.state_dir / backup.FOLDER).iterdir()) == []
        assert browser.post(f"/box/backup/{job.id}/file").status_code == 404
        actions = [e.action for e in box.db.read(audit.entries)]
        assert actions[:2] == ["backup.downloaded", "backup.made"]
        assert "Last made on" in text(browser.get("/box"))

    @pytest.mark.parametrize(
        ("words", "again", "said"),
        [
            ("short", "short", "too short: it needs at least 16"),
            ("x" * 201, "x" * 201, "too long"),
            ("ab" * 10, "ab" * 10, "repeats the same few"),
            (WORDS, WORDS + "x", "two passphrases differ"),
        ],
    )
    def test_a_poor_passphrase(self, box: Box, words: str, again: str, said: str) -> None:
        answer = box.browser().post("/box/backup", {"passphrase": words, "again": again})
        assert answer.status_code == 400
        assert said in text(answer)

    def test_only_for_administrators(self, box: Box) -> None:
        assert box.browser("tom", "therapist").get("/box/backup").status_code == 403
        assert box.browser("tom", "therapist").post("/box/restore").status_code == 403


class TestRestore:
    def test_the_whole_way(self, box: Box, file: bytes) -> None:
        browser = box.browser()
        box.client("M-02")
        url = browser.post("/box/restore").headers["Location"]
        assert "Its name ends in .mien-backup" in text(browser.get(url))
        said = looked_into(box, browser, url, file)
        assert "Of another box, mien-one, made on" in said
        assert "Clients and people 1" in said
        assert "All that is on this box now is gone: 1 user, 1 client or person" in said
        assert "this box cannot know" in said
        wrong = browser.post(f"{url}/go", {"box": "mien-other"})
        assert wrong.status_code == 400
        assert "This is not the name of this box." in text(wrong)
        assert box.rows("SELECT code FROM clients") == [("M-02",)], "nothing changed until now"

        assert browser.post(f"{url}/go", {"box": name(box).upper()}).status_code == 303
        wait(box)
        said = text(browser.get(url))
        assert "This box holds what mien-one held on" in said
        assert "Sign in with a name and passphrase of the backup." in said
        assert box.rows("SELECT code FROM clients") == [("K-17",)]
        assert browser.get("/box").status_code == 303, "every log-in has ended"
        fresh = Browser(box.app.test_client())
        answer = fresh.post("/login", {"name": "ben", "passphrase": LOGIN})
        assert answer.status_code == 303
        assert fresh.get("/box").status_code == 200
        assert list((box.config.state_dir / backup.FOLDER).iterdir()) == []

    def test_before_the_first_run(self, box: Box, file: bytes) -> None:
        box.set(None)
        browser = Browser(box.app.test_client())
        code = firstrun.code(box.config.state_dir)
        assert "Restore a backup instead" in text(browser.get("/welcome"))
        wrong = browser.post("/welcome/restore", {"code": "ABCD-2345"})
        assert wrong.status_code == 403
        assert "This is not the code." in text(wrong)
        url = browser.post("/welcome/restore", {"code": code}).headers["Location"]
        said = looked_into(box, browser, url, file)
        assert "All that is on this box now is gone" not in said
        browser.post(f"{url}/go", {"box": name(box)})
        wait(box)
        assert "The backup is restored" in text(browser.get(url))
        assert not firstrun.fits(box.config.state_dir, code)
        assert browser.post("/login", {"name": "ben", "passphrase": LOGIN}).status_code == 303
        assert browser.post("/welcome/restore", {"code": code}).status_code == 303

    def test_its_own_backup(self, box: Box) -> None:
        browser = box.browser()
        box.db.write(lambda db: audit.note(db, 1, "anna", "box.set-up"))
        folder = box.config.state_dir
        backup.make(folder, name(box), box.clock, WORDS, folder / "f", lambda *_: None)
        url = browser.post("/box/restore").headers["Location"]
        said = looked_into(box, browser, url, (folder / "f").read_bytes())
        assert "Of this box, mien-" in said
        assert "Consents that were withdrawn since" in said
        assert "this box cannot know" not in said

    def test_a_wrong_passphrase_may_be_tried_again(self, box: Box, file: bytes) -> None:
        browser = box.browser()
        url = browser.post("/box/restore").headers["Location"]
        said = looked_into(box, browser, url, file, "another passphrase it is")
        assert "This passphrase does not open the file." in said
        assert "Nothing was changed." in said
        assert "In the backup" in looked_into(box, browser, url, file)

    def test_pieces_out_of_turn(self, box: Box, file: bytes) -> None:
        browser = box.browser()
        url = browser.post("/box/restore").headers["Location"]

        def piece(at: int, of: int, data: bytes) -> Any:
            return browser.client.post(
                f"{url}/piece?at={at}&of={of}",
                data=data,
                headers={**SAME, "Mien-Token": browser.token},
            )

        assert piece(0, 9, b"abc").json == {"at": 3}
        assert piece(6, 9, b"ghi").status_code == 409
        assert piece(6, 9, b"ghi").json == {"at": 3}
        assert piece(0, 9, b"abcd").json == {"at": 4}, "begun anew"
        assert piece(0, 0, b"").status_code == 400
        assert piece(0, restoring.LARGEST + 1, b"x").status_code == 413
        assert piece(0, restoring.PIECE + 1, bytes(restoring.PIECE + 1)).status_code == 413

    def test_a_piece_that_cannot_be_written_is_told_in_words(self, box: Box) -> None:
        browser = box.browser()
        url = browser.post("/box/restore").headers["Location"]
        (there := box.app.extensions["mien.restoring"].file).mkdir()
        answer = browser.client.post(
            f"{url}/piece?at=0&of=9", data=b"abc", headers={**SAME, "Mien-Token": browser.token}
        )
        assert answer.status_code == 507
        assert answer.json == {"error": f"{there} cannot be written: Is a directory"}

    def test_only_who_began_it_goes_on(self, box: Box, file: bytes) -> None:
        browser = box.browser()
        url = browser.post("/box/restore").headers["Location"]
        assert box.browser("carl", "administrator").get(url).status_code == 403
        assert Browser(box.app.test_client()).get(url).status_code == 403
        assert browser.get("/restore/other").status_code == 404
        send(browser, url, file)
        assert browser.post(f"{url}/stop").status_code == 303
        assert list((box.config.state_dir / backup.FOLDER).iterdir()) == []
        assert browser.get(url).status_code == 404

    def test_a_daemon_that_does_not_answer(self, box: Box, file: bytes) -> None:
        browser = box.browser()
        url = browser.post("/box/restore").headers["Location"]
        looked_into(box, browser, url, file)
        box.server.stop()
        browser.post(f"{url}/go", {"box": name(box)})
        wait(box)
        said = text(browser.get(url))
        assert "does not answer" in said
        assert "Restore this backup?" in said, "it may be tried again"
        box.server.start()
        browser.post(f"{url}/go", {"box": name(box)})
        wait(box)
        assert "The backup is restored" in text(browser.get(url))


def test_the_page_offers_nothing_in_the_demo(box: Box) -> None:
    box.set("demo")
    browser = Browser(box.app.test_client())
    assert "In the demo nothing can be changed here." in text(browser.get("/box/backup"))
    assert browser.post("/box/restore").status_code == 403
