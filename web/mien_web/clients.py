"""Clients: the list, a client's page, the notice, the consents, and what withdrawing one erases."""

import uuid
from contextlib import suppress
from typing import Any

from flask import (
    Blueprint,
    abort,
    flash,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import force_locale, format_decimal, gettext, ngettext
from werkzeug.wrappers import Response as Answer

from mien import audit, clients, erasures, forgetting, sessions, settings
from mien.clients import KINDS, LONGEST_CODE, NEEDS, Client, Kind
from mien.control import ControlError
from mien.sessions import Session
from mien_web import consents, desk, door, languages

page = Blueprint("clients", __name__)
door.needs(page, "therapist", "home")

PATIENCE = 3.0
"""Seconds that a page may spend on having the daemon erase; the daemon goes on with the rest."""
SESSIONS = 30
"""Listed at once on a client's page."""


@page.get("/clients")
def index() -> str:
    finish_erasures()
    search = request.args.get("q", "").strip()[:LONGEST_CODE]
    archived = request.args.get("archived") == "1"
    me = desk.user().id
    everybody = desk.read(lambda db: clients.of(db, me))
    return render_template(
        "clients/index.html",
        listed=desk.read(lambda db: clients.listed(db, me, search, archived=archived)),
        search=search,
        archived=archived,
        active=sum(not client.archived for client in everybody),
        stored=sum(client.archived for client in everybody),
        running=running(),
        home=at_home(),
        texts=consents.TEXTS,
        kinds=KINDS,
        longest=LONGEST_CODE,
    )


@page.post("/clients")
def add() -> Answer:
    code = request.form.get("code", "").strip()
    id, me, now = str(uuid.uuid4()), desk.user(), desk.now()

    def work(db: Any) -> str | None:
        if wrong := _wrong_code(db, code):
            return wrong
        resident = settings.setting(db) == "home"
        clients.add(db, id, code, me.id, now.utc, resident=resident)
        audit.note(db, now.utc, me.name, "client.created", code, client=id)
        return None

    if wrong := desk.write(work):
        flash(wrong, "problem")
        return redirect(url_for("clients.index"), 303)
    flash(gettext("%(code)s was added. Next: show the notice.", code=code))
    return redirect(url_for("clients.show", client=id), 303)


@page.get("/clients/<client>")
def show(client: str) -> str:
    finish_erasures()
    found = find(client)
    before = request.args.get("before", type=int)
    visits = desk.read(lambda db: clients.visits(db, found.id, before, SESSIONS + 1))
    return render_template(
        "clients/show.html",
        client=found,
        why_not=why_not(found.id),
        standing=desk.read(lambda db: clients.standing(db, found.id)),
        notices=desk.read(lambda db: clients.notices(db, found.id)),
        visits=visits[:SESSIONS],
        older=visits[SESSIONS - 1].utc if len(visits) > SESSIONS else None,
        newest=before is None,
        running=running(),
        texts=consents.TEXTS,
        kinds=_kinds(found),
        version=clients.VERSION,
        home=at_home(),
        longest=LONGEST_CODE,
    )


@page.post("/clients/<client>/code")
def rename(client: str) -> Answer:
    found, code = find(client), request.form.get("code", "").strip()

    def work(db: Any) -> str | None:
        if code == found.code:
            return None
        other = code if code.lower() != found.code.lower() else None
        if wrong := _wrong_code(db, code, other):
            return wrong
        clients.rename(db, found.id, code)
        name, utc = desk.user().name, desk.now().utc
        audit.note(db, utc, name, "client.renamed", code, client=found.id, before=found.code)
        return None

    wrong = desk.write(work)
    flash(wrong or gettext("Saved."), "problem" if wrong else "message")
    return redirect(url_for("clients.show", client=found.id), 303)


@page.post("/clients/<client>/archive")
def archive(client: str) -> Answer:
    found, archived = find(client), request.form.get("archived") == "1"

    def work(db: Any) -> None:
        clients.archive(db, found.id, archived=archived)
        action = "client.archived" if archived else "client.restored"
        audit.note(db, desk.now().utc, desk.user().name, action, found.code, client=found.id)

    desk.write(work)
    refresh()
    if archived:
        flash(gettext("%(code)s is archived. Nothing was erased.", code=found.code))
        return redirect(url_for("clients.index"), 303)
    flash(gettext("%(code)s is back in the list.", code=found.code))
    return redirect(url_for("clients.show", client=found.id), 303)


# ── notice and consents ──────────────────────────────────────────────────────────────────────────


@page.get("/clients/<client>/notice")
def notice(client: str) -> str:
    return _in_its_language("clients/notice.html", find(client))


@page.get("/clients/<client>/card")
def card(client: str) -> str:
    return _in_its_language("clients/card.html", find(client), box=desk.box())


@page.post("/clients/<client>/notice")
def shown(client: str) -> Answer:
    found, me, now = find(client), desk.user(), desk.now()
    if request.form.get("version") != str(clients.VERSION):
        abort(409, gettext("The notice has changed meanwhile. Load it again and show it anew."))

    def work(db: Any) -> None:
        clients.show_notice(db, found.id, _asked_language(), me.name, now.utc)
        audit.note(
            db, now.utc, me.name, "notice.shown", found.code,
            client=found.id, version=clients.VERSION, language=_asked_language(),
        )  # fmt: skip

    desk.write(work)
    refresh()
    flash(gettext("Noted: the notice was shown. Now ask for the consents, one by one."))
    return redirect(url_for("clients.agreed", client=found.id), 303)


@page.get("/clients/<client>/consents")
def agreed(client: str) -> str:
    found = find(client)
    return render_template(
        "clients/consents.html",
        client=found,
        standing=desk.read(lambda db: clients.standing(db, found.id)),
        history=desk.read(lambda db: clients.history(db, found.id)),
        shown=desk.read(lambda db: clients.notice_shown(db, found.id)),
        kinds=_kinds(found),
        texts=consents.TEXTS,
        needed=consents.NEEDED,
        version=clients.VERSION,
    )


@page.post("/clients/<client>/consents")
def give(client: str) -> Answer:
    found, me, now = find(client), desk.user(), desk.now()
    if request.form.get("version") != str(clients.VERSION):
        abort(409, gettext("The texts have changed meanwhile. Load the page and ask again."))
    ticked = [kind for kind in KINDS if kind in request.form.getlist("kind")]

    def work(db: Any) -> str | list[Kind]:
        standing = clients.standing(db, found.id)
        for kind in ticked:
            needs = NEEDS.get(kind)
            if needs and needs not in standing and needs not in ticked:
                return str(
                    gettext(
                        "“%(kind)s” needs “%(needs)s” too. Nothing was recorded; tick both, or "
                        "neither.",
                        kind=consents.TEXTS[kind].title,
                        needs=consents.TEXTS[needs].title,
                    )
                )
        given = [kind for kind in ticked if clients.give(db, found.id, kind, me.name, now.utc)]
        for kind in given:
            audit.note(
                db, now.utc, me.name, "consent.given", found.code,
                client=found.id, kind=kind, version=clients.VERSION,
            )  # fmt: skip
        return given

    done = desk.write(work)
    refresh()
    if isinstance(done, str):
        flash(done, "problem")
    elif done:
        said = ngettext(
            "%(num)s consent was recorded.", "%(num)s consents were recorded.", len(done)
        )
        flash(said)
        return redirect(url_for("clients.show", client=found.id), 303)
    else:
        flash(gettext("Nothing was ticked, so nothing was recorded."), "problem")
    return redirect(url_for("clients.agreed", client=found.id), 303)


@page.get(f"/clients/<client>/withdraw/<any({', '.join(KINDS)}):kind>")
def withdrawal(client: str, kind: Kind) -> str:
    found, now = find(client), desk.now()
    standing = desk.read(lambda db: clients.standing(db, found.id))
    if kind not in standing:
        abort(404, gettext("This consent is not in force, so there is nothing to withdraw."))
    kinds = [one for one in erasures.with_dependents(kind) if one in standing]
    counted: dict[str, erasures.Counts] = desk.read(
        lambda db: {one: erasures.counts(db, found.id, one, now, exact=False) for one in kinds}
    )
    return render_template(
        "clients/withdraw.html",
        client=found,
        kind=kind,
        along=[one for one in kinds if one != kind],
        texts=consents.TEXTS,
        said=consents.in_words(counted),
        kept=[one for one in ("numbers", "pictures") if kind == "live" and one in standing],
    )


@page.post(f"/clients/<client>/withdraw/<any({', '.join(KINDS)}):kind>")
def withdraw(client: str, kind: Kind) -> Answer:
    found, me, now = find(client), desk.user(), desk.now()
    entry = desk.write(lambda db: erasures.withdraw(db, found, kind, me.name, now))
    refresh()
    if entry is None:
        flash(gettext("This consent was withdrawn already."))
        return redirect(url_for("clients.show", client=found.id), 303)
    finish_erasures()
    _empty_journal()
    return redirect(url_for("clients.receipt", entry=entry), 303)


@page.get("/clients/<client>/delete")
def deletion(client: str) -> str:
    found, now = find(client), desk.now()
    counted = desk.read(lambda db: erasures.counts_of_all(db, found.id, now, exact=False))
    return render_template("clients/delete.html", client=found, said=consents.in_words(counted))


@page.post("/clients/<client>/delete")
def delete(client: str) -> Answer:
    found, me, now = find(client), desk.user(), desk.now()
    if request.form.get("code", "").strip() != found.code:
        flash(
            gettext("The code name did not match, so nothing was erased. Type it as it is shown."),
            "problem",
        )
        return redirect(url_for("clients.deletion", client=found.id), 303)
    entry = desk.write(lambda db: erasures.erase_client(db, found, me.name, now))
    refresh()
    finish_erasures()
    _empty_journal()
    return redirect(url_for("clients.receipt", entry=entry), 303)


@page.get("/receipts/<int:entry>")
def receipt(entry: int) -> str:
    finish_erasures()
    told = desk.read(lambda db: erasures.receipt(db, entry, desk.user().name))
    if told is None:
        abort(404)
    now = desk.now()
    return render_template(
        "clients/receipt.html",
        told=told,
        client=desk.read(lambda db: clients.find(db, told.client, desk.user().id)),
        left=desk.read(lambda db: erasures.left(db, told, now)),
        progress=desk.read(lambda db: erasures.progress(db, told)),
        now=round(now.utc * 1000),
        texts=consents.TEXTS,
        names=consents.ERASED,
        number=format_decimal,
        box=desk.box(),
    )


# ── what the other pages ask too ─────────────────────────────────────────────────────────────────


def find(client: str) -> Client:
    """This user's client, or 404."""
    found = desk.read(lambda db: clients.find(db, client, desk.user().id))
    if found is None:
        abort(404)
    return found


def running() -> tuple[Session, Client] | None:
    """This user's session that runs, and with whom."""
    me = desk.user().id
    session = desk.read(lambda db: sessions.running(db, me))
    return (session, find(session.client)) if session else None


def why_not(client: str) -> list[str]:
    """Why no session may start with this client, in sentences; none when one may."""
    found = desk.read(lambda db: clients.hindrances(db, client))
    return [str(consents.HINDRANCES[one]) for one in found]


def at_home() -> bool:
    """Whether the box stands in a home."""
    return desk.read(settings.setting) == "home"


def refresh() -> None:
    """Have the daemon look at the store at once; it looks each second anyway."""
    with suppress(ControlError):
        desk.control().refresh()


def finish_erasures() -> None:
    """Have the daemon erase what was withdrawn and still stands in its tables; what it cannot do
    now stays asked for, and the daemon does it when it runs."""
    waiting = desk.read(forgetting.undone)
    if not waiting:
        return
    until = desk.clock().monotonic() + PATIENCE
    done: list[tuple[int, int]] = []
    with suppress(ControlError):
        for id, stretch in waiting:
            done.append((id, desk.control().erase([stretch])))
            if desk.clock().monotonic() > until:
                break
    if done:
        now = desk.now()

        def work(db: Any) -> None:
            for id, rows in done:
                forgetting.done(db, id, round(now.utc * 1000), rows)
            audit.note(
                db, now.utc, desk.user().name, "numbers.erased",
                stretches=len(done), rows=sum(rows for _, rows in done),
            )  # fmt: skip

        desk.write(work)


def _empty_journal() -> None:
    if not desk.read(erasures.emptied):
        flash(
            gettext(
                "The rows are erased. The database's journal still holds them, encrypted, because "
                "it is being read; it is emptied with the next writing."
            )
        )


def _kinds(client: Client) -> list[Kind]:
    """The consents that this client is asked for, the one that matters most first."""
    if client.resident:
        return ["home", *(kind for kind in KINDS if kind != "home")]
    standing = desk.read(lambda db: clients.standing(db, client.id))
    return [kind for kind in KINDS if kind != "home" or kind in standing]


def _wrong_code(db: Any, code: str, other: str | None = "") -> str | None:
    """What is wrong with a code name, in a sentence. `other` None: it may be the client's own."""
    why = gettext(
        "Code names keep this list harmless: whoever sees it, or a backup of it, learns nobody's "
        "name. Try something like K-17 or blue-heron."
    )
    what = {
        "empty": gettext("Type a code name first."),
        "long": gettext(
            "A code name has up to %(count)s characters. Shorten it.", count=LONGEST_CODE
        ),
        "control": gettext("A code name is of letters, digits and signs that can be seen."),
        "address": gettext("This looks like an e-mail address.") + " " + why,
        "birth": gettext("This looks like a date of birth.") + " " + why,
        "name": gettext("This looks like a full name.") + " " + why,
    }
    if found := clients.fault(code):
        return str(what[found])
    if other is not None and clients.taken(db, code, desk.user().id):
        return str(gettext("You have a client called %(code)s already. Choose another.", code=code))
    return None


def _asked_language() -> str:
    asked = request.values.get("language", "")
    return asked if asked in languages.LANGUAGES else languages.language()


def _in_its_language(template: str, client: Client, **shown: object) -> str:
    spoken = _asked_language()
    home = at_home()
    with force_locale(spoken):
        return render_template(
            template,
            client=client,
            spoken=spoken,
            version=clients.VERSION,
            texts=consents.TEXTS,
            home=home,
            kinds=_kinds(client),
            **shown,
        )
