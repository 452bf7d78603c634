"""Users, passphrases, the waits after wrong attempts, the one-time code, and `mien users`."""

import io
import json
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pages
from mien import attempts, audit, firstrun, passphrase, settings, users
from mien.__main__ import main
from mien.clock import ManualClock
from mien.config import Store as StoreConfig
from mien.store import Store
from mien.users import UserError
from pages import Box

WORDS = "four unrelated plain words"
HOUR = 3_600_000


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    yield from pages.box(tmp_path, monkeypatch)


class TestPassphrase:
    @pytest.mark.parametrize(
        ("text", "fault"),
        [
            ("eleven char", "short"),
            ("x" * 201, "long"),
            ("Anna Maria Schmidt", "name"),
            ("annamariaschmidt", "name"),
            ("121212121212", "repeated"),
            ("twelve chars", None),
            ("correct horse battery staple", None),
            ("пароль из слов", None),
            ("🙂🙃😀😉 and more words", None),
            ("words " * 33, None),
        ],
    )
    def test_what_may_be_one(self, text: str, fault: str | None) -> None:
        assert passphrase.fault(text, "Anna Maria Schmidt") == fault

    def test_kept_as_argon2id_with_the_parameters_of_the_docs(self) -> None:
        kept = passphrase.hashed(WORDS)
        assert kept.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
        assert passphrase.fits(kept, WORDS)
        assert not passphrase.fits(kept, WORDS + " ")
        assert passphrase.hashed(WORDS) != kept

    def test_two_ways_to_type_the_same_letter(self) -> None:
        assert passphrase.fits(passphrase.hashed("Bücher und Brot"), "Bu\u0308cher und Brot")

    @pytest.mark.parametrize("kept", [None, "", users.DEMO, "$argon2id$broken", "plain words here"])
    def test_nothing_fits_where_there_is_none(self, kept: str | None) -> None:
        assert not passphrase.fits(kept, kept or "")
        assert not passphrase.fits(kept, "")

    @pytest.mark.parametrize(
        ("pin", "fault"),
        [
            ("2580", None), ("80808080", None), ("258", "digits"), ("258025802", "digits"),
            ("25a0", "digits"), ("٢٥٨٠", "digits"), ("", "digits"), ("1111", "simple"),
            ("1234", "simple"), ("9876", "simple"), ("0000", "simple"), ("1357", None),
        ],
    )  # fmt: skip
    def test_pins(self, pin: str, fault: str | None) -> None:
        assert passphrase.pin_fault(pin) == fault

    def test_a_made_up_one_is_a_good_one(self) -> None:
        first, second = passphrase.made_up(), passphrase.made_up()
        assert first != second
        assert passphrase.fault(first, "anna") is None


class TestAttempts:
    ANNA = attempts.door("user", "anna")
    HERE = attempts.door("address", "10.0.0.7")

    def begin(self, box: Box, utc_ms: int, *doors: str) -> int:
        return box.db.write(lambda db: attempts.begin(db, utc_ms, *doors))

    def test_three_are_free_then_waits_double_up_to_a_quarter_of_an_hour(self, box: Box) -> None:
        now, waits = 0, []
        for _ in range(16):
            assert self.begin(box, now, self.ANNA) == 0
            ((shut_until,),) = box.rows("SELECT shut_until_utc FROM attempts")
            waits.append(shut_until - now)
            if waits[-1]:
                assert self.begin(box, shut_until - 1, self.ANNA) == 1
            now = shut_until
        assert waits[:6] == [0, 0, 1000, 2000, 4000, 8000]
        assert max(waits) == waits[-1] == attempts.LONGEST_MS

    def test_names_of_doors_hide_what_was_typed(self, box: Box) -> None:
        self.begin(box, 0, attempts.door("user", WORDS))
        ((door,),) = box.rows("SELECT door FROM attempts")
        assert WORDS not in door
        assert attempts.door("user", "ANNA") == self.ANNA

    def test_a_clock_set_back_keeps_nobody_out_for_longer(self, box: Box) -> None:
        year = 365 * 24 * HOUR
        for at in range(6):
            self.begin(box, 2 * year + at * HOUR, self.ANNA)
        assert 0 < self.begin(box, 2 * year + 5 * HOUR, self.ANNA) <= attempts.LONGEST_MS
        assert 0 < self.begin(box, year, self.ANNA) <= attempts.LONGEST_MS
        assert self.begin(box, year + attempts.LONGEST_MS, self.ANNA) == 0

    def test_success_opens_the_name_but_an_address_only_loses_that_attempt(self, box: Box) -> None:
        for _ in range(9):
            assert self.begin(box, 0, self.HERE) == 0
        assert self.begin(box, 0, self.ANNA, self.HERE) == 0
        assert self.begin(box, 0, self.ANNA, self.HERE) > 0
        box.db.write(lambda db: attempts.succeeded(db, self.ANNA, self.HERE))
        assert box.rows("SELECT failures FROM attempts") == [(9,)]
        assert self.begin(box, 0, self.ANNA, self.HERE) == 0

    def test_a_day_later_it_is_forgotten(self, box: Box) -> None:
        self.begin(box, 0, self.ANNA)
        self.begin(box, attempts.FORGOTTEN_MS + 1, self.HERE)
        assert box.rows("SELECT door FROM attempts") == [(self.HERE,)]

    @given(st.integers(0, 10_000))
    def test_waits_never_shrink_and_never_exceed_the_longest(self, failures: int) -> None:
        wait = attempts.wait_ms(failures, 3)
        assert 0 <= wait <= attempts.wait_ms(failures + 1, 3) <= attempts.LONGEST_MS


class TestCode:
    def test_is_readable_kept_and_for_this_user_only(self, tmp_path: Path) -> None:
        code = firstrun.code(tmp_path)
        assert len(code) == 9
        assert code[4] == "-"
        assert not set(code) & set("01OI")
        assert firstrun.code(tmp_path) == code
        assert stat.S_IMODE((tmp_path / firstrun.FILE).stat().st_mode) == 0o600

    def test_small_letters_and_spaces_do_not_matter(self, tmp_path: Path) -> None:
        code = firstrun.code(tmp_path)
        for said in (code, code.lower(), code.replace("-", " "), f" {code} "):
            assert firstrun.fits(tmp_path, said)
        for said in ("", "-", code[:-1], code + "2", "ümläut", "🙂"):
            assert not firstrun.fits(tmp_path, said)

    def test_counts_for_nothing_once_used_or_emptied(self, tmp_path: Path) -> None:
        firstrun.code(tmp_path)
        firstrun.used(tmp_path)
        assert not firstrun.fits(tmp_path, "")
        (tmp_path / firstrun.FILE).write_text("\n")
        assert not firstrun.fits(tmp_path, "")
        assert firstrun.fits(tmp_path, firstrun.code(tmp_path))
        firstrun.used(tmp_path)
        firstrun.used(tmp_path)


class TestLastAdministrator:
    def test_stays_one(self, box: Box) -> None:
        anna = box.user("anna", "therapist administrator")
        ben = box.user("ben", "therapist")
        with pytest.raises(UserError, match="must stay administrator"):
            box.db.write(lambda db: users.set_roles(db, anna, {"therapist"}))
        with pytest.raises(UserError, match="must stay administrator"):
            box.db.write(lambda db: users.set_disabled(db, anna, True))
        assert box.rows("SELECT roles, disabled FROM users WHERE id = ?", anna) == [
            ("therapist administrator", 0)
        ]
        box.db.write(lambda db: users.set_roles(db, ben, {"administrator"}))
        box.db.write(lambda db: users.set_disabled(db, anna, True))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("anna", "anna"), ("  Anna \n Maria ", "Anna Maria"), ("", None), ("   ", None),
        ("x" * 40, "x" * 40), ("x" * 41, None), ("a\x00b", None), ("\u202eanna", None),
    ],
)  # fmt: skip
def test_names(text: str, name: str | None) -> None:
    assert users.name_of(text) == name


class TestCommand:
    """`mien users` beside a running page."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "state"
        Store.open(folder, ManualClock(), StoreConfig()).close()
        (tmp_path / "mien.toml").write_text(f'[box]\nstate_dir = "{folder}"\n')
        (tmp_path / "words").write_text(WORDS + "\nsecond line\n")
        return tmp_path

    def mien(self, folder: Path, *words: str) -> int:
        verb, *rest = words
        return main(["users", verb, "--config", str(folder / "mien.toml"), *rest])

    def told(self, capsys: pytest.CaptureFixture[str]) -> Any:
        return json.loads(capsys.readouterr().out)

    def test_add_list_reset_disable_enable(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        words = str(folder / "words")
        add = ("add", "anna", "--role", "administrator", "--role", "therapist")
        assert self.mien(folder, *add, "--passphrase-file", words) == 0
        assert "where the box stands" in capsys.readouterr().out
        assert self.mien(folder, *add, "--passphrase-file", words) == 1
        assert "already" in capsys.readouterr().err
        ben = ("add", "ben", "--role", "therapist", "--passphrase-file", words)
        assert self.mien(folder, *ben) == 0
        assert self.mien(folder, "disable", "Ben") == 0
        assert self.mien(folder, "disable", "anna") == 1
        assert "must stay administrator" in capsys.readouterr().err
        self.mien(folder, "list", "--json")
        anna, ben_told = self.told(capsys)["users"]
        assert (anna["name"], anna["roles"]) == ("anna", ["therapist", "administrator"])
        assert (ben_told["name"], ben_told["disabled"], ben_told["pin"]) == ("ben", True, False)
        assert self.mien(folder, "enable", "ben") == 0
        assert self.mien(folder, "reset", "ben", "--passphrase-file", words) == 0
        assert self.mien(folder, "list") == 0
        assert "therapist, administrator" in capsys.readouterr().out

        store = Store.open(folder / "state", ManualClock(), StoreConfig())
        entries = store.read(audit.entries)
        assert [entry.action for entry in reversed(entries)] == [
            "user.added", "user.added", "user.disabled", "user.enabled", "user.reset",
        ]  # fmt: skip
        assert {entry.user for entry in entries} == {"shell"}
        kept = store.read(lambda db: users.account(db, "ben"))
        store.close()
        assert kept
        assert passphrase.fits(kept.passphrase, WORDS)

    def test_the_first_user_ends_the_demo(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        store = Store.open(folder / "state", ManualClock(), StoreConfig())
        store.set_up("demo")
        words = str(folder / "words")
        self.mien(folder, "add", "demo", "--role", "administrator", "--passphrase-file", words)
        assert "until then nobody is read" in capsys.readouterr().out
        assert store.read(settings.setting) is None
        store.close()

    def test_a_passphrase_from_standard_input(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO(WORDS + "\n"))
        assert self.mien(folder, "add", "anna", "--role", "home", "--passphrase-file", "-") == 0

    @pytest.mark.parametrize(("said", "why"), [("short", "too short"), ("anna " * 3, "the name")])
    def test_a_bad_passphrase_changes_nothing(
        self, folder: Path, capsys: pytest.CaptureFixture[str], said: str, why: str
    ) -> None:
        (folder / "words").write_text(said)
        name = "anna anna anna"
        add = ("add", name, "--role", "home", "--passphrase-file", str(folder / "words"))
        assert self.mien(folder, *add) == 1
        assert why in capsys.readouterr().err
        self.mien(folder, "list", "--json")
        assert self.told(capsys) == {"users": []}

    def test_without_a_terminal_it_asks_for_a_file(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("sys.stdin", io.StringIO())
        assert self.mien(folder, "add", "anna", "--role", "home") == 1
        assert "--passphrase-file" in capsys.readouterr().err

    def test_nobody_and_nothing(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert self.mien(folder, "reset", "nobody") == 1
        assert "no user 'nobody'" in capsys.readouterr().err
        (folder / "mien.toml").write_text(f'[box]\nstate_dir = "{folder}/none"\n')
        assert self.mien(folder, "list") == 1
        assert "Start the daemon first" in capsys.readouterr().err

    def test_the_code_while_nobody_can_sign_in(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert self.mien(folder, "code") == 0
        code = capsys.readouterr().out.strip()
        assert firstrun.fits(folder / "state", code)
        self.mien(folder, "code", "--json")
        assert self.told(capsys) == {"code": code}
        self.mien(
            folder, "add", "anna", "--role", "home", "--passphrase-file", str(folder / "words")
        )
        assert self.mien(folder, "code") == 1
        assert "is set up" in capsys.readouterr().err
