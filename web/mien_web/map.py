"""The map: under which topic the expression looked like what, for how much of the time, and how
sure that is; the moments behind each figure; and the client's neutral face to read against."""

import uuid
from collections.abc import Sequence
from threading import Lock
from typing import Any
from urllib.parse import urlencode

from flask import (
    Blueprint,
    abort,
    flash,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from flask_babel import gettext
from msgspec import Struct
from werkzeug.wrappers import Response as Answer

from mien import audit, baseline, bundles, cells, sessions, shares, timeline
from mien.baseline import Baseline
from mien.cells import WHOLE, Run, Topic
from mien.clients import Client
from mien.sessions import Session
from mien.shares import PLACES, UNKNOWN
from mien_web import desk, door, figures, languages, periods
from mien_web.clients import find as find_client
from mien_web.session import find as find_session

page = Blueprint("map", __name__)
door.needs(page, "therapist")

COUNT_S = 0.8
"""How long one request may count sessions before it answers that more are to be counted."""
SESSIONS = 5
"""Sessions whose moments one page lists."""
ROWS = 40
"""Topics that the map shows before it is asked for all."""
_ONE_AT_A_TIME = Lock()
"""A year's counts are 3 MB, and several tablets at once get them no sooner than in turn."""
_KEPT = ("period", "from", "to", "show", "sort", "baseline", "all")


class Moment(Struct, frozen=True):
    from_ms: int
    seconds: int


# ── the map ──────────────────────────────────────────────────────────────────────────────────────


@page.get("/sessions/<session>/map")
def session(session: str) -> str:
    """The map of one session, counted at once, so also of one that still runs."""
    found, client = find_session(session)
    neutral, using = _neutral(client)
    topics = _of_session(found, using)
    return _show(client, topics, neutral, using, session=found, tab="map")


@page.get("/clients/<client>/map")
def client(client: str) -> Answer:
    """The map of a client over a period."""
    found = find_client(client)
    period = periods.asked()
    neutral, using = _neutral(found)
    if left := _count_up(found, using):
        answer = make_response(render_template("map/counting.html", client=found, left=left))
        answer.headers["Refresh"] = "0"
        return answer
    with _ONE_AT_A_TIME:
        topics = desk.read(lambda db: cells.of_client(db, found.id, using, period.between))
        return make_response(_show(found, topics, neutral, using, period=period))


def _show(
    client: Client,
    topics: list[Topic],
    neutral: Baseline | None,
    using: Baseline | None,
    **more: Any,
) -> str:
    difference = request.args.get("show") == "difference"
    names = _names()
    whole, *others = topics
    seen = shares.total([under for under, _ in whole.sessions])
    rows: list[figures.Row] = []
    few: list[figures.Row] = []
    for topic in others:
        row = figures.row(topic, names.get(topic.keyword, ""), difference)
        (rows if row.seen >= shares.LEAST_SECONDS else few).append(row)
    by_name = request.args.get("sort") == "name"
    for group in (rows, few):
        group.sort(key=lambda row: (row.name.casefold() if by_name else -row.seen, row.name))
    shown = rows if request.args.get("all") else rows[:ROWS]
    return render_template(
        "map/map.html",
        client=client,
        looks=list(zip(figures.LOOKS, map(figures.look, range(PLACES)), strict=True)),
        whole=None if difference else figures.row(whole, gettext("All that was seen"), False),
        rows=shown,
        hidden=len(rows) - len(shown),
        few=few,
        compared=sum(not cell.thin for row in rows for cell in row.cells),
        seen=seen.seen,
        watched=sum(1 for under, _ in whole.sessions if under.seen),
        held=len(whole.sessions),
        difference=difference,
        by_name=by_name,
        neutral=neutral,
        using=using,
        moments=_moments_url(client, more.get("session")),
        link=_link,
        duration=figures.duration,
        moment_s=cells.MOMENT_MS // 1000,
        least_s=shares.LEAST_SECONDS,
        least_runs=shares.LEAST_RUNS,
        shades=[languages.percent((step / figures.SHADES) ** 2) for step in range(figures.SHADES)],
        steps=[round(100 * step) for step in figures.STEPS],
        **{"session": None, **more},  # else the template sees the cookie of that name
    )


# ── the moments behind a figure ──────────────────────────────────────────────────────────────────


@page.get("/sessions/<session>/map/moments")
def moments(session: str) -> str:
    """When in a session the expression looked like that under a topic."""
    found, client = find_session(session)
    keyword, place = _cell()
    using = _neutral(client)[1]
    topics = _of_session(found, using)
    back = url_for("map.session", session=found.id, **_kept("show", "sort", "baseline"))
    listed = [(found, _moments(found, keyword, place, using))]
    return _show_moments(client, topics, (keyword, place), listed, back, session=found)


@page.get("/clients/<client>/map/moments")
def client_moments(client: str) -> str:
    """The same over a client's sessions of a period, a few sessions at a time."""
    found = find_client(client)
    keyword, place = _cell()
    period = periods.asked()
    using = _neutral(found)[1]
    first, last = period.between
    until = min(last, request.args.get("before", last, type=int))
    owner = desk.user().id

    def work(db: Any) -> tuple[list[Topic], list[Session | None]]:
        newest = cells.holding(db, found.id, using, (keyword, place), (first, until), SESSIONS + 1)
        return (
            cells.of_client(db, found.id, using, period.between),
            [sessions.find(db, id, owner) for id in newest],
        )

    topics, newest = desk.read(work)
    held = [one for one in newest if one]
    listed = [(one, _moments(one, keyword, place, using)) for one in held[:SESSIONS]]
    back = url_for("map.client", client=found.id, **_kept(*_KEPT))
    earlier = None
    if len(held) > SESSIONS:
        asked = {**_kept(*_KEPT), "topic": keyword, "look": figures.LOOKS[place]}
        earlier = url_for(
            "map.client_moments", client=found.id, before=held[SESSIONS].utc + 1, **asked
        )
    return _show_moments(found, topics, (keyword, place), listed, back, earlier=earlier)


def _show_moments(
    client: Client,
    topics: list[Topic],
    cell: tuple[str, int],
    listed: list[tuple[Session, list[Moment]]],
    back: str,
    **more: Any,
) -> str:
    keyword, place = cell
    names = _names()
    topic = next((topic for topic in topics if topic.keyword == keyword), None)
    if topic is None:
        abort(404, gettext("This topic was not tagged here. Go back to the map."))
    return render_template(
        "map/moments.html",
        client=client,
        topic=names.get(keyword, ""),
        look=figures.look(place),
        sentences=figures.sentences(topic, names.get(keyword, ""), place),
        listed=listed,
        back=back,
        duration=figures.duration,
        moment_s=cells.MOMENT_MS // 1000,
        clock=timeline.clock,
        **more,
    )


def _moments(session: Session, keyword: str, place: int, using: Baseline | None) -> list[Moment]:
    threshold = _threshold(using)

    def work(db: Any) -> list[Run]:
        seconds = cells.kept(db, session)
        found = cells.runs(seconds, cells.label(session, using, threshold))
        if keyword == WHOLE:
            return found
        stretches = cells.topics(db, session).get(keyword, [])
        return cells.within(found, [second.at_ms for second in seconds], stretches)

    return [
        Moment(run.from_ms, run.last - run.first + 1)
        for run in desk.read(work)
        if run.place == place
    ]


# ── the neutral face ─────────────────────────────────────────────────────────────────────────────


@page.get("/clients/<client>/baseline", endpoint="baseline")
def neutral_face(client: str) -> str:
    """What a neutral baseline is, those of a client, and what the one in use changes."""
    found = find_client(client)
    owner = desk.user().id

    def work(db: Any) -> tuple[list[Baseline], list[Session], Session | None]:
        return (
            baseline.of_client(db, found.id),
            sessions.of_client(db, found.id),
            sessions.running(db, owner),
        )

    recorded, held, running = desk.read(work)
    active = next((one for one in recorded if one.active), None)
    return render_template(
        "map/baseline.html",
        client=found,
        recorded=recorded,
        running=running if running and running.client == found.id else None,
        effect=_effect(active, held) if active else None,
        length_s=baseline.LENGTH_MS // 1000,
        least_s=baseline.LEAST_SECONDS,
        look=figures.look,
        duration=figures.duration,
    )


@page.post("/sessions/<session>/baseline")
def record(session: str) -> Answer:
    """Keep the last half minute of a running session as a neutral face, and use it."""
    found, client = find_session(session)
    now = desk.now()
    key = str(uuid.uuid4())

    def work(db: Any) -> Any:
        """What stands in the way, or None."""
        if found.length_ms is not None:
            return gettext("This session was stopped. Record the neutral face while one runs.")
        if not found.numbers:
            return gettext("The numbers of this session are not kept, so there is none to record.")
        seconds = cells.kept(db, found)
        newest = seconds[-1].at_ms if seconds else 0
        recent = [one for one in seconds if one.at_ms > newest - baseline.LENGTH_MS]
        mean, readable = baseline.mean(recent)
        old = round(now.boot_time * 1000) - found.boot_ms - newest > 2 * baseline.LENGTH_MS
        if old or readable < baseline.LEAST_SECONDS:
            return gettext(
                "Of the last %(length)s seconds only %(readable)s could be read; %(least)s are "
                "needed. Let the face rest turned to the camera for half a minute, then try again.",
                length=baseline.LENGTH_MS // 1000,
                readable=0 if old else readable,
                least=baseline.LEAST_SECONDS,
            )
        made = Baseline(
            id=key,
            client=client.id,
            session=found.id,
            utc=round(now.utc * 1000),
            seconds=readable,
            bundle=baseline.network(found),
            mean=mean,
            active=True,
        )
        baseline.add(db, made)
        audit.note(
            db, now.utc, desk.user().name, "baseline.recorded", client.code, seconds=readable
        )
        return None

    trouble = desk.write(work)
    said = trouble or gettext("The neutral face is recorded. The map can be read against it.")
    if request.is_json:
        return make_response(jsonify(ok=trouble is None, message=said), 409 if trouble else 200)
    if trouble:
        abort(409, trouble)
    flash(said)
    return redirect(url_for("map.baseline", client=client.id), 303)


@page.post("/clients/<client>/baseline")
def change(client: str) -> Answer:
    """Use a recording, use none, or delete one."""
    found = find_client(client)
    key, wish = request.form.get("baseline", ""), request.form.get("wish", "")
    said = {
        "use": gettext("This recording is used from now on."),
        "rest": gettext("No recording is used any more. It is kept."),
        "delete": gettext("The recording was deleted."),
    }
    if wish not in said:
        abort(400, gettext("A recording can be used, left unused or deleted. Go back and choose."))

    def work(db: Any) -> None:
        if key not in {one.id for one in baseline.of_client(db, found.id)}:
            abort(404, gettext("There is no such recording of this client."))
        if wish == "delete":
            baseline.delete(db, found.id, key)
        else:
            baseline.activate(db, found.id, key if wish == "use" else None)
        verb = {"use": "used", "rest": "unused", "delete": "deleted"}[wish]
        audit.note(db, desk.now().utc, desk.user().name, f"baseline.{verb}", found.code)

    desk.write(work)
    flash(said[wish])
    return redirect(url_for("map.baseline", client=found.id), 303)


class Effect(Struct, frozen=True):
    """What a baseline changes in a session: shares by place without and with it."""

    session: Session
    seen: int
    changed: int
    without: list[float]
    having: list[float]


def _effect(neutral: Baseline, held: Sequence[Session]) -> Effect | None:
    """In the newest session that it can be used for."""
    usable = (one for one in held if baseline.network(one) == neutral.bundle and one.numbers)
    newest = max(usable, key=lambda one: one.utc, default=None)
    if newest is None:
        return None
    how = cells.label(newest, neutral, _threshold(neutral))
    if how is None:
        return None
    without, having, changed = [0] * PLACES, [0] * PLACES, 0
    for second in desk.read(lambda db: cells.kept(db, newest)):
        if second.people:
            before, after = second.expression, how(second)
            changed += before != after
            without[UNKNOWN if before is None else before] += 1
            having[UNKNOWN if after is None else after] += 1
    seen = sum(without)
    if not seen:
        return None
    return Effect(newest, seen, changed, [n / seen for n in without], [n / seen for n in having])


# ── what was asked for ───────────────────────────────────────────────────────────────────────────


def _neutral(client: Client) -> tuple[Baseline | None, Baseline | None]:
    """The client's baseline, and the same again where the map is asked for with it."""
    found = desk.read(lambda db: baseline.active(db, client.id))
    return found, found if request.args.get("baseline") else None


def _names() -> dict[str, str]:
    known = desk.read(lambda db: sessions.keywords(db, desk.user().id))
    return {keyword.id: keyword.text for keyword in known}


def _threshold(using: Baseline | None) -> float:
    """The probability from which on the box names an expression."""
    if using is None:
        return 0.0
    given = desk.config().limits.min_confidence
    if given is not None:
        return given
    return bundles.open_bundle(desk.config()).bundle.thresholds.confidence


def _of_session(session: Session, using: Baseline | None) -> list[Topic]:
    threshold = _threshold(using)
    found = desk.read(lambda db: cells.of_session(db, session, using, threshold))
    return [Topic(keyword, (under,)) for keyword, under in found.items()]


def _count_up(client: Client, using: Baseline | None) -> int:
    """Count for a while what is not counted yet; how many sessions are left."""
    waiting = desk.read(lambda db: cells.due(db, client.id, using))
    threshold, owner = _threshold(using), desk.user().id
    until = desk.clock().monotonic() + COUNT_S
    for done, key in enumerate(waiting):
        if done and desk.clock().monotonic() >= until:
            return len(waiting) - done

        def work(db: Any, key: str = key) -> None:
            if found := sessions.find(db, key, owner):
                cells.refresh(db, found, using, threshold)

        desk.write(work)
    return 0


def _cell() -> tuple[str, int]:
    keyword, look = request.args.get("topic", WHOLE), request.args.get("look", "")
    if look not in figures.LOOKS:
        abort(400, gettext("There is no such expression. Go back to the map and choose a cell."))
    return keyword, figures.LOOKS.index(look)


def _kept(*names: str) -> dict[str, Any]:
    return {name: request.args[name] for name in names if request.args.get(name)}


def _link(**changed: str) -> str:
    """This page with other settings; an empty one is left out."""
    args = {name: value for name, value in {**_kept(*_KEPT), **changed}.items() if value}
    return url_for(str(request.endpoint), **(request.view_args or {}), **args)


def _moments_url(client: Client, session: Session | None) -> str:
    """Where a cell's moments are, but for its topic and its expression."""
    if session:
        start = url_for("map.moments", session=session.id)
        kept = _kept("show", "sort", "baseline")
    else:
        start = url_for("map.client_moments", client=client.id)
        kept = _kept(*_KEPT)
    return f"{start}?{urlencode({**kept, 'topic': ''})}"
