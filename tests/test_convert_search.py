"""Picture services: a real HTTP server that answers as Pixabay does, and a scripted DuckDuckGo."""

import json
import threading
import urllib.parse
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from library_samples import face, png, rows, take
from mien.clock import ManualClock
from mien_convert.__main__ import main
from mien_convert.errors import WorkshopError
from mien_convert.library import Library
from mien_convert.search import (
    DuckDuckGo,
    Hit,
    Pace,
    Pixabay,
    ScriptedImages,
    SearchError,
    SearchSource,
    ddgs_images,
    fetch,
)

KEY = "12345-abc"


class PictureService:
    """Answers as Pixabay's documentation says: hits by page, pictures, errors as plain text."""

    def __init__(self) -> None:
        self.pictures = 5
        self.status = 200
        self.body: bytes | None = None
        self.picture_status: dict[str, int] = {}
        self.requests: list[str] = []
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body, headers = service.answer(self.path)
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.01}
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._thread.join(10)
        self._server.server_close()

    def answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        self.requests.append(path)
        url = urllib.parse.urlsplit(path)
        if url.path != "/api/":
            name = url.path.removeprefix("/get/")
            return self.picture_status.get(name, 200), png(face(int(name), 300)), {}
        if self.body is not None:
            return 200, self.body, {}
        asked = {name: values[0] for name, values in urllib.parse.parse_qs(url.query).items()}
        if asked.get("key") != KEY:
            return (
                400,
                b"[ERROR 400] Invalid or missing API key (https://pixabay.com/api/docs/).",
                {},
            )
        if self.status == 429:
            return 429, b"[ERROR 429] API rate limit exceeded", {"X-RateLimit-Reset": "37"}
        if self.status != 200:
            return self.status, b"[ERROR]", {}
        size, page = int(asked["per_page"]), int(asked["page"])
        assert 3 <= size <= 200
        numbers = range((page - 1) * size, min(page * size, self.pictures))
        hits = [
            {
                "id": n, "pageURL": f"https://pixabay.com/photos/{n}/", "user": "somebody",
                "largeImageURL": f"{self.address}/get/{n}",
            }
            for n in numbers
        ]  # fmt: skip
        told = {"total": self.pictures, "totalHits": self.pictures, "hits": hits}
        return 200, json.dumps(told).encode(), {"X-RateLimit-Remaining": "99"}


@pytest.fixture
def service() -> Iterator[PictureService]:
    service = PictureService()
    yield service
    service.close()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def pace(clock: ManualClock) -> Pace:
    return Pace(clock=clock, wait=clock.advance)


@pytest.fixture
def library(tmp_path: Path) -> Iterator[Library]:
    with Library.open(tmp_path / "library", make=True) as library:
        yield library


def pixabay(service: PictureService, library: Library, pace: Pace, key: str = KEY) -> Pixabay:
    return Pixabay(key, library, pace, f"{service.address}/api/")


def cut_out(source: SearchSource) -> Any:
    """The same source with its pictures taken for faces already."""
    import dataclasses

    class Cut:
        row, notices, withdrawn = source.row, source.notices, source.withdrawn

        def __len__(self) -> int:
            return len(source)

        def __iter__(self) -> Iterator[Any]:
            return (dataclasses.replace(found, cropped=True) for found in source)

    return Cut()


def test_hits_become_pictures_with_their_page_and_licence(
    service: PictureService, library: Library, pace: Pace, tmp_path: Path
) -> None:
    source = SearchSource(pixabay(service, library, pace), "happy face", "happiness", 50, pace)
    done = take(tmp_path / "library", cut_out(source))
    assert done.added == 5
    found = rows(tmp_path / "library", "address, page, label, stage, width")
    assert found[1] == (
        f"{service.address}/get/1", "https://pixabay.com/photos/1/", 3, 2, 300,
    )  # fmt: skip
    (told,) = library.sources()
    assert (told["name"], told["licence"]) == ("Pixabay: happy face", "Pixabay Content License")
    assert told["consent"] == "not asked; found in public"
    assert KEY not in json.dumps(told)


def test_requests_are_kept_apart_and_answers_for_a_day(
    service: PictureService, library: Library, pace: Pace, clock: ManualClock, tmp_path: Path
) -> None:
    source = SearchSource(pixabay(service, library, pace), "sad", "sadness", 50, pace)
    take(tmp_path / "library", cut_out(source))
    assert clock.now == pytest.approx(5 * pace.gap_s), "six requests, five waits"
    assert len(service.requests) == 6
    again = SearchSource(pixabay(service, library, pace), "sad", "sadness", 50, pace)
    assert take(tmp_path / "library", cut_out(again)).added == 0
    assert len(service.requests) == 6, "neither the search nor a picture was asked for again"
    clock.advance(24 * 3600 + 1)
    SearchSource(pixabay(service, library, pace), "sad", "sadness", 50, pace)
    assert len(service.requests) == 7


def test_many_hits_are_asked_for_page_by_page(
    service: PictureService, library: Library, pace: Pace
) -> None:
    service.pictures = 450
    assert len(pixabay(service, library, pace).search("sad", 300)) == 300
    assert len(service.requests) == 2
    assert len(pixabay(service, library, pace).search("sad", 1000)) == 450
    assert len(service.requests) == 3, "two of its three pages were known"


def test_a_wrong_key_a_quota_and_an_empty_answer_are_sentences(
    service: PictureService, library: Library, pace: Pace
) -> None:
    with pytest.raises(SearchError) as error:
        pixabay(service, library, pace, key="wrong-key").search("sad", 5)
    assert "Pixabay does not accept the key ([ERROR 400] Invalid or missing API key" in str(
        error.value
    )
    assert "wrong-key" not in str(error.value)
    service.status = 429
    with pytest.raises(SearchError, match=r"quota is used up for now; .* again in 37 seconds"):
        pixabay(service, library, pace).search("sad", 5)
    service.status = 503
    with pytest.raises(SearchError, match=r"Pixabay answered 503 \(\[ERROR\]\); try again later"):
        pixabay(service, library, pace).search("sad", 5)
    for body in (b"<html>Log in to this network", b"[]", b'{"hits": [{}], "totalHits": 1}'):
        service.body = body
        with pytest.raises(SearchError, match="answered something else than hits"):
            pixabay(service, library, pace).search("sad", 5)
    service.body, service.status, service.pictures = None, 200, 0
    with pytest.raises(SearchError, match="finds no pictures for 'xyzzy'"):
        SearchSource(pixabay(service, library, pace), "xyzzy", "sadness", 5, pace)


def test_a_service_that_is_not_there_is_a_sentence(library: Library, pace: Pace) -> None:
    gone = Pixabay(KEY, library, pace, "http://127.0.0.1:9/api/")
    with pytest.raises(SearchError, match=r"Pixabay cannot be reached \(.*refused.*check the netw"):
        gone.search("sad", 5)


def test_pictures_that_cannot_be_had_now_are_left_for_later(
    service: PictureService, library: Library, pace: Pace, tmp_path: Path
) -> None:
    service.picture_status = {"1": 404, "2": 500, "3": 429}
    source = SearchSource(pixabay(service, library, pace), "sad", "sadness", 50, pace)
    done = take(tmp_path / "library", cut_out(source))
    assert done.added == 2
    assert done.notices == [
        f"3 pictures are left for another import: {service.address[7:]} answered 500, …"
    ]
    assert service.requests[-1] == "/get/3", "after the 429 its host was left in peace"
    assert rows(tmp_path / "library", "address, why") == [
        (f"{service.address}/get/0", None), (f"{service.address}/get/1", "unreadable"),
    ]  # fmt: skip
    service.picture_status = {}
    again = SearchSource(pixabay(service, library, pace), "sad", "sadness", 50, pace)
    assert take(tmp_path / "library", cut_out(again)).added == 3


def test_only_web_addresses_are_fetched(tmp_path: Path, pace: Pace) -> None:
    (tmp_path / "secret").write_text("secret")
    with pytest.raises(OSError, match="is no web address"):
        fetch((tmp_path / "secret").as_uri(), pace)


# ── DuckDuckGo ───────────────────────────────────────────────────────────────────────────────────


def hits(first: int, end: int) -> list[Hit]:
    return [Hit(f"http://x/{n}", f"http://page/{n}") for n in range(first, end)]


def test_duckduckgo_is_read_until_there_are_enough_or_no_more(
    pace: Pace, clock: ManualClock
) -> None:
    images = ScriptedImages([hits(0, 4), hits(2, 7), hits(7, 9)])
    assert DuckDuckGo(pace, images).search("sad", 6) == hits(0, 6)
    assert images.requests == [("sad", 1), ("sad", 2)]
    assert clock.now == pace.gap_s
    assert DuckDuckGo(pace, ScriptedImages([hits(0, 4)])).search("sad", 6) == hits(0, 4)
    with pytest.raises(SearchError, match="DuckDuckGo finds no pictures"):
        SearchSource(DuckDuckGo(pace, ScriptedImages([])), "sad", "sadness", 6, pace)


def test_a_failing_duckduckgo_is_a_sentence(pace: Pace) -> None:
    images = ScriptedImages([hits(0, 4), hits(4, 8)], fails_at=2, failure="The quota is used up.")
    with pytest.raises(SearchError, match="quota"):
        DuckDuckGo(pace, images).search("sad", 6)


def test_the_real_ddgs_without_a_network_is_a_sentence() -> None:
    pytest.importorskip("ddgs")
    with pytest.raises(SearchError, match=r"DuckDuckGo cannot be (reached|searched)"):
        ddgs_images(proxy="http://127.0.0.1:9")("happy face", 1)


# ── the command ──────────────────────────────────────────────────────────────────────────────────


def test_a_search_from_the_command_line(
    service: PictureService,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    service.pictures = 1
    service.picture_status = {"0": 404}
    command = ["import", str(tmp_path / "library"), "happy face", "--kind", "search"]
    command += ["--address", f"{service.address}/api/", "--json"]
    monkeypatch.delenv("MIEN_PIXABAY_KEY", raising=False)
    assert main(command) == 2
    assert "needs a key of your own; set MIEN_PIXABAY_KEY" in capsys.readouterr().err
    monkeypatch.setenv("MIEN_PIXABAY_KEY", KEY)
    assert main(command) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["imported"]["added"] == 1
    assert told["by_class"] == {"happiness": {"found": 1, "selected": 0, "face": 0}}
    command[2] = "people at work"
    assert main(command) == 2
    assert "name no expression; say what" in capsys.readouterr().err
    assert main([*command, "--label", "neutral", "--key", "wrong"]) == 2
    assert "does not accept the key" in capsys.readouterr().err


def test_words_without_kind_are_told_of_searching(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["import", str(tmp_path / "library"), "happy face"]) == 2
    assert "add --kind search" in capsys.readouterr().err
    assert issubclass(SearchError, WorkshopError)
