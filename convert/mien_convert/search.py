"""Pictures from picture services: Pixabay's API, and DuckDuckGo through the library `ddgs`.

Pixabay: https://pixabay.com/api/docs/ (100 requests in 60 seconds, answers kept for 24 hours, no
systematic mass downloads). DuckDuckGo has no interface for programs; `ddgs` reads its pages.
"""

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPException
from typing import Any, NamedTuple, Protocol

from mien.clock import Clock, SystemClock
from mien.events import Expression
from mien_convert.library import Library, SourceRow
from mien_convert.network import require
from mien_convert.sources import Found, Later, SourceError, Unusable

PIXABAY = "https://pixabay.com/api/"
AGENT = "mien-convert (expression datasets; one picture at a time)"
TIMEOUT_S = 20.0
MAX_BYTES = 20 << 20
GAP_S = 1.0
"""Seconds between two requests, whatever they are for."""
KEEP_S = 24 * 3600.0
"""How long an answer is used again instead of asking anew, as Pixabay wishes."""


class SearchError(SourceError):
    """A picture service cannot be reached, does not accept the key, or has given its quota."""


class Hit(NamedTuple):
    """One picture that a service knows of."""

    url: str
    page: str
    """Where its author and its terms are told."""


class Service(Protocol):
    name: str
    licence: str

    def search(self, query: str, count: int) -> list[Hit]:
        """At most `count` hits. Raises SearchError."""
        ...


@dataclass
class Pace:
    """Keeps requests apart."""

    gap_s: float = GAP_S
    clock: Clock = field(default_factory=SystemClock)
    wait: Callable[[float], None] = time.sleep
    _next: float = float("-inf")

    def step(self) -> None:
        """Wait until the next request may go out."""
        left = self._next - self.clock.monotonic()
        if left > 0:
            self.wait(left)
        self._next = self.clock.monotonic() + self.gap_s


class Answer(NamedTuple):
    status: int
    body: bytes
    headers: dict[str, str]
    """Names in small letters."""


def fetch(url: str, pace: Pace) -> Answer:
    """GET a web address, at most MAX_BYTES of it. Raises OSError when nobody answers."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise OSError(f"{url[:80]!r} is no web address")
    pace.step()
    request = urllib.request.Request(url, headers={"User-Agent": AGENT})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as response:
            return _answer(response.status, response)
    except urllib.error.HTTPError as error:
        with error:
            return _answer(error.code, error)
    except (HTTPException, ValueError) as error:
        raise OSError(f"{error}") from error


def _answer(status: int, response: Any) -> Answer:
    headers = {name.lower(): value for name, value in response.headers.items()}
    return Answer(status, response.read(MAX_BYTES + 1), headers)


class Pixabay:
    """Pixabay's API.

    Args:
        key: the user's own; never stored and never shown.
        library: keeps answers for a day.
    """

    name = "Pixabay"
    licence = "Pixabay Content License"

    PAGE = 200
    """Hits an answer; the API gives 500 a query at most."""

    def __init__(self, key: str, library: Library, pace: Pace, base: str = PIXABAY) -> None:
        self._key = key
        self._library = library
        self._pace = pace
        self._base = base

    def search(self, query: str, count: int) -> list[Hit]:
        hits: list[Hit] = []
        for page in range(1, 1 + -(-count // self.PAGE)):
            answer = self._page(query, page)
            hits += (Hit(hit["largeImageURL"], hit["pageURL"]) for hit in answer["hits"])
            if len(hits) >= answer["totalHits"]:
                break
        return hits[:count]

    def _page(self, query: str, page: int) -> dict[str, Any]:
        asked = {
            "q": query, "image_type": "photo", "safesearch": "true", "page": page,
            "per_page": self.PAGE,
        }  # fmt: skip
        name = f"{self._base}?{urllib.parse.urlencode(asked)}"
        now = self._pace.clock.stamp().utc
        body = self._library.answer(name, now - KEEP_S)
        if body is None:
            body = self._ask(f"{name}&{urllib.parse.urlencode({'key': self._key})}")
        try:
            answer = json.loads(body)
            _ = [(hit["largeImageURL"], hit["pageURL"]) for hit in answer["hits"]]
            _ = int(answer["totalHits"])
        except (ValueError, TypeError, KeyError) as error:
            raise SearchError(
                f"Pixabay answered something else than hits ({error!r}); its API may have changed, "
                "or something between here and there answers in its place."
            ) from None
        self._library.keep_answer(name, now, body)
        return dict(answer)

    def _ask(self, url: str) -> bytes:
        try:
            status, body, headers = fetch(url, self._pace)
        except OSError as error:
            reason = getattr(error, "reason", error)
            raise SearchError(
                f"Pixabay cannot be reached ({reason}); check the network and try again."
            ) from None
        said = body[:200].decode(errors="replace").replace(self._key, "…").strip()
        if status == 429:
            wait = headers.get("x-ratelimit-reset", "60")
            raise SearchError(
                f"Pixabay's quota is used up for now; run the same command again in {wait} seconds."
            )
        if status in (401, 403) or (status == 400 and "key" in said.lower()):
            raise SearchError(
                f"Pixabay does not accept the key ({said}); its documentation shows yours once you "
                "are logged in (https://pixabay.com/api/docs/). Give it as MIEN_PIXABAY_KEY."
            )
        if status != 200:
            raise SearchError(f"Pixabay answered {status} ({said}); try again later.")
        return body


Images = Callable[[str, int], list[dict[str, Any]]]
"""Query and page, from 1 → hits with `image` and `url`; empty when there are no more. Raises
SearchError."""


class DuckDuckGo:
    """DuckDuckGo's picture search, filtered for pictures that are free to share and use."""

    name = "DuckDuckGo"
    licence = "free to share and use, says DuckDuckGo; see the page of each picture"

    def __init__(self, pace: Pace, images: Images | None = None) -> None:
        self._pace = pace
        self._images = images or ddgs_images()

    def search(self, query: str, count: int) -> list[Hit]:
        hits: dict[str, Hit] = {}
        page = 1
        while len(hits) < count:
            self._pace.step()
            more = [hit for hit in self._images(query, page) if hit["image"] not in hits]
            if not more:
                break
            hits |= {hit["image"]: Hit(hit["image"], hit["url"]) for hit in more}
            page += 1
        return list(hits.values())[:count]


def ddgs_images(proxy: str | None = None) -> Images:
    """The real search, through `ddgs`. Raises WorkshopError when that is not installed."""
    library = require("ddgs")
    exceptions = require("ddgs.exceptions")

    def images(query: str, page: int) -> list[dict[str, Any]]:
        try:
            found = library.DDGS(proxy=proxy, timeout=int(TIMEOUT_S)).images(
                query, safesearch="on", type_image="photo", license_image="Share",
                backend="duckduckgo", max_results=None, page=page,
            )  # fmt: skip
        except exceptions.RatelimitException:
            raise SearchError(
                "DuckDuckGo's quota is used up for now; run the same command again in some minutes."
            ) from None
        except exceptions.TimeoutException:
            raise SearchError(
                "DuckDuckGo cannot be reached (no answer in time); check the network and try again."
            ) from None
        except exceptions.DDGSException as error:
            if "No results" in str(error):
                return []
            raise SearchError(
                f"DuckDuckGo cannot be searched ({str(error)[:200]}); check the network, try again "
                "later, or see whether a newer `ddgs` is out."
            ) from None
        return [hit for hit in found if hit.get("image") and hit.get("url")]

    return images


class ScriptedImages:
    """Stands in for DuckDuckGo: pages of hits, and from a given request on a failure."""

    def __init__(
        self, pages: Sequence[Sequence[Hit]], fails_at: int | None = None, failure: str = ""
    ) -> None:
        self.requests: list[tuple[str, int]] = []
        self._pages = pages
        self._fails_at = fails_at
        self._failure = failure

    def __call__(self, query: str, page: int) -> list[dict[str, Any]]:
        self.requests.append((query, page))
        if self._fails_at is not None and len(self.requests) >= self._fails_at:
            raise SearchError(self._failure)
        hits = self._pages[page - 1] if page <= len(self._pages) else []
        return [{"image": hit.url, "url": hit.page} for hit in hits]


class SearchSource:
    """What a service finds for a query, taken as pictures of one expression.

    A picture that is gone is kept as unreadable, with its address, and not asked for again; one
    whose server does not answer, or asks for a pause, is tried again by the next import.

    Raises:
        SearchError: the search itself fails, or finds nothing.
    """

    def __init__(
        self, service: Service, query: str, label: Expression, count: int, pace: Pace
    ) -> None:
        self._hits = service.search(query, count)
        if not self._hits:
            raise SearchError(f"{service.name} finds no pictures for {query!r}; try other words.")
        self._label = label
        self._pace = pace
        self._busy: dict[str, str] = {}
        self.row = SourceRow(
            f"search:{service.name}:{label}:{query}", f"{service.name}: {query}", "search",
            f"{service.name}, {query!r}", licence=service.licence,
            consent="not asked; found in public",
        )  # fmt: skip
        self.notices: list[str] = []
        self.withdrawn: list[str] = []

    def __len__(self) -> int:
        return len(self._hits)

    def __iter__(self) -> Iterator[Found]:
        for hit in self._hits:
            yield Found(hit.url, partial(self._get, hit.url), self._label, page=hit.page)

    def _get(self, url: str) -> bytes:
        host = urllib.parse.urlsplit(url).netloc
        if host in self._busy:
            raise Later(self._busy[host])
        try:
            status, body, _ = fetch(url, self._pace)
        except OSError as error:
            raise Later(f"{host} cannot be reached ({getattr(error, 'reason', error)})") from None
        if status == 429:
            self._busy[host] = f"{host} asks for a pause"
            raise Later(self._busy[host])
        if status >= 500:
            raise Later(f"{host} answered {status}")
        if status != 200:
            raise Unusable(f"the server answered {status}")
        if len(body) > MAX_BYTES:
            raise Unusable(f"it has more than {MAX_BYTES >> 20} MB")
        return body
