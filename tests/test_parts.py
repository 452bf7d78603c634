"""What the service says of the box's parts, in German too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from flask import Flask

import mien
import pages
from mien import moodcsv
from mien.config import Config
from mien.control import ControlClient, ControlError
from mien.events import EXPRESSIONS, Part, Reason
from mien.publisher import NO_BROKER
from mien_web import create_app, labels, live, parts
from samples import HAPPY, HEALTH

DAEMON = Path(mien.__file__).parent
GERMAN = {"Accept-Language": "de"}

SPEAKERS = {
    "Part", "ControlError", "NoPicture", "Mandate", "CameraError", "CameraStalled", "LayerError",
    "BackupError", "NoBackup", "DamagedBackup", "NewerError",
}  # fmt: skip
NAMED = {
    "text",
    "cure",
    "notice",
    "CAMERA_CURE",
    "BUNDLE_CURE",
    "DAMAGED",
    "NEWER",
    "PAUSED",
    "NOT_SET_UP",
    "_CURE",
}
MODULES = (
    "mandate", "doorkeeper", "seeing", "recording", "publisher", "service", "control_client",
    "camera", "capture", "picamera", "video", "backup", "restore",
)  # fmt: skip


def literals(module: str, speakers: set[str] = SPEAKERS) -> Iterator[str]:
    """What a module of the service may say, with "X" for what it fills in."""
    for node in ast.walk(ast.parse((DAEMON / f"{module}.py").read_text())):
        said: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in speakers:
                said = [*node.args, *(word.value for word in node.keywords)]
                said = said[2:] if node.func.id == "Part" else said
        elif isinstance(node, ast.Assign):
            names = {name.id for name in ast.walk(node.targets[0]) if isinstance(name, ast.Name)}
            said = [node.value] if names & NAMED else []
            if said and isinstance(node.value, ast.Tuple):
                said = node.value.elts
        for expression in said:
            if isinstance(expression, ast.Constant) and isinstance(expression.value, str):
                yield expression.value
            elif isinstance(expression, ast.JoinedStr):
                yield "".join(
                    str(piece.value) if isinstance(piece, ast.Constant) else "X"
                    for piece in expression.values
                )


SAID = sorted(
    {
        text
        for module in MODULES
        for text in literals(module)
        if " " in text.replace("X ", "") and "; X" not in text
    }
)


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def app() -> Flask:
    """Translates without a store: nothing here asks who is signed in."""
    return create_app(Config())


def say(app: Flask, text: str, language: str) -> str:
    with app.test_request_context(headers={"Accept-Language": language}):
        return parts.say(text)


def test_the_service_says_much() -> None:
    assert len(SAID) > 50
    assert "no session is running, so the camera is off" in SAID


@pytest.mark.parametrize("text", SAID)
def test_all_it_says_is_known(app: Flask, text: str) -> None:
    assert say(app, text, "en") == text
    assert say(app, text, "de") != text


@pytest.mark.parametrize(
    ("english", "german"),
    [
        ("15 GB free", "15 GB frei"),
        ("connected to localhost:1883", "verbunden mit localhost:1883"),
        ("camera /dev/video0 gives frames", "Kamera /dev/video0 liefert Bilder"),
        (
            "camera /dev/video0 has given no frame for 10 s; next try in 4 s",
            "Kamera /dev/video0 hat seit 10 s kein Bild geliefert; nächster Versuch in 4 s",
        ),
        (
            "camera /dev/video0 is not there: plug it in; it is being tried again",
            "Kamera /dev/video0 ist nicht da: Schließen Sie sie an; es wird erneut versucht",
        ),
        (
            "the broker at box:1883 cannot be reached: not connected yet",
            "der Broker unter box:1883 ist nicht erreichbar: noch nicht verbunden",
        ),
        (
            f"the broker at box:1883 cannot be reached: {NO_BROKER}",
            "der Broker unter box:1883 ist nicht erreichbar: was dort antwortet, ist kein "
            "MQTT-Broker oder einer, der tls = true verlangt",
        ),
        (
            "the broker at box:1883 cannot be reached: the connection was lost (Unspecified error)",
            "der Broker unter box:1883 ist nicht erreichbar: "
            "die Verbindung ist abgebrochen (Unspecified error)",
        ),
        (
            "the Edge TPU cannot be used, the CPU reads instead: bundle fer-7 has no file compiled "
            "for it",
            "die Edge TPU lässt sich nicht verwenden, stattdessen liest die CPU: "
            "das Modellpaket fer-7 hat keine dafür übersetzte Datei",
        ),
        (
            "faces are found with OpenCV's Haar cascade, which is slower, misses turned and "
            "distant faces and measures no head turn, because the face model is not on this box: "
            "there is no /var/blazeface; fetch it once with `mien models fetch`",
            "Gesichter werden mit der Haar-Kaskade von OpenCV gesucht; sie ist langsamer, "
            "übersieht abgewandte und entfernte Gesichter und misst keine Kopfdrehung. Der Grund: "
            "das Gesichtsmodell ist nicht auf dieser Box: /var/blazeface fehlt; "
            "holen Sie es einmal mit `mien models fetch`",
        ),
        ("fer-7 (shipped) on the CPU", "fer-7 (mitgeliefert) auf: CPU"),
        (
            "a session runs with consent; its numbers are not kept",
            "eine Sitzung läuft mit Einwilligung; ihre Zahlen werden nicht behalten",
        ),
        (
            "a session runs with consent; the personal head was fitted to bundle a, and b is "
            "running",
            "eine Sitzung läuft mit Einwilligung; die persönliche Anpassung gehört zum "
            "Modellpaket a, es läuft aber b",
        ),
    ],
)
def test_in_german(app: Flask, english: str, german: str) -> None:
    assert say(app, english, "de") == german
    assert say(app, english, "en") == english


def test_what_is_not_known_stays(app: Flask) -> None:
    assert say(app, "a sentence of a later version", "de") == "a sentence of a later version"


def test_a_service_that_does_not_answer(app: Flask, tmp_path: Path) -> None:
    with pytest.raises(ControlError) as refused:
        ControlClient(tmp_path / "nobody.sock").status()
    german = say(app, str(refused.value), "de")
    assert german.startswith(f"der Dienst Mien antwortet unter {tmp_path}/nobody.sock nicht;")


# ── the live page ────────────────────────────────────────────────────────────────────────────────


def german(box: pages.Box) -> str:
    return pages.text(box.browser().get("/", headers=GERMAN))


def test_an_expression_in_german(box: pages.Box) -> None:
    box.daemon.show(HAPPY, b"jpeg")
    said = german(box)
    assert "Ausdruck sieht aus nach: Freude, 62 %" in said
    assert "Episode Freude 1 min 12 s" in said
    assert "Zur Kamera gewandt 84 % der letzten Minute" in said
    assert "neutral 16 %" in said
    assert "Alles funktioniert Kamera in Ordnung" in said


@pytest.mark.parametrize("reason", labels.WHY)
def test_cannot_tell_in_german(box: pages.Box, reason: Reason) -> None:
    box.daemon.show(msgspec.structs.replace(HAPPY, expression=None, reason=reason), b"jpeg")
    said = german(box)
    assert "Nicht erkennbar: " in said
    assert reason not in said


def test_what_is_not_well_in_german(box: pages.Box) -> None:
    cure = "check that the camera is plugged in and that no other program uses it"
    camera = Part("camera", "degraded", "camera /dev/video0 was closed", cure)
    box.daemon.health = msgspec.structs.replace(HEALTH, status="degraded", parts=[camera])
    assert (
        "1 Sache braucht Aufmerksamkeit Kamera eingeschränkt Kamera /dev/video0 wurde geschlossen. "
        "Prüfen Sie, ob die Kamera angeschlossen ist und kein anderes Programm sie benutzt."
    ) in german(box)


def test_no_picture_in_german(box: pages.Box) -> None:
    box.daemon.no_camera = "no session is running, so the camera is off"
    picture = box.browser().get(f"/live/picture?viewer={'a' * 16}", headers=GERMAN)
    assert picture.json == {
        "state": "closed",
        "sentence": "Es läuft keine Sitzung, darum ist die Kamera aus.",
    }
    assert "Es läuft keine Sitzung, darum ist die Kamera aus." in german(box)


def test_the_demo_says_so_in_german(box: pages.Box, monkeypatch: pytest.MonkeyPatch) -> None:
    from mien.commands.demo import PORTRAIT_NOTE

    monkeypatch.setattr(live, "WAIT", 0.01)
    box.daemon.show(msgspec.structs.replace(HAPPY, note=PORTRAIT_NOTE), b"jpeg")
    assert "Demo: Es gibt keine Kamera" in german(box)
    picture = box.browser().get(f"/live/picture?viewer={'a' * 16}", headers=GERMAN)
    note = msgspec.json.decode(picture.headers["Mien-Live"])["note"]
    assert note.startswith("Demo: Es gibt keine Kamera")


def test_the_script_gets_every_word_in_german(box: pages.Box) -> None:
    page = box.browser().get("/", headers=GERMAN).text
    words = page.split("data-words='")[1].split("'")[0]
    found = msgspec.json.decode(words)
    assert set(found["names"]) == set(EXPRESSIONS)
    assert found["names"]["happiness"] == "Freude"
    assert found["head"]["right"] == "{degrees}° rechts"
    assert found["minutes"] == "{minutes} min {seconds} s"
    assert found["looks"] == "Ausdruck sieht aus nach: {name}, {percent}"


OF_CHECKINS = sorted(
    {
        text
        for module in ("activities", "checkins", "checkin_import", "csvfile", "moodcsv", "daylio")
        for text in literals(module, {"CheckinError", "CsvError", "_Unreadable"})
    }
    | set(moodcsv._SENTENCES.values())
)


def test_much_is_said_of_check_ins() -> None:
    assert len(OF_CHECKINS) > 30


@pytest.mark.parametrize("text", OF_CHECKINS)
def test_all_that_is_said_of_check_ins_and_of_files_of_them_is_known(app: Flask, text: str) -> None:
    assert any(pattern.fullmatch(text) for pattern in parts._KNOWN.values())
    assert say(app, text, "en") == text


def test_a_problem_of_a_line_is_said_as_one(app: Flask) -> None:
    text = "line 8: a value is missing (and 3 more)"
    with app.test_request_context(headers={"Accept-Language": "en"}):
        assert parts.say(text) == text
