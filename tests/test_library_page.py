"""The library's pages and its read API, through Flask's client; uploads go through the real child
process."""

import io
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from matplotlib.cbook import get_sample_data
from werkzeug.test import TestResponse

import pages
import shelf
from library_samples import box_zip, exported, face, png, rows, take
from mien import uploads
from mien_convert.exported import BoxZip
from mien_web import api, facs, receiving

PATIENCE = 60


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    for made in pages.box(tmp_path / "box", monkeypatch):
        yield made
        if running := made.app.extensions.get("mien.jobs"):
            running.close()


@pytest.fixture
def browser(box: pages.Box) -> pages.Browser:
    return box.browser()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path) -> Path:
    (tmp_path / "box").mkdir(exist_ok=True)
    return tmp_path


def upload(
    browser: pages.Browser, files: dict[str, bytes], field: str = "pictures", **said: Any
) -> TestResponse:
    form = {"source": "drawn, for tests", "may": "1", "label": "folder"} | said
    told: dict[str, Any] = {name: value for name, value in form.items() if value is not None}
    told[field] = [(io.BytesIO(data), name) for name, data in files.items()]
    return browser.post("/library/add", told, content_type="multipart/form-data")


def result(box: pages.Box, browser: pages.Browser) -> str:
    """What the page says when the last intake has ended."""
    for job in box.app.extensions["mien.jobs"].of(box.user()):
        assert job.wait(PATIENCE)
    return pages.text(browser.get("/library/added"))


def images(browser: pages.Browser, query: str = "") -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = browser.get(f"/api/images{query}").json["images"]
    return found


# ── putting in ───────────────────────────────────────────────────────────────────────────────────


def test_an_empty_library_teaches(browser: pages.Browser) -> None:
    said = pages.text(browser.get("/library"))
    assert "Add pictures." in said
    assert "Faces that tell how often the box is right" in said


def test_a_folder_gives_its_pictures_their_labels(box: pages.Box, browser: pages.Browser) -> None:
    files = {
        "faces/happy/a.png": png(face(1)), "faces/Trauer/b.png": png(face(2)),
        "faces/c.png": png(face(3)), "faces/sad/again.png": png(face(2)),
        "faces/.DS_Store": b"x", "faces/read.me": b"hello",
    }  # fmt: skip
    answer = upload(browser, files, "folder")
    assert (answer.status_code, answer.headers["Location"]) == (303, "/library/added")
    said = result(box, browser)
    assert "5 files" in said
    assert "4 pictures" in said
    assert "4 with a face" in said
    assert "3 new in the library" in said
    assert "1 was in the library already." in said
    assert "It is no picture." in said
    assert "faces/read.me" in said
    assert {one["name"]: one["emotion"] for one in images(browser)} == {
        "faces/happy/a.png": "happiness", "faces/Trauer/b.png": "sadness", "faces/c.png": None,
    }  # fmt: skip
    notes = box.rows("SELECT action, subject, detail FROM audit WHERE action LIKE 'library%'")
    assert notes == [("library.added", "drawn, for tests", '{"pictures":3}')]


def test_a_photograph_is_cut_to_its_face(box: pages.Box, browser: pages.Browser) -> None:
    portrait = Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False))).read_bytes()
    upload(browser, {"a.jpg": portrait}, label="happiness")
    assert "1 with a face" in result(box, browser)
    (one,) = images(browser)
    assert (one["color"], one["width"], one["height"]) == ("color", 512, 600)
    shown = browser.get(one["face_url"])
    assert (shown.mimetype, shown.data[:2]) == ("image/jpeg", b"\xff\xd8")
    crop = browser.get(one["crop_url"])
    assert (crop.mimetype, crop.data[:4]) == ("image/png", b"\x89PNG")


def test_the_zip_of_a_box_brings_its_own_labels(
    box: pages.Box, browser: pages.Browser, tmp_path: Path
) -> None:
    agreed, refused = exported(face(1), label="fear"), exported(face(2), consents=[])
    path = box_zip(tmp_path / "box.zip", [agreed, refused])
    upload(browser, {"box.zip": path.read_bytes()}, "zip")
    said = result(box, browser)
    assert "1 new in the library" in said
    assert "The person shown has not agreed to it." in said
    assert [one["emotion"] for one in images(browser)] == ["fear"]


def test_a_picture_over_which_the_reader_dies_is_listed_and_the_others_go_on(
    box: pages.Box, browser: pages.Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, mien.pictures\n"
        "real = mien.pictures.decode\n"
        "def decode(path):\n"
        "    if b'CRASH' in path.read_bytes(): os.kill(os.getpid(), 11)\n"
        "    return real(path)\n"
        "mien.pictures.decode = decode\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    bad = png(face(2)) + b"CRASH"
    upload(browser, {"a.png": png(face(1)), "bad.png": bad, "c.png": png(face(3))}, label="fear")
    said = result(box, browser)
    assert "2 new in the library" in said
    assert "it may be made to do harm" in said
    assert "bad.png" in said


def test_what_was_added_can_be_taken_out_again(box: pages.Box, browser: pages.Browser) -> None:
    kept = shelf.put(box, 1)
    upload(browser, {"a.png": png(face(1)), "b.png": png(face(2))}, label="none")
    assert "Take the 2 new pictures out again" in result(box, browser)
    browser.post("/library/added/undo")
    assert [one["id"] for one in images(browser)] == [kept]
    assert browser.post("/library/added/undo").status_code == 404


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"source": " "}, "Say in up to 300 letters where the pictures are from."),
        ({"source": "x" * 301}, "Say in up to 300 letters"),
        ({"may": None}, "Only pictures that may be learnt from belong here."),
        ({"label": "joyous"}, "Choose one of the seven expressions"),
    ],
)
def test_an_upload_must_say_what_it_is(
    browser: pages.Browser, said: dict[str, Any], sentence: str
) -> None:
    answer = upload(browser, {"a.png": png(face(1))}, **said)
    assert answer.status_code == 400
    assert sentence in pages.text(answer)


def test_an_upload_without_files_asks_for_some(browser: pages.Browser) -> None:
    answer = upload(browser, {"": b""})
    assert answer.status_code == 400
    assert "Choose pictures, a folder or a zip first." in pages.text(answer)


def test_much_may_come_here_and_nowhere_else(box: pages.Box, browser: pages.Browser) -> None:
    big = png(face(1)) + bytes(300_000)
    assert upload(browser, {"a.png": big}).status_code == 303
    result(box, browser)
    assert browser.post("/library/change", {"act": "x" * 300_000}).status_code == 413
    stranger = pages.Browser(box.app.test_client())
    assert upload(stranger, {"a.png": big}).status_code == 413


def test_more_than_an_upload_may_have_is_refused_with_a_sentence(
    browser: pages.Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_REQUEST", 100_000)
    answer = upload(browser, {"a.png": png(face(1)) + bytes(200_000)})
    assert answer.status_code == 413
    assert "Send it in parts." in pages.text(answer)


def test_one_intake_runs_at_a_time(
    box: pages.Box, browser: pages.Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text("import time; time.sleep(600)")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    upload(browser, {"a.png": png(face(1))})
    assert upload(browser, {"b.png": png(face(2))}).status_code == 409
    shown = browser.get("/library/added")
    (job,) = re.findall(r'data-url="/jobs/([^"]+)"', shown.text)
    assert browser.post(f"/jobs/{job}/cancel", {"back": "/library/added"}).status_code == 303
    assert "Stopped before it was done." in result(box, browser)
    assert images(browser) == []


def test_home_users_and_strangers_stay_outside(box: pages.Box) -> None:
    home = box.browser("carl", roles="home")
    stranger = pages.Browser(box.app.test_client())
    for url in ("/library", "/library/add", "/library/duplicates", "/library/added"):
        assert home.get(url).status_code == 403
        assert stranger.get(url).status_code in (303, 401)
    assert home.get("/api/images").status_code == 403
    assert "error" in home.get("/api/images").json
    assert stranger.get("/api/images").status_code == 401


# ── captures ─────────────────────────────────────────────────────────────────────────────────────


def test_captures_of_those_who_agreed_come_over_and_go_with_their_consent(
    box: pages.Box, browser: pages.Browser
) -> None:
    yes, no = box.client("K-17", "training"), box.client("K-18")
    jpeg = Path(str(get_sample_data("grace_hopper.jpg", asfileobj=False))).read_bytes()
    for number, client in enumerate((yes, no)):
        session = box.session(client, 60)
        shelf.capture(box, f"c{number}", session, "fear", jpeg + bytes([number]), png(face(number)))
    assert "Take over 1 capture" in pages.text(browser.get("/library/add"))
    browser.post("/library/captures")
    said = result(box, browser)
    assert "1 new in the library" in said
    assert "1 capture: its client has not consented to training." in said
    (one,) = images(browser)
    assert (one["emotion"], one["name"]) == ("fear", "K-17")
    assert box.rows("SELECT client, capture FROM pictures") == [(yes, "c0")]

    box.write(
        "INSERT INTO corrections (capture, expression, user, utc) VALUES ('c0', 4, 'anna', 1)"
    )
    browser.post("/library/captures")
    assert "1 of them got its newer label." in result(box, browser)
    assert images(browser)[0]["emotion"] == "sadness"

    box.write("UPDATE consents SET withdrawn_utc = 1")
    assert images(browser) == []
    assert browser.get(one["face_url"]).status_code == 404


# ── naming and taking out ────────────────────────────────────────────────────────────────────────


def test_labels_change_and_change_back(box: pages.Box, browser: pages.Browser) -> None:
    one, two = shelf.put(box, 1, "anger"), shelf.put(box, 2, None)
    answer = browser.post(
        "/library/change",
        {"picture": [one, two], "label": "fear", "act": "label", "back": "/library?page=1"},
    )
    assert (answer.status_code, answer.headers["Location"]) == (303, "/library?page=1")
    said = pages.text(browser.get("/library"))
    assert "The labels of 2 pictures were changed." in said
    assert "Undo" in said
    assert [image["emotion"] for image in images(browser)] == ["fear", "fear"]
    browser.post("/library/change", {"picture": one, "label": "fear", "act": "label"})
    assert "Nothing changed" in pages.text(browser.get("/library"))
    browser.post("/library/undo", {"back": "/library?"})
    assert "Undo" not in pages.text(browser.get("/library"))
    assert [image["emotion"] for image in images(browser)] == [None, "anger"]


def test_deleting_asks_with_the_count_first(box: pages.Box, browser: pages.Browser) -> None:
    ids = [shelf.put(box, n) for n in range(3)]
    form = {"picture": [*ids[:2], 999], "act": "delete"}
    asked = browser.post("/library/change", form)
    assert asked.status_code == 200
    assert "Delete 2 pictures?" in pages.text(asked)
    assert len(images(browser)) == 3
    browser.post("/library/change", {**form, "sure": "1"})
    assert [one["id"] for one in images(browser)] == ids[2:]
    assert box.rows("SELECT detail FROM audit WHERE action = 'library.deleted'") == [
        ('{"pictures":2}',)
    ]


@pytest.mark.parametrize(
    "form",
    [
        {"act": "label", "label": "fear"},
        {"picture": "1", "act": "label", "label": "joy"},
        {"picture": "1", "act": "burn"},
        {"picture": "٣", "act": "delete"},
        {"picture": "9" * 30, "act": "delete"},
    ],
)
def test_a_form_that_says_nothing_sensible_is_told_so(
    box: pages.Box, browser: pages.Browser, form: dict[str, str]
) -> None:
    shelf.put(box, 1)
    assert browser.post("/library/change", form).status_code == 400


@pytest.mark.parametrize("back", ["https://evil.example", "//evil.example", "/library?\r\nX: y"])
def test_nobody_is_sent_elsewhere(box: pages.Box, browser: pages.Browser, back: str) -> None:
    form = {"picture": shelf.put(box, 1), "act": "label", "label": "fear", "back": back}
    assert browser.post("/library/change", form).headers["Location"] == "/library"


def test_the_same_picture_under_two_labels_is_shown(box: pages.Box, browser: pages.Browser) -> None:
    assert "No picture is there twice" in pages.text(browser.get("/library/duplicates"))
    shelf.put(box, 1, "anger", dhash="f" * 32)
    shelf.put(box, 2, "fear", dhash="f" * 32)
    said = pages.text(browser.get("/library/duplicates"))
    assert "1 picture is there more than once. 1 of them has different labels." in said


def test_a_page_of_the_library_is_small(box: pages.Box, browser: pages.Browser) -> None:
    for number in range(130):
        shelf.put(box, number)
    shown = browser.get("/library?emotion=happiness&page=2")
    assert len(shown.data) < 100_000
    assert "page 2 of 3" in pages.text(shown)
    assert 'href="/library?emotion=happiness&amp;page=3"' in shown.text


# ── the read API ─────────────────────────────────────────────────────────────────────────────────


def test_every_answer_is_as_the_description_says(box: pages.Box, browser: pages.Browser) -> None:
    id = shelf.put(box, 1)
    shelf.put(box, 2, None, color="color")
    strict = {"strict": True}
    found = msgspec.json.decode(browser.get("/api/images").data, type=api.Images, **strict)
    assert (found.page, found.page_size, found.total) == (1, 50, 2)
    one = msgspec.json.decode(browser.get(f"/api/images/{id}").data, type=api.Image, **strict)
    assert one == found.images[1]
    msgspec.json.decode(browser.get("/api/facs").data, type=facs.Table, **strict)
    for url in ("/api/images/77", "/api/images?page=0"):
        msgspec.json.decode(browser.get(url).data, type=api.Problem, **strict)

    told = browser.get("/api/openapi.json").json
    assert told["openapi"] == "3.1.0"
    for name, struct in (("Images", api.Images), ("Image", api.Image), ("Problem", api.Problem)):
        schema = told["components"]["schemas"][name]
        assert set(schema["properties"]) == set(struct.__struct_fields__)
        assert set(schema["required"]) == set(struct.__struct_fields__)
    image = browser.get(f"/api/images/{id}").json
    assert set(image) == set(api.Image.__struct_fields__)
    references = set(re.findall(r"#/components/schemas/(\w+)", str(told)))
    assert references <= set(told["components"]["schemas"])


def test_the_description_has_every_path_and_no_other(box: pages.Box) -> None:
    rules = {
        re.sub(r"<[^>]*:(\w+)>", r"{\1}", rule.rule)
        for rule in box.app.url_map.iter_rules()
        if rule.endpoint.startswith("api.")
    }
    assert set(api_description(box)["paths"]) == rules


def test_the_parameters_described_are_those_taken(box: pages.Box, browser: pages.Browser) -> None:
    told = api_description(box)["paths"]["/api/images"]["get"]["parameters"]
    samples = {"integer": "1", "string": "x"}
    for parameter in told:
        schema = parameter["schema"]
        value = schema.get("enum", [samples[schema["type"]]])[0]
        assert browser.get(f"/api/images?{parameter['name']}={value}").status_code == 200
        if "maximum" in schema:
            over = f"/api/images?{parameter['name']}={schema['maximum'] + 1}"
            assert browser.get(over).status_code == 400
        if "enum" in schema:
            assert browser.get(f"/api/images?{parameter['name']}=violet").status_code == 400


def api_description(box: pages.Box) -> dict[str, Any]:
    described: dict[str, Any] = box.browser().get("/api/openapi.json").json
    return described


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("page=0", "“page” must be a whole number from 1 to"),
        ("page=-1", "“page” must be"),
        ("page_size=201", "“page_size” must be a whole number from 1 to 200."),
        ("page_size=ten", "“page_size” must be"),
        ("emotion=joy", "“emotion” must be one of anger, disgust"),
        ("color=red", "“color” must be one of color, gray."),
        ("colour=gray", "There is no parameter “colour”; known are color, emotion"),
    ],
)
def test_a_wrong_parameter_is_told_in_a_sentence(
    browser: pages.Browser, query: str, sentence: str
) -> None:
    answer = browser.get(f"/api/images?{query}")
    assert answer.status_code == 400
    assert sentence in answer.json["error"]


def test_a_number_beyond_the_store_is_no_picture(browser: pages.Browser) -> None:
    for id in (2**63 - 1, 2**63, 10**40):
        assert browser.get(f"/api/images/{id}").status_code == 404


# ── for the workshop ─────────────────────────────────────────────────────────────────────────────


def test_the_workshop_reads_what_is_exported(
    box: pages.Box, browser: pages.Browser, tmp_path: Path
) -> None:
    yes, no = box.client("K-17", "training"), box.client("K-18", "training")
    shelf.capture(box, "c3", box.session(yes, 60), "anger", b"", b"")
    shelf.put(box, 1, "fear", crop=png(face(1)))
    shelf.put(box, 2, None, crop=png(face(2)))
    shelf.put(box, 3, "anger", crop=png(face(3)), client=yes, capture="c3")
    shelf.put(box, 4, "anger", crop=png(face(4)), client=no, capture="c4")
    box.write("UPDATE consents SET withdrawn_utc = 1 WHERE client = ?", no)

    answer = browser.post("/library/export.zip")
    assert answer.mimetype == "application/zip"
    assert "attachment" in answer.headers["Content-Disposition"]
    path = tmp_path / "library.zip"
    path.write_bytes(answer.data)
    answer.close()
    source = BoxZip(path)
    assert source.withdrawn == []
    told = take(tmp_path / "workshop", source)
    assert (told.added, told.refused) == (2, 0)
    assert sorted(row[0] for row in rows(tmp_path / "workshop", "label")) == [0, 2]
    people = [found.person for found in BoxZip(path)]
    assert people[0] is None
    assert people[1] is not None
    assert "K-17" not in people[1]
    assert b"K-17" not in answer.data
    assert box.rows("SELECT action, detail FROM audit WHERE action = 'library.exported'") == [
        ("library.exported", '{"pictures":2,"clients":1}')
    ]


def test_every_reason_has_its_sentence() -> None:
    from typing import get_args

    assert set(receiving.REASONS) == set(get_args(uploads.Reason))
