"""Batch prediction: what a network answers for a selection of the library, held against labels."""

from typing import Any

import msgspec
from flask import abort, flash, redirect, render_template, request, url_for
from flask_babel import gettext, ngettext
from werkzeug.wrappers import Response as Answer

from mien import audit, gallery, heads, predictions
from mien.bundles import Chosen
from mien.gallery import Filter
from mien_web import api, desk, jobs, model, words
from mien_web.card import Confusion, Share

page = model.page

BATCH = 500
"""Pictures that one child process gets: a megabyte or two of crops."""
WORST = 24


@page.get("/model/predictions", endpoint="predictions")
def show() -> str:
    """A selection of the library, and what was predicted of it."""
    model.therapists_only()
    chosen, bundle = _filter(), model.at_work().bundle
    user, head = desk.user().id, _head(bundle.name)
    summary = desk.read(lambda db: predictions.summary(db, user, chosen, bundle.name, head))
    return render_template(
        "model/predictions.html",
        chosen=chosen,
        bundle=bundle,
        head=head,
        heads=desk.read(lambda db: heads.of_owner(db, user, bundle.name)),
        sources=desk.read(lambda db: gallery.sources(db, user)),
        held=sum(desk.read(lambda db: gallery.counts(db, user)).values()),
        summary=summary,
        confusion=(confusion := Confusion(summary.table)),
        told=Share(confusion.right_of_told.n, confusion.n),
        worst=desk.read(
            lambda db: predictions.mistakes(db, user, chosen, bundle.name, head, WORST)
        ),
        job=jobs.last("predict"),
        fields=_fields(head),
    )


@page.post("/model/predictions", endpoint="predict")
def begin() -> Answer:
    """Predict a selection, anew where it was predicted before."""
    model.therapists_only()
    chosen, using = _filter(), model.at_work()
    user, head = desk.user(), _head(using.bundle.name)
    layer = desk.read(lambda db: heads.weights(db, head)) if head else b""

    def work(job: jobs.Job) -> int:
        return _predict(job, user.id, user.name, chosen, using, head, layer)

    try:
        jobs.start("predict", work)
    except jobs.Busy as error:
        flash(words.sentence(str(error)), "error")
    return redirect(url_for("model.predictions", **_fields(head)), 303)


def _predict(
    job: jobs.Job, user: int, name: str, chosen: Filter, using: Chosen, head: str, layer: bytes
) -> int:
    """How many were predicted. Runs in the job's thread; each batch is kept as it comes."""
    bundle = using.bundle
    held = desk.read(lambda db: predictions.summary(db, user, chosen, bundle.name, head))
    limit = desk.config().limits.min_confidence
    done, after = 0, -1
    while crops := desk.read(
        lambda db, after=after: predictions.crops(db, user, chosen, after, BATCH)  # type: ignore[misc]
    ):
        task = predictions.Task(str(bundle.path), crops, layer, limit)
        found = []
        for line in job.child("mien.predicting", task=msgspec.json.encode(task)):
            found.append(msgspec.json.decode(line, type=predictions.Prediction))
            job.step(done + len(found), held.total, _progress(done + len(found), held.total))
        desk.write(lambda db, found=found: predictions.put(db, bundle.name, head, found))  # type: ignore[misc]
        done, after = done + len(found), crops[-1].id

    def noted(db: Any) -> None:
        audit.note(
            db, desk.now().utc, name, "library.predicted", bundle.name, head=head, pictures=done
        )

    desk.write(noted)
    return done


def _progress(done: int, total: int) -> str:
    text: str = ngettext(
        "%(done)s of one picture", "%(done)s of %(num)s pictures", total, done=done
    )
    return text


def _filter() -> Filter:
    """The selection that was asked for, in the words of the library page."""
    return api.filter_of(request.form if request.method == "POST" else request.args)


def _head(bundle: str) -> str:
    """The id of the head that was asked for, one of this user's clients and for this bundle."""
    asked = request.values.get("head", "")
    known = desk.read(lambda db: heads.of_owner(db, desk.user().id, bundle))
    if asked and asked not in {head.id for head, _ in known}:
        abort(404, gettext("This head is not there any more."))
    return asked


def _fields(head: str) -> dict[str, Any]:
    """The selection as the fields of a form."""
    names = ("emotion", "source", "color", "people", "text")
    fields = {name: value for name in names if (value := request.values.get(name))}
    return {**fields, "head": head} if head else fields
