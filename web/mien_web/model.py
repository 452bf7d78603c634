"""The model pages: the bundle's card, personal heads, and what is answered for the library."""

import uuid
from contextlib import suppress
from typing import Any

import msgspec
from flask import Blueprint, abort, flash, redirect, render_template, request, url_for
from flask_babel import format_decimal, gettext, ngettext
from werkzeug.wrappers import Response as Answer

from mien import audit, bundles, clients, heads
from mien.bundle import BundleError
from mien.bundles import SHIPPED, Bundles, Chosen
from mien.clients import Client
from mien.control import ControlError
from mien.events import EXPRESSIONS, MienError
from mien.heads import Head, Settings
from mien_web import card, desk, door, jobs, labels, languages, parts, words
from mien_web.card import Confusion, Share

page = Blueprint("model", __name__)
door.needs(page, "therapist", "administrator")

STRENGTH = (1.0, 1000.0)
ITERATIONS = (10, 5000)


# ── The card ─────────────────────────────────────────────────────────────────────────────────────


@page.get("/model")
def show() -> str:
    """The card of the bundle that reads from the next start of the service on."""
    chosen = at_work()
    confusion, of_answer = card.measured(chosen.bundle)
    store = Bundles(desk.config().state_dir)
    return render_template(
        "model/show.html",
        chosen=chosen,
        bundle=chosen.bundle,
        running=_running(),
        confusion=confusion,
        of_answer=of_answer,
        share_of=lambda share, n: Share(round(share * n), int(n)),
        number=lambda *path: card.number(chosen.bundle, *path),
        conditions=card.conditions(chosen.bundle),
        sections={section.title: section for section in card.sections(chosen.bundle)},
        others=_others(store),
        previous=_previous(store),
        clients=_mine(),
    )


@page.post("/model/bundle")
def switch() -> Answer:
    """Activate an installed bundle, or the one before."""
    _administrators_only()
    store = Bundles(desk.config().state_dir)
    name = request.form.get("name", "")
    try:
        before = store.active
        if name != SHIPPED and name not in store.installed:
            abort(404, gettext("No bundle of this name is installed."))
        store.load(name)

        def work(db: Any) -> None:
            user = desk.user().name
            audit.note(db, desk.now().utc, user, "bundle.activated", name, before=before)
            store.back() if name == store.previous else store.activate(name)

        desk.write(work)
    except BundleError as error:
        flash(words.sentence(str(error)), "error")
    else:
        flash(
            gettext(
                "%(name)s is active. It counts from the next start of the service; until then "
                "the box reads as before.",
                name=_title(name),
            )
        )
    return redirect(url_for("model.show"), 303)


@page.app_template_global()
def measured_confusion() -> tuple[Confusion | None, bool]:
    """That of the bundle at work, for the page about the labels."""
    try:
        return card.measured(bundles.open_bundle(desk.config()).bundle)
    except BundleError:
        return None, False


page.add_app_template_global(labels.name, "expression_name")


@page.app_template_filter()
def interval(share: Share, digits: int = 0) -> str:
    """Its 95 % interval, as `64–68 %`."""
    return f"{decimal(100 * share.low, digits)}–{languages.percent(share.high, digits)}"


@page.app_template_filter()
def points(change: float) -> str:
    """A change of a share, −1 to 1, in points of a hundred: `3.1`."""
    return decimal(100 * change, 1)


@page.app_template_filter()
def decimal(number: float, digits: int) -> str:
    # Adding 0 makes of −0 a 0.
    return str(format_decimal(round(number, digits) + 0.0, "0." + "0" * digits))


@page.context_processor
def _words() -> dict[str, Any]:
    return {"expressions": range(len(EXPRESSIONS)), "emotions": EXPRESSIONS, "title": _title}


def at_work() -> Chosen:
    """The bundle that reads from the next start of the service on."""
    try:
        return bundles.open_bundle(desk.config())
    except BundleError as error:
        abort(500, words.sentence(str(error)))


def _running() -> str | None:
    """What the service says it reads with."""
    try:
        found = desk.control().status().parts
    except ControlError:
        return None
    return next((parts.say(part.text) for part in found if part.name == "expression"), None)


def _others(store: Bundles) -> list[dict[str, Any]]:
    """All bundles there are, the active one too, each with its main figure or its trouble."""
    found: list[dict[str, Any]] = []
    try:
        active, names = store.active, [SHIPPED, *store.installed]
    except BundleError as error:
        return [{"name": "", "trouble": words.sentence(str(error))}]
    for name in names:
        one: dict[str, Any] = {"name": name, "active": name == active, "trouble": None}
        try:
            one["bundle"] = bundle = store.load(name)
            one["right"] = card.number(bundle, "public_test", "answer", "fer_plus_accuracy")
        except BundleError as error:
            one["trouble"] = words.sentence(str(error))
        found.append(one)
    return found


def _previous(store: Bundles) -> str | None:
    try:
        return store.previous
    except BundleError:
        return None


def _title(name: str) -> str:
    return gettext("the shipped bundle") if name == SHIPPED else name


def _mine() -> list[Client]:
    if "therapist" not in desk.user().roles:
        return []
    return desk.read(lambda db: clients.of(db, desk.user().id))


def therapists_only() -> None:
    if "therapist" not in desk.user().roles:
        abort(403, gettext("Only a therapist can do this."))


def _administrators_only() -> None:
    if "administrator" not in desk.user().roles:
        abort(403, gettext("Only an administrator can do this."))


# ── Personal heads ───────────────────────────────────────────────────────────────────────────────


@page.get("/clients/<client>/head", endpoint="heads")
def heads_of(client: str) -> str:
    """What a client's head can be fitted to, and the heads there are."""
    found, chosen = _client(client), at_work()
    consented = desk.read(lambda db: clients.valid(db, found.id, "training"))
    corrected = desk.read(lambda db: heads.corrected(db, found.id))
    return render_template(
        "model/head.html",
        client=found,
        bundle=chosen.bundle,
        consented=consented,
        corrected=corrected,
        missing=_missing(corrected),
        ballast=desk.read(heads.ballast_size),
        heads=[_shown(head) for head in desk.read(lambda db: heads.of_client(db, found.id))],
        job=jobs.last("head", found.id),
        settings=Settings(),
        strengths=STRENGTH,
        iterations=ITERATIONS,
    )


@page.post("/clients/<client>/head")
def fit(client: str) -> Answer:
    """Begin to fit a head."""
    found, chosen = _client(client), at_work()
    settings = _settings()
    if not desk.read(lambda db: clients.valid(db, found.id, "training")):
        abort(409, gettext("Without the client's consent to training nothing is fitted."))
    if missing := _missing(desk.read(lambda db: heads.corrected(db, found.id))):
        abort(409, missing)
    user = desk.user().name

    def work(job: jobs.Job) -> str:
        return _fit(job, found, chosen, settings, user)

    try:
        jobs.start("head", work, found.id)
    except jobs.Busy as error:
        flash(words.sentence(str(error)), "error")
    return _back(found)


@page.post("/clients/<client>/head/<any(activate, erase):act>")
def keep(client: str, act: str) -> Answer:
    """Read the client with a head, or with none; or erase one."""
    found = _client(client)
    id = request.form.get("head", "")
    head = next(
        (h for h in desk.read(lambda db: heads.of_client(db, found.id)) if h.id == id), None
    )
    if head is None and (id or act == "erase"):
        abort(404, gettext("This head is not there any more."))
    if act == "activate" and head:
        if head.bundle != (name := at_work().bundle.name):
            abort(409, gettext(
                "This head was made for the bundle %(old)s, and %(new)s is at work. Fit it again.",
                old=head.bundle, new=name,
            ))  # fmt: skip
        if not head.result.better and not request.form.get("sure"):
            flash(
                gettext(
                    "This head was not better on captures it had not seen. Tick the box beside "
                    "the button if you want it nevertheless."
                ),
                "error",
            )
            return _back(found)

    def work(db: Any) -> None:
        if act == "erase":
            heads.delete(db, found.id, id)
        else:
            heads.activate(db, found.id, id or None)
        action = "head.erased" if act == "erase" else "head.activated" if id else "head.none"
        audit.note(db, desk.now().utc, desk.user().name, action, found.code, head=id)

    desk.write(work)
    _tell_the_daemon()
    if act == "erase":
        flash(gettext("The head was erased."))
    elif id:
        flash(gettext("%(code)s is read with this head from now on.", code=found.code))
    else:
        flash(gettext("%(code)s is read with the bundle’s own layer again.", code=found.code))
    return _back(found)


def _fit(job: jobs.Job, client: Client, chosen: Chosen, settings: Settings, user: str) -> str:
    """The id of the new head. Runs in the job's thread."""
    name = chosen.bundle.name
    task = heads.Task(
        str(chosen.bundle.path),
        settings,
        desk.read(lambda db: heads.examples(db, client.id, name)),
        desk.read(lambda db: heads.ballast(db, name)) if settings.library else [],
    )
    job.step(0, 0, gettext("The faces are read …"))
    fitted = None
    for line in job.child("mien.fitting", task=msgspec.json.encode(task)):
        if line.startswith(b"["):
            done, steps = msgspec.json.decode(line, type=tuple[int, int])
            job.step(done, steps, gettext("It is fitted and held against unseen captures …"))
        else:
            fitted = msgspec.json.decode(line, type=heads.Fitted)
    if fitted is None:
        raise MienError(gettext("The program that fits gave nothing; try it again."))
    id, made = str(uuid.uuid4()), fitted

    def work(db: Any) -> None:
        # Taken back while it was reckoned: then what came of it is nothing to keep.
        if not clients.valid(db, client.id, "training"):
            raise MienError(gettext("The consent to training was withdrawn; nothing was kept."))
        utc = desk.now().utc
        heads.add(db, id, client.id, name, utc, made.weights, settings, made.result)
        audit.note(
            db, utc, user, "head.fitted", client.code,
            head=id, bundle=name, captures=made.result.captures, pictures=made.result.ballast,
        )  # fmt: skip

    desk.write(work)
    return id


def _shown(head: Head) -> dict[str, Any]:
    """A head with its two results."""
    before, after = Confusion(head.result.before), Confusion(head.result.after)
    return {"head": head, "result": head.result, "before": before, "after": after}


def _missing(corrected: Any) -> str | None:
    """What there is too little of to fit a head, as a sentence."""
    count = sum(corrected.values())
    if count < heads.FEWEST:
        few: str = ngettext(
            "One capture is corrected; a head needs at least %(fewest)s. Say of more captures "
            "what they look like, also where the box was right.",
            "%(num)s captures are corrected; a head needs at least %(fewest)s. Say of more "
            "captures what they look like, also where the box was right.",
            count,
            fewest=heads.FEWEST,
        )
        return few
    if len(corrected) < 2:
        alike: str = gettext(
            "All corrected captures carry the same label; a head needs two different ones at least."
        )
        return alike
    return None


def _settings() -> Settings:
    strength = request.form.get("strength", type=float)
    iterations = request.form.get("iterations", type=int)
    if strength is None or not STRENGTH[0] <= strength <= STRENGTH[1]:
        abort(400, gettext(
            "The pull towards the bundle must be a number from %(low)s to %(high)s.",
            low=format_decimal(STRENGTH[0]), high=format_decimal(STRENGTH[1]),
        ))  # fmt: skip
    if iterations is None or not ITERATIONS[0] <= iterations <= ITERATIONS[1]:
        abort(400, gettext(
            "The iterations must be a whole number from %(low)s to %(high)s.",
            low=format_decimal(ITERATIONS[0]), high=format_decimal(ITERATIONS[1]),
        ))  # fmt: skip
    return Settings(strength, "library" in request.form, iterations)


def _client(id: str) -> Client:
    found = desk.read(lambda db: clients.find(db, id, desk.user().id))
    if found is None or "therapist" not in desk.user().roles:
        abort(404)
    return found


def _back(client: Client) -> Answer:
    return redirect(url_for("model.heads", client=client.id), 303)


def _tell_the_daemon() -> None:
    with suppress(ControlError):  # it looks by itself each second
        desk.control().refresh()
