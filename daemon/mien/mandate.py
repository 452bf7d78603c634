"""What the daemon may do now. It decides that itself, from what is in the store, each second: so no
page, and no way round one, can have anybody read whose consent is not there.

See docs/decisions/consent.md for the rules and their reasons.
"""

from typing import Any, Literal

from msgspec import Struct

from mien import quiet, settings, zone
from mien.clock import Stamp

NOT_SET_UP = "not set up yet: open the page"


class Mandate(Struct, frozen=True, kw_only=True):
    """On whose word the camera may be open. Without a `kind` it may not, and nobody is read."""

    kind: Literal["session", "home", "demo"] | None = None
    session: str | None = None
    """The newest session that runs, even where it gives no mandate."""
    client: str | None = None
    """Who is read."""
    keep: bool = False
    """Whether readings may be stored and published."""
    pictures: bool = False
    """Whether a captured face may be given out."""
    text: str
    """The same in words."""

    @property
    def whose(self) -> tuple[object, ...]:
        """Changes when what is read belongs to somebody or something else than before."""
        return self.kind, self.session, self.client, self.keep


class Head(Struct, frozen=True):
    """A client's personal last layer, as it is stored; see the table `heads`."""

    id: str
    bundle: str
    weights: bytes


LONGEST_H = 12
"""No session is that long: somebody forgot it, and the page, which would have asked, is not there.
"""


def mandate(db: Any, now: Stamp) -> Mandate:
    """What the rows of the store allow at this time.

    Only the newest session counts: where its client's consent is missing or withdrawn nobody is
    read, not even by an older session that somebody forgot to stop.
    """
    setting = settings.setting(db)
    if setting is None:
        return Mandate(text=NOT_SET_UP)
    if setting == "demo":
        text = "a demo: whoever sits there is read and kept"
        return Mandate(kind="demo", keep=True, pictures=True, text=text)
    running = db.execute(
        "SELECT boot_ms, id, client, numbers, pictures FROM sessions "
        "WHERE boot = ? AND length_ms IS NULL ORDER BY boot_ms DESC, rowid DESC LIMIT 1",
        (now.boot_id,),
    ).fetchone()
    if running:
        begun, *session = running
        if now.boot_time - begun / 1000 > LONGEST_H * 3600:
            text = f"a session was not stopped for {LONGEST_H} hours, so the camera is off"
            return Mandate(session=session[0], text=text)
        return _of_session(db, *session)
    if setting == "home":
        return _of_home(db, now)
    return Mandate(text="no session is running, so the camera is off")


def resident(db: Any) -> str | None:
    """Whose home log it is: the first person of the house who consents to it."""
    found = db.execute(
        "SELECT c.id FROM clients c JOIN consents g ON g.client = c.id AND g.kind = 'home' "
        "WHERE c.resident AND NOT c.archived AND g.withdrawn_utc IS NULL "
        "ORDER BY c.created_utc, c.id LIMIT 1"
    ).fetchone()
    return str(found[0]) if found else None


def still_kept(db: Any, former: Mandate) -> bool:
    """Whether what was read under a mandate that ended may be stored: its session was stopped, but
    nothing was withdrawn."""
    setting = settings.setting(db)
    if not former.keep or setting is None:
        return False
    if former.kind == "demo":
        return True  # nobody can take back what nobody gave
    if former.client is None:
        return False
    if former.kind == "home":
        return _consented(db, former.client, "home")
    kept = db.execute("SELECT numbers FROM sessions WHERE id = ?", (former.session,)).fetchone()
    return bool(kept and kept[0]) and all(
        _consented(db, former.client, kind) for kind in ("live", "numbers")
    )


def head(db: Any, client: str, bundle: str) -> Head | None:
    """The client's active head, before others one for the bundle of this name."""
    row = db.execute(
        "SELECT id, bundle, weights FROM heads WHERE client = ? AND active "
        "ORDER BY bundle = ? DESC, utc DESC LIMIT 1",
        (client, bundle),
    ).fetchone()
    if not row:
        return None
    id, fitted_to, weights = row
    return Head(id, fitted_to, weights if isinstance(weights, bytes) else b"")


def _of_session(db: Any, session: str, client: str, numbers: int, pictures: int) -> Mandate:
    if not _consented(db, client, "live"):
        text = "a session runs without valid consent, so the camera is off"
        return Mandate(session=session, text=text)
    # Shown in the version that was consented to: consent to another text is none.
    shown = db.execute(
        "SELECT 1 FROM notices n JOIN consents c ON c.client = n.client AND c.version = n.version "
        "WHERE n.client = ? AND c.kind = 'live' AND c.withdrawn_utc IS NULL LIMIT 1",
        (client,),
    ).fetchone()
    if not shown:
        text = "a session runs, but its client was not shown the notice, so the camera is off"
        return Mandate(session=session, text=text)
    keep = bool(numbers) and _consented(db, client, "numbers")
    return Mandate(
        kind="session",
        session=session,
        client=client,
        keep=keep,
        pictures=bool(pictures) and _consented(db, client, "pictures"),
        text="a session runs with consent" + ("" if keep else "; its numbers are not kept"),
    )


def _of_home(db: Any, now: Stamp) -> Mandate:
    client = resident(db)
    if client is None:
        return Mandate(text="nobody of the house consents to the home log, so the camera is off")
    if hours := quiet.of(db):
        if not now.clock_ok:
            # It might be night: what was asked for counts more than a gap in the log.
            return Mandate(
                text="there are quiet hours, and the box does not know the time yet, so the camera "
                "is off: connect the network, which sets the clock"
            )
        at = zone.of_box(db)
        end = quiet.until(hours, round(now.utc * 1000), at)
        if end is not None:
            time = zone.local(end, at).strftime("%H:%M")
            return Mandate(text=f"quiet hours until {time}, so the camera is off")
    text = "the home log runs with consent"
    return Mandate(kind="home", client=client, keep=True, text=text)


def _consented(db: Any, client: str, kind: str) -> bool:
    query = "SELECT 1 FROM consents WHERE client = ? AND kind = ? AND withdrawn_utc IS NULL LIMIT 1"
    return db.execute(query, (client, kind)).fetchone() is not None
