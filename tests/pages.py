"""A page with a store under it and a scripted daemon behind it, for tests through Flask's client.

@pytest.fixture
def box(tmp_path, monkeypatch):
    yield from pages.box(tmp_path, monkeypatch)
"""

import functools
import hashlib
import itertools
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from mien import settings
from mien.clock import ManualClock
from mien.config import Box as BoxConfig
from mien.config import Config
from mien.config import Store as StoreConfig
from mien.control import ControlServer
from mien.database import Database
from mien.events import EXPRESSIONS, Expression
from mien.scripted import ScriptedDaemon
from mien.store import SecondReading, Store
from mien_web import attach, create_app, desk, door, guard
from samples import HEALTH

SAME = {"Sec-Fetch-Site": "same-origin"}


class Box:
    """The daemon's store (and so all migrations), the page's app, and a signed-in browser."""

    def __init__(self, folder: Path) -> None:
        self.clock = ManualClock()
        self.config = Config(box=BoxConfig(state_dir=str(folder)))
        self.store = Store.open(folder, self.clock, StoreConfig())
        self.daemon = ScriptedDaemon(HEALTH)
        self.server = ControlServer(folder / "control.sock", self.daemon, poll_s=0.01)
        self.server.start()
        self.app = page(self.config, self.clock)
        self.db: Database = desk.open_store(self.config, self.clock)
        self._number = itertools.count(1)
        self.write("INSERT OR REPLACE INTO settings VALUES ('setting', '\"clinic\"')")

    def close(self) -> None:
        self.app.extensions["mien.control"].close()
        if opened := self.app.extensions.get("mien.store"):
            opened.close()
        self.db.close()
        self.server.stop()
        self.store.close()

    # ── rows, as they would have come about ──────────────────────────────────────────────────────

    def write(self, query: str, *values: object) -> None:
        self.db.write(lambda db: db.execute(query, values))

    def rows(self, query: str, *values: object) -> list[Any]:
        return self.db.read(lambda db: db.execute(query, values).fetchall())

    def set(self, setting: settings.Setting | None) -> None:
        self.db.write(lambda db: settings.put(db, "setting", setting))

    @property
    def utc_ms(self) -> int:
        return round(self.clock.stamp().utc * 1000)

    def user(self, name: str = "anna", roles: str = "therapist administrator") -> int:
        """A user without a usable passphrase; its id."""
        self.write(
            "INSERT OR IGNORE INTO users (name, roles, passphrase, created_utc) "
            "VALUES (?, ?, '', ?)",
            name, roles, self.utc_ms,
        )  # fmt: skip
        return int(self.rows("SELECT id FROM users WHERE name = ?", name)[0][0])

    def browser(self, name: str = "anna", roles: str = "therapist administrator") -> "Browser":
        """A browser in which this user is signed in."""
        user = self.user(name, roles)
        token = f"token-{next(self._number)}"
        self.write(
            "INSERT INTO logins (id, user, created_utc, seen_utc) VALUES (?, ?, ?, ?)",
            hashlib.sha256(token.encode()).hexdigest(), user, self.utc_ms, self.utc_ms,
        )  # fmt: skip
        client = self.app.test_client()
        client.set_cookie(door.COOKIE, token)
        return Browser(client)

    def client(self, code: str = "K-17", *consents: str, owner: str = "anna") -> str:
        """A client who was shown the notice and gave these consents; its id."""
        key = f"client-{next(self._number)}"
        self.write(
            "INSERT INTO clients (id, code, owner, created_utc) VALUES (?, ?, ?, ?)",
            key, code, self.user(owner), self.utc_ms,
        )  # fmt: skip
        self.write(
            "INSERT INTO notices (client, version, language, shown_utc, user) "
            "VALUES (?, 1, 'en', ?, ?)",
            key, self.utc_ms, owner,
        )  # fmt: skip
        for kind in consents:
            self.write(
                "INSERT INTO consents (client, kind, version, given_utc, user) "
                "VALUES (?, ?, 1, ?, ?)",
                key, kind, self.utc_ms, owner,
            )  # fmt: skip
        return key

    def session(self, client: str, seconds: int = 0, owner: str = "anna") -> str:
        """A session that began `seconds` ago and was stopped just now; it runs when 0."""
        key = f"session-{next(self._number)}"
        now = self.clock.stamp()
        self.write(
            "INSERT INTO sessions (id, client, user, boot, boot_ms, utc, clock_ok, length_ms, "
            "ended, numbers, pictures) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, 1, 1)",
            key, client, self.user(owner), now.boot_id, round((now.boot_time - seconds) * 1000),
            round((now.utc - seconds) * 1000), now.clock_ok,
            seconds * 1000 or None, "stopped" if seconds else None,
        )  # fmt: skip
        return key

    def readings(self, looks: list[Expression | None], facing: bool = True) -> None:
        """A reading a second, the last one just now; None: cannot tell."""
        now = self.clock.monotonic()
        self.store.add(
            [
                SecondReading(
                    stamp=self.clock.stamp(now - len(looks) + second),
                    people=1,
                    expression=look,
                    reason=None if look else "turned away",
                    confidence=0.8 if look else None,
                    valence=0.0,
                    probabilities={
                        e: (0.76 if e == look else 0.04) if look else 1 / 7 for e in EXPRESSIONS
                    },
                    facing=facing,
                )
                for second, look in enumerate(looks)
            ]
        )


@functools.cache
def _app() -> Flask:
    """Made once: its routes and templates take longer than most tests do."""
    app = create_app(Config())
    app.testing = True
    return app


def page(config: Config, clock: ManualClock) -> Flask:
    """The page's app, as if it had just been made."""
    app = _app()
    for name in [name for name in app.extensions if name.startswith("mien.")]:
        del app.extensions[name]
    attach(app, config, clock)
    return app


class Browser:
    """Flask's client with the form token and the headers of a real browser."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, url: str, **options: Any) -> TestResponse:
        return self.client.get(url, headers={**SAME, **options.pop("headers", {})}, **options)

    def post(self, url: str, data: dict[str, Any] | None = None, **options: Any) -> TestResponse:
        """A form sent from the page itself."""
        return self.client.post(
            url, data={"token": self.token, **(data or {})}, headers=SAME, **options
        )

    def post_json(self, url: str, body: Any) -> TestResponse:
        """What a script of the page sends, with the token as a header."""
        return self.client.post(url, json=body, headers={**SAME, "Mien-Token": self.token})

    @property
    def token(self) -> str:
        """What this browser holds in its cookie, and so what its forms send along."""
        cookie = self.client.get_cookie(guard.COOKIE)
        if cookie is None:
            self.client.set_cookie(guard.COOKIE, "the-form-token")
        return cookie.value if cookie else "the-form-token"


def box(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Box]:
    monkeypatch.delenv("RUNTIME_DIRECTORY", raising=False)
    made = Box(folder)
    yield made
    made.close()


def text(response: TestResponse) -> str:
    """What a person reads: no tags, single spaces."""
    body = re.sub(r"<svg.*?</svg>|<head>.*?</head>|<[^>]+>", " ", response.text, flags=re.DOTALL)
    return " ".join(unescape(body).split())
