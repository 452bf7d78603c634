"""Clients, by code name only; what they consented to; and whether they were shown the notice."""

import re
import unicodedata
from typing import Any, Literal, get_args

from msgspec import Struct

Kind = Literal["live", "numbers", "pictures", "training", "home"]
KINDS: tuple[Kind, ...] = get_args(Kind)

NEEDS: dict[Kind, Kind] = {"numbers": "live", "pictures": "live", "training": "pictures"}
"""A consent that means nothing without another one cannot be given without it."""

VERSION = 1
"""Of the notice and of the texts of the five consents; whoever changes what one of them promises
counts it up. A consent given under an older text goes on: what it allowed to keep stays kept. But
no session starts before the client was shown the notice as it is now; see `hindrances`."""

LONGEST_CODE = 24

Fault = Literal["empty", "long", "control", "address", "birth", "name"]
"""Why a code name cannot be used."""

Hindrance = Literal["no consent", "no notice", "old consent", "archived"]
"""Why no session may start with a client."""


class Client(Struct, frozen=True):
    """`owner` is the id of the user whose client it is; `resident`: a person of the house, whom
    the home log is about; `created_utc` in milliseconds."""

    id: str
    code: str
    owner: int
    resident: bool
    archived: bool
    created_utc: int


class Listed(Struct, frozen=True):
    """A client in the list: when the last session began, UTC in ms, and the valid consents."""

    client: Client
    last_utc: int | None
    consents: frozenset[str]


class Consent(Struct, frozen=True):
    """One consent as it was given: under which text, when and to whom; UTC in milliseconds."""

    kind: str
    version: int
    given_utc: int
    user: str
    withdrawn_utc: int | None


class Notice(Struct, frozen=True):
    """One time that the notice was shown."""

    version: int
    language: str
    shown_utc: int
    user: str


class Visit(Struct, frozen=True):
    """A session in the client's list; `length_ms` is None while it runs. `topics` counts the
    different ones, `captures` those not deleted."""

    id: str
    utc: int
    length_ms: int | None
    topics: int
    captures: int


# ── clients ──────────────────────────────────────────────────────────────────────────────────────


def find(db: Any, id: str, owner: int) -> Client | None:
    """The client with this id, if it is this user's."""
    row = db.execute(f"SELECT {_CLIENT} WHERE id = ? AND owner = ?", (id, owner)).fetchone()
    return _client(row) if row else None


def of(db: Any, owner: int) -> list[Client]:
    """All clients of a user, archived ones too, by code name."""
    rows = db.execute(f"SELECT {_CLIENT} WHERE owner = ? ORDER BY code", (owner,))
    return [_client(row) for row in rows]


def listed(db: Any, owner: int, search: str = "", *, archived: bool = False) -> list[Listed]:
    """A user's clients whose code name contains `search`, the last one seen first."""
    pattern = "%" + re.sub(r"([\\%_])", r"\\\1", search) + "%"
    rows = db.execute(
        "SELECT id, code, owner, resident, archived, created_utc, "
        "(SELECT max(utc) FROM sessions WHERE client = c.id), "
        "(SELECT group_concat(DISTINCT kind) FROM consents "
        "WHERE client = c.id AND withdrawn_utc IS NULL) FROM clients c "
        "WHERE owner = ? AND archived = ? AND code LIKE ? ESCAPE '\\' ORDER BY code",
        (owner, archived, pattern),
    )
    found = [
        Listed(_client(row[:6]), row[6], frozenset((row[7] or "").split(",")) - {""})
        for row in rows
    ]
    return sorted(found, key=lambda one: -(one.last_utc or one.client.created_utc))


def fault(code: str) -> Fault | None:
    """Why this cannot be a code name: it must be short, and tell nobody who it is."""
    if not code.strip():
        return "empty"
    if len(code) > LONGEST_CODE:
        return "long"
    if any(unicodedata.category(letter) in ("Cc", "Cs", "Zl", "Zp") for letter in code):
        return "control"
    if "@" in code:
        return "address"
    if _DATE.search(code):
        return "birth"
    words = re.findall(r"[^\W\d_]{2,}", code)
    # "Blue heron" is refused as well: a program cannot tell it from a name.
    if len(words) > 1 and re.search(r"[^\W\d_]{2,}[\s,.]+[^\W\d_]{2,}", code):
        return "name"
    return None


def taken(db: Any, code: str, owner: int) -> bool:
    """Whether this user has a client of this code name already."""
    query = "SELECT 1 FROM clients WHERE owner = ? AND code = ?"
    return db.execute(query, (owner, code)).fetchone() is not None


def add(db: Any, id: str, code: str, owner: int, utc: float, *, resident: bool) -> None:
    """A new client under an id made up by the page. `utc` in seconds."""
    db.execute(
        "INSERT INTO clients (id, code, owner, resident, created_utc) VALUES (?, ?, ?, ?, ?)",
        (id, code, owner, resident, round(utc * 1000)),
    )


def rename(db: Any, id: str, code: str) -> None:
    db.execute("UPDATE clients SET code = ? WHERE id = ?", (code, id))


def archive(db: Any, id: str, *, archived: bool) -> None:
    """Take a client out of the list, or put it back; nothing else changes."""
    db.execute("UPDATE clients SET archived = ? WHERE id = ?", (archived, id))


def visits(db: Any, id: str, before_utc: int | None = None, limit: int = 30) -> list[Visit]:
    """The newest sessions of a client that began before then."""
    rows = db.execute(
        "SELECT s.id, utc, length_ms, (SELECT count(DISTINCT keyword) FROM tags "
        "WHERE session = s.id AND NOT deleted), (SELECT count(*) FROM captures "
        "WHERE session = s.id AND NOT deleted) FROM sessions s "
        "WHERE client = ? AND utc < ? ORDER BY utc DESC LIMIT ?",
        (id, before_utc if before_utc is not None else 1 << 62, limit),
    )
    return [Visit(*row) for row in rows]


# ── consents ─────────────────────────────────────────────────────────────────────────────────────


def valid(db: Any, id: str, kind: str) -> bool:
    """Whether a client's consent of this kind was given and not withdrawn."""
    return kind in _standing(db, id)


def history(db: Any, id: str) -> list[Consent]:
    """All consents that a client ever gave, the newest first."""
    rows = db.execute(
        "SELECT kind, version, given_utc, user, withdrawn_utc FROM consents "
        "WHERE client = ? ORDER BY id DESC",
        (id,),
    )
    return [Consent(*row) for row in rows]


def standing(db: Any, id: str) -> dict[str, Consent]:
    """The valid consents by kind, each as it was given last."""
    found: dict[str, Consent] = {}
    for consent in history(db, id):
        if consent.withdrawn_utc is None:
            found.setdefault(consent.kind, consent)
    return found


def give(db: Any, id: str, kind: Kind, user: str, utc: float) -> bool:
    """Note a consent under the present text; False when it stands already. `utc` in seconds."""
    if _standing(db, id).get(kind) == VERSION:
        return False
    db.execute(
        "INSERT INTO consents (client, kind, version, given_utc, user) VALUES (?, ?, ?, ?, ?)",
        (id, kind, VERSION, round(utc * 1000), user),
    )
    return True


def show_notice(db: Any, id: str, language: str, user: str, utc: float) -> None:
    """Note that the client was shown the notice as it is now. `utc` in seconds."""
    db.execute(
        "INSERT INTO notices (client, version, language, shown_utc, user) VALUES (?, ?, ?, ?, ?)",
        (id, VERSION, language, round(utc * 1000), user),
    )


def notices(db: Any, id: str) -> list[Notice]:
    """When a client was shown the notice, the newest first."""
    rows = db.execute(
        "SELECT version, language, shown_utc, user FROM notices WHERE client = ? ORDER BY id DESC",
        (id,),
    )
    return [Notice(*row) for row in rows]


def notice_shown(db: Any, id: str, version: int | None = None) -> bool:
    """Whether the client was shown the notice, in the present version unless another is named."""
    query = "SELECT 1 FROM notices WHERE client = ? AND version = ? LIMIT 1"
    return db.execute(query, (id, VERSION if version is None else version)).fetchone() is not None


def hindrances(db: Any, id: str) -> list[Hindrance]:
    """All that stands in the way of a session with this client, in the order of the cure.

    A session needs a valid consent to live analysis, and that its client was shown the notice both
    as it is now and as it was when that consent was given: the daemon reads nobody without the
    latter (see `mandate`).
    """
    found: list[Hindrance] = []
    archived = db.execute("SELECT 1 FROM clients WHERE id = ? AND archived", (id,)).fetchone()
    if archived:
        found.append("archived")
    if not notice_shown(db, id):
        found.append("no notice")
    given = db.execute(
        "SELECT DISTINCT version FROM consents "
        "WHERE client = ? AND kind = 'live' AND withdrawn_utc IS NULL",
        (id,),
    ).fetchall()
    if not given:
        found.append("no consent")
    elif not any(version == VERSION or notice_shown(db, id, version) for (version,) in given):
        found.append("old consent")
    return found


def may_start(db: Any, id: str) -> bool:
    """Whether a session may start with this client; `hindrances` tells why not."""
    return not hindrances(db, id)


def _standing(db: Any, id: str) -> dict[str, int]:
    """The newest version of each valid consent."""
    rows = db.execute(
        "SELECT kind, max(version) FROM consents WHERE client = ? AND withdrawn_utc IS NULL "
        "GROUP BY kind",
        (id,),
    )
    return dict(rows.fetchall())


_CLIENT = "id, code, owner, resident, archived, created_utc FROM clients"
_DATE = re.compile(
    r"(?<!\d)(\d{1,2}[./-]\d{1,2}[./-](\d{4}|\d{2})|(19|20)\d{2}[./-]?\d{2}[./-]?\d{2}"
    r"|\d{2}[01]\d(19|20)\d{2})(?!\d)"
)


def _client(row: tuple[Any, ...]) -> Client:
    id, code, owner, resident, archived, created_utc = row
    return Client(id, code, owner, bool(resident), bool(archived), created_utc)
