"""Predictions of the library: the table, and the page over it."""

import struct
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

import pages
from mien import audit, heads, predictions
from mien.bundle import load_bundle, shipped_bundle
from mien.gallery import Filter
from mien.heads import Result, Settings
from mien.predictions import Prediction
from mien_web import jobs
from mien_web import predictions as page

BUNDLE = load_bundle(shipped_bundle())
with np.load(BUNDLE.path / "known_answer.npz") as _known:
    CROPS = [cv2.imencode(".png", image)[1].tobytes() for image in _known["images"]]
    MEANT = [int(logits.argmax()) for logits in _known["logits"]]
ALL = Filter()
RESULT = Result(
    captures=10, sessions=3, ballast=0, folds=3, by="session", before=[[0] * 7] * 7,
    after=[[0] * 7] * 7, gained=0, lost=0, seconds=0, settled=True,
)  # fmt: skip


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def browser(box: pages.Box) -> pages.Browser:
    return box.browser()


def picture(
    box: pages.Box, label: int | None, *, crop: bytes = b"", client: str | None = None,
    source: str = "upload",
) -> int:  # fmt: skip
    """A picture of the library; its id."""
    (count,) = box.rows("SELECT count(*) FROM pictures")[0]
    box.write(
        "INSERT INTO pictures (id, sha256, dhash, client, source, name, color, width, height, "
        "expression, face, crop, quality, added_utc) "
        "VALUES (?, ?, '0', ?, ?, ?, 'gray', 48, 48, ?, x'', ?, 1, 0)",
        count + 1, str(count), client, source, f"face-{count + 1}.png", label, crop,
    )  # fmt: skip
    return int(count) + 1


def answer(box: pages.Box, id: int, expression: int | None, confidence: float = 0.7) -> None:
    shares = [0.0] * 7
    shares[expression or 0] = confidence
    found = Prediction(id, expression, struct.pack("<7f", *shares), b"\0" * 896)
    box.db.write(lambda db: predictions.put(db, "b", "", [found]))


def summary(box: pages.Box, chosen: Filter = ALL, head: str = "") -> predictions.Summary:
    user = box.user()
    return box.db.read(lambda db: predictions.summary(db, user, chosen, "b", head))


class TestTable:
    def test_answers_are_held_against_labels(self, box: pages.Box) -> None:
        for label, said in ((0, 0), (0, 3), (4, None), (None, 3)):
            answer(box, picture(box, label), said)
        picture(box, 6)
        found = summary(box)
        assert (found.total, found.waiting, found.unlabelled) == (5, 1, 1)
        assert (found.table[0][0], found.table[0][3], found.table[4][7]) == (1, 1, 1)
        assert sum(map(sum, found.table)) == 3
        assert summary(box, Filter(expression=0)).total == 2
        assert summary(box, head="other").waiting == 5

    def test_the_surest_mistake_comes_first(self, box: pages.Box) -> None:
        for confidence, said in ((0.6, 3), (0.9, 3), (0.99, 0), (0.8, None)):
            answer(box, picture(box, 0), said, confidence)
        user = box.user()
        found = box.db.read(lambda db: predictions.mistakes(db, user, ALL, "b", "", 10))
        assert [(m.picture, m.expression, m.answer) for m in found] == [(2, 0, 3), (1, 0, 3)]
        assert found[0].confidence == pytest.approx(0.9)

    def test_a_new_answer_replaces_the_old(self, box: pages.Box) -> None:
        id = picture(box, 0)
        answer(box, id, 3)
        answer(box, id, 0)
        assert summary(box).table[0] == [1, *[0] * 7]

    def test_a_picture_that_went_meanwhile_is_passed_over(self, box: pages.Box) -> None:
        answer(box, 77, 3)
        assert box.rows("SELECT * FROM predictions") == []

    def test_of_a_client_only_the_owners_and_with_consent(self, box: pages.Box) -> None:
        client = box.client("K-17", "training")
        other = box.client("K-18", "training", owner="ben")
        mine, theirs = picture(box, 0, client=client), picture(box, 0, client=other)
        for id in (mine, theirs):
            answer(box, id, 3)
        anna = box.user()
        assert summary(box).total == 1
        crops = box.db.read(lambda db: predictions.crops(db, anna, ALL, 0, 10))
        assert [crop.id for crop in crops] == [mine]
        box.write("UPDATE consents SET withdrawn_utc = 1")
        assert summary(box).total == 0
        assert box.db.read(lambda db: predictions.mistakes(db, anna, ALL, "b", "", 10)) == []

    def test_what_a_head_said_goes_with_its_client(self, box: pages.Box) -> None:
        client = box.client("K-17", "training")
        box.db.write(lambda db: heads.add(db, "h", client, "b", 0, b"", Settings(), RESULT))
        found = [Prediction(picture(box, 0), 3, b"\0" * 28, b"")]
        for head in ("h", ""):
            box.db.write(lambda db, head=head: predictions.put(db, "b", head, found))
        box.write("DELETE FROM clients WHERE id = ?", client)
        assert box.rows("SELECT head FROM predictions") == [("",)]


class TestPage:
    def read(self, box: pages.Box, browser: pages.Browser, **fields: str) -> jobs.Job:
        response = browser.post("/model/predictions", fields)
        assert response.status_code == 303
        running: jobs.Jobs = box.app.extensions["mien.jobs"]
        job = running.of(box.user())[0]
        assert job.wait(60)
        return job

    def said(self, browser: pages.Browser, query: str = "") -> str:
        return pages.text(browser.get(f"/model/predictions{query}"))

    def test_an_empty_library_says_what_to_do(self, browser: pages.Browser) -> None:
        assert "The library is empty. Add labelled pictures" in self.said(browser)

    def test_read_and_shown(
        self, box: pages.Box, browser: pages.Browser, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(page, "BATCH", 5)
        for crop, meant in zip(CROPS, MEANT, strict=True):
            picture(box, meant, crop=crop)
        picture(box, None, crop=CROPS[0])
        said = self.said(browser)
        assert "13 pictures are selected; none was read by mien-fer-2 yet." in said
        job = self.read(box, browser)
        assert (job.state, job.result, job.done) == ("done", 13, 13)
        said = self.said(browser)
        assert "13 pictures are selected; all were read by mien-fer-2." in said
        assert "Confusion matrix over 12 labelled pictures" in said
        assert "Right when it gives an answer" in said
        assert "Without a label, so not counted 1" in said
        assert box.db.read(audit.entries)[0].action == "library.predicted"

    def test_a_selection(self, box: pages.Box, browser: pages.Browser) -> None:
        for number, source in enumerate(("web", "phone")):
            picture(box, number, crop=CROPS[number], source=source)
        assert "One picture is selected" in self.said(browser, "?source=web")
        assert self.read(box, browser, source="web").result == 1
        assert "one of them was not read yet" in self.said(browser)

    def test_the_surest_mistakes_lead_to_their_pictures(
        self, box: pages.Box, browser: pages.Browser
    ) -> None:
        layer = np.zeros((225, 7), "<f4")
        layer[-1, 5] = 9  # surprise, whatever is seen
        client = box.client("K-17", "training")
        box.db.write(
            lambda db: heads.add(
                db, "h", client, BUNDLE.name, 0, layer.tobytes(), Settings(), RESULT
            )
        )
        id = picture(box, 6, crop=CROPS[0])
        self.read(box, browser, head="h")
        html = browser.get("/model/predictions?head=h").text
        assert f"/api/images/{id}/face.jpg" in html
        assert "/library?text=face-1.png" in html
        said = self.said(browser, "?head=h")
        assert "surprise , 100 % labelled neutral" in said
        assert "none was read by mien-fer-2 yet" in self.said(browser)
        browser.post(f"/clients/{client}/head/erase", {"head": "h"})
        assert box.rows("SELECT * FROM predictions") == []

    def test_what_fails_is_told(self, box: pages.Box, browser: pages.Browser) -> None:
        picture(box, 6, crop=b"no picture")
        assert self.read(box, browser).state == "failed"
        assert "a crop is no grey picture" in self.said(browser).replace("A crop", "a crop")

    @pytest.mark.parametrize("query", ["emotion=angry", "color=red", "people=all"])
    def test_a_selection_that_is_none(self, browser: pages.Browser, query: str) -> None:
        assert browser.get(f"/model/predictions?{query}").status_code == 400

    def test_a_head_of_anothers_client(self, box: pages.Box, browser: pages.Browser) -> None:
        client = box.client("K-99", "training", owner="ben")
        box.db.write(lambda db: heads.add(db, "h", client, BUNDLE.name, 0, b"", Settings(), RESULT))
        assert browser.get("/model/predictions?head=h").status_code == 404
        assert browser.post("/model/predictions", {"head": "h"}).status_code == 404

    def test_therapists_only(self, box: pages.Box) -> None:
        other = box.browser("ben", "administrator")
        assert other.get("/model/predictions").status_code == 403
