"""The model pages: the card, the bundles, personal heads; and the reader of cards."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pages
from mien import audit, heads
from mien.bundle import load_bundle, shipped_bundle
from mien.bundles import Bundles
from mien.events import EXPRESSIONS
from mien.heads import Result, Settings
from mien_web import card, jobs
from mien_web.card import Confusion, Share

BUNDLE = load_bundle(shipped_bundle())
CHANNELS = 224
SADNESS, NEUTRAL = EXPRESSIONS.index("sadness"), EXPRESSIONS.index("neutral")
FIELDS = {"strength": "30", "iterations": "500"}
NO_BETTER = Result(
    captures=12, sessions=3, ballast=0, folds=3, by="session",
    before=[[2] * 6 + [0]] * 7, after=[[1] * 7] * 7, gained=1, lost=3, seconds=0.5, settled=True,
)  # fmt: skip


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


@pytest.fixture
def browser(box: pages.Box) -> pages.Browser:
    return box.browser()


def install(box: pages.Box, name: str) -> None:
    """A copy of the shipped bundle under another name."""
    folder = Bundles(box.config.state_dir).folder / name
    shutil.copytree(BUNDLE.path, folder)
    toml = folder / "bundle.toml"
    toml.write_text(toml.read_text("utf-8").replace(BUNDLE.name, name), "utf-8")


def acts(box: pages.Box) -> list[tuple[str, str]]:
    return [(entry.action, entry.subject) for entry in box.db.read(audit.entries)]


class TestCardPage:
    def test_it_tells_figures_meanings_and_gaps(self, browser: pages.Browser) -> None:
        said = pages.text(browser.get("/model"))
        assert "mien-fer-2 shipped with this version" in said
        assert "As most people saw it 78.7 % (77.3–80.1 %; 3,372 pictures)" in said
        assert "66.1 % (64.6–67.7 %; 3,589 pictures)" in said
        assert "Each row is an expression as most people saw it" in said
        assert "Right in all: 78.7 % of 3,372 pictures, 95 % interval 77.3–80.1 %." in said
        assert "20 % of neutral is taken for sadness" in said
        assert "anger 84 % (79–88 %; 260 of 310)" in said
        assert "nothing is known of how the errors fall among them" in said
        assert "Below 59 % the answer is “cannot tell”." in said
        assert BUNDLE.files["head.npz"] in said
        assert "blur σ 3 px 40.7 % 29.0" in said

    def test_the_policy_is_kept(self, browser: pages.Browser) -> None:
        html = browser.get("/model").text
        assert " style=" not in html
        assert "<script>" not in html
        assert len(html) < 120_000

    def test_a_bundle_that_counts_only_the_words_says_so(
        self, box: pages.Box, browser: pages.Browser
    ) -> None:
        install(box, "older")
        toml = Bundles(box.config.state_dir).folder / "older" / "bundle.toml"
        lines = toml.read_text("utf-8").splitlines(keepends=True)
        own = lines.index("[accuracy]\n"), lines.index("[accuracy.public_test]\n")
        kept = [line for line in lines[slice(*own)] if not line.startswith("confusion")]
        toml.write_text("".join(lines[: own[0]] + kept + lines[own[1] :]), "utf-8")
        Bundles(box.config.state_dir).activate("older")
        said = pages.text(browser.get("/model"))
        assert "older activated on this box" in said
        assert "Confusion matrix of older over 3,589 pictures" in said
        assert "As most people saw it 78.7 % Ten people had said" in said
        assert "Right in all: 69.7 % of 3,589 pictures, 95 % interval 68.2–71.2 %." in said
        assert "29 % of disgust is taken for anger" in said

    def test_who_may_see_it(self, box: pages.Box) -> None:
        assert box.browser("ben", "administrator").get("/model").status_code == 200
        assert box.browser("cleo", "home").get("/model").status_code == 403

    def test_the_page_about_the_labels_tells_the_errors(self, browser: pages.Browser) -> None:
        said = pages.text(browser.get("/about"))
        assert "A face is not a feeling" in said
        assert "the same in 79 % (95 % interval 77–80 %)" in said
        assert "neutral: found in 67 % of 1,242; taken for sadness in 20 %" in said
        assert "Who is not covered" in said


class TestBundles:
    def test_activate_and_roll_back(self, box: pages.Box, browser: pages.Browser) -> None:
        install(box, "newer")
        assert "newer 78.7 % as most people saw it Activate newer" in pages.text(
            browser.get("/model")
        )
        assert browser.post("/model/bundle", {"name": "newer"}).status_code == 303
        said = pages.text(browser.get("/model"))
        assert "newer is active. It counts from the next start of the service" in said
        assert "Roll back to it" in said
        browser.post("/model/bundle", {"name": "shipped"})
        assert Bundles(box.config.state_dir).history == ["shipped"]
        assert acts(box) == [("bundle.activated", "shipped"), ("bundle.activated", "newer")]

    def test_only_administrators(self, box: pages.Box) -> None:
        install(box, "newer")
        browser = box.browser("ben", "therapist")
        assert "Activate" not in pages.text(browser.get("/model"))
        assert browser.post("/model/bundle", {"name": "newer"}).status_code == 403
        assert Bundles(box.config.state_dir).active == "shipped"

    @pytest.mark.parametrize("name", ["other", "../../etc", "", "active"])
    def test_one_that_is_not_there(self, browser: pages.Browser, name: str) -> None:
        assert browser.post("/model/bundle", {"name": name}).status_code == 404

    def test_a_damaged_one_says_so(self, box: pages.Box, browser: pages.Browser) -> None:
        install(box, "newer")
        (Bundles(box.config.state_dir).folder / "newer" / "head.npz").write_bytes(b"x")
        said = pages.text(browser.get("/model"))
        assert "is damaged: its SHA-256 is" in said
        assert "Activate newer" not in said
        browser.post("/model/bundle", {"name": "newer"})
        assert Bundles(box.config.state_dir).active == "shipped"
        assert acts(box) == []


class TestHeads:
    @pytest.fixture
    def client(self, box: pages.Box) -> str:
        return box.client("K-17", "live", "pictures", "training")

    def captures(self, box: pages.Box, client: str, *labels: int, sessions: int = 3) -> None:
        """Faces that look to the network like sadness, or clearly as they are labelled."""
        with np.load(BUNDLE.path / "head.npz") as head:
            weights = head["weights"]
        held = [box.session(client, 60) for _ in range(sessions)]
        random = np.random.default_rng(5)
        for number, label in enumerate(labels):
            towards = weights[:, SADNESS if label == NEUTRAL else label]
            embedding = np.maximum(0.1 + 0.5 * towards + random.normal(0, 0.05, CHANNELS), 0)
            box.write(
                "INSERT INTO captures (id, session, at_ms, face, crop, probabilities, embedding, "
                "bundle) VALUES (?, ?, ?, x'', x'', zeroblob(28), ?, ?)",
                f"c-{client}-{number}", held[number % sessions], number,
                embedding.astype("<f4").tobytes(), BUNDLE.name,
            )  # fmt: skip
            box.write(
                "INSERT INTO corrections (capture, expression, user, utc) VALUES (?, ?, 'anna', 0)",
                f"c-{client}-{number}", label,
            )  # fmt: skip

    def fit(self, box: pages.Box, browser: pages.Browser, client: str, **settings: str) -> None:
        fields = {**FIELDS, **settings}
        response = browser.post(f"/clients/{client}/head", fields)
        assert response.status_code == 303
        assert response.headers["Location"] == f"/clients/{client}/head"
        running: jobs.Jobs = box.app.extensions["mien.jobs"]
        assert all(job.wait(60) for job in running.of(box.user("anna")))

    def add(self, box: pages.Box, client: str, id: str, **changes: str) -> None:
        box.db.write(
            lambda db: heads.add(
                db, id, client, changes.get("bundle", BUNDLE.name), 10.0, b"", Settings(), NO_BETTER
            )
        )

    def active(self, box: pages.Box) -> list[str]:
        return [row[0] for row in box.rows("SELECT id FROM heads WHERE active")]

    def test_fit_activate_and_go_back(
        self, box: pages.Box, browser: pages.Browser, client: str
    ) -> None:
        self.captures(box, client, *[NEUTRAL, EXPRESSIONS.index("happiness")] * 9)
        said = pages.text(browser.get(f"/clients/{client}/head"))
        assert "18 captures of K-17 that you said something of" in said
        assert "There is none yet: K-17 is read with the bundle’s own layer." in said
        self.fit(box, browser, client)
        said = pages.text(browser.get(f"/clients/{client}/head"))
        assert "Before, with the bundle’s own layer 50 % (9 of 18; 29–71 %)" in said
        assert "After, with this head 100 % (18 of 18; 82–100 %)" in said
        assert "Right only after: 9. Right only before: 0." in said
        assert "whole sessions were held out, of 3 in all" in said
        [(id, layer)] = box.rows("SELECT id, weights FROM heads")
        assert len(layer) == 4 * 7 * (CHANNELS + 1)
        assert self.active(box) == []
        browser.post(f"/clients/{client}/head/activate", {"head": id})
        assert self.active(box) == [id]
        browser.post(f"/clients/{client}/head/activate")
        assert self.active(box) == []
        browser.post(f"/clients/{client}/head/erase", {"head": id})
        assert box.rows("SELECT id FROM heads") == []
        assert [action for action, _ in acts(box)] == [
            "head.erased", "head.none", "head.activated", "head.fitted",
        ]  # fmt: skip

    def test_without_consent_nothing_is_fitted(
        self, box: pages.Box, browser: pages.Browser
    ) -> None:
        client = box.client("K-18", "live", "pictures")
        self.captures(box, client, *[0, 1] * 8)
        said = pages.text(browser.get(f"/clients/{client}/head"))
        assert "K-18 has not agreed that captures are used for training" in said
        assert "Fit a head" not in said
        answer = browser.post(f"/clients/{client}/head", FIELDS)
        assert answer.status_code == 409
        assert not box.app.extensions["mien.jobs"].of(box.user())

    def test_consent_withdrawn_meanwhile(
        self,
        box: pages.Box,
        browser: pages.Browser,
        client: str,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        self.captures(box, client, *[0, 1] * 8)
        child = jobs.Job.child

        def slowly(job: jobs.Job, *arguments: str, task: bytes = b"") -> Iterator[bytes]:
            yield from child(job, *arguments, task=task)
            box.write("UPDATE consents SET withdrawn_utc = 1 WHERE kind = 'training'")

        monkeypatch.setattr(jobs.Job, "child", slowly)
        self.fit(box, browser, client)
        assert box.rows("SELECT id FROM heads") == []
        said = pages.text(browser.get(f"/clients/{client}/head"))
        assert "The consent to training was withdrawn; nothing was kept." in said

    @pytest.mark.parametrize(
        ("labels", "said"),
        [
            ([], "0 captures are corrected; a head needs at least 10"),
            ([1], "One capture is corrected; a head needs at least 10"),
            ([1] * 12, "All corrected captures carry the same label"),
        ],
    )
    def test_too_little(
        self, box: pages.Box, browser: pages.Browser, client: str, labels: list[int], said: str
    ) -> None:
        self.captures(box, client, *labels)
        assert said in pages.text(browser.get(f"/clients/{client}/head"))
        answer = browser.post(f"/clients/{client}/head", FIELDS)
        assert answer.status_code == 409
        assert said in pages.text(answer)

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("strength", "0"),
            ("strength", "nan"),
            ("strength", "much"),
            ("iterations", "1e9"),
            ("iterations", "0"),
        ],
    )
    def test_settings_out_of_range(
        self, browser: pages.Browser, client: str, field: str, value: str
    ) -> None:
        fields = {**FIELDS, field: value}
        answer = browser.post(f"/clients/{client}/head", fields)
        assert answer.status_code == 400
        assert "must be a" in pages.text(answer)

    def test_one_that_was_not_better_asks_twice(
        self, box: pages.Box, browser: pages.Browser, client: str
    ) -> None:
        self.add(box, client, "worse")
        assert "It was not better." in pages.text(browser.get(f"/clients/{client}/head"))
        browser.post(f"/clients/{client}/head/activate", {"head": "worse"})
        assert self.active(box) == []
        assert "Tick the box" in pages.text(browser.get(f"/clients/{client}/head"))
        browser.post(f"/clients/{client}/head/activate", {"head": "worse", "sure": "1"})
        assert self.active(box) == ["worse"]

    def test_one_of_another_bundle(
        self, box: pages.Box, browser: pages.Browser, client: str
    ) -> None:
        self.add(box, client, "old", bundle="mien-fer-1")
        said = pages.text(browser.get(f"/clients/{client}/head"))
        assert "Made for the bundle mien-fer-1; mien-fer-2 is at work" in said
        answer = browser.post(f"/clients/{client}/head/activate", {"head": "old", "sure": "1"})
        assert answer.status_code == 409

    def test_anothers_client_or_head_is_not_there(
        self, box: pages.Box, browser: pages.Browser, client: str
    ) -> None:
        stranger = box.client("K-99", "training", owner="ben")
        self.add(box, stranger, "theirs")
        for response in (
            browser.get(f"/clients/{stranger}/head"),
            browser.post(f"/clients/{stranger}/head", FIELDS),
            browser.post(f"/clients/{stranger}/head/erase", {"head": "theirs"}),
            browser.post(f"/clients/{client}/head/erase", {"head": "theirs"}),
            browser.post(f"/clients/{client}/head/activate", {"head": "theirs", "sure": "1"}),
        ):
            assert response.status_code == 404
        assert len(box.rows("SELECT id FROM heads")) == 1


class TestCard:
    def test_blocks(self) -> None:
        text = (
            "# A\n\ntext with `code` and *stress*\nwrapped\n\n"
            "- one\n  more\n- two\n\n|a|b|\n|---|---|\n|1|2|"
        )
        heading, paragraph, points, table = card.blocks(text)
        assert (heading.kind, heading.items) == ("heading", [[("", "A")]])
        assert paragraph.items == [
            [
                ("", "text with "),
                ("code", "code"),
                ("", " and "),
                ("em", "stress"),
                ("", " wrapped"),
            ]
        ]
        assert points.items == [[("", "one more")], [("", "two")]]
        assert table.rows == [[[("", "a")], [("", "b")]], [[("", "1")], [("", "2")]]]

    @given(st.text(alphabet="ab#|-*` \n<>&", max_size=80))
    def test_any_text_is_read_and_no_letter_lost(self, text: str) -> None:
        found = card.blocks(text)
        pieces = "".join(
            words
            for block in found
            for line in [*block.items, *(cell for row in block.rows for cell in row)]
            for _, words in line
        )
        assert sorted(c for c in pieces if c in "ab<>&") == sorted(c for c in text if c in "ab<>&")

    def test_a_card_is_escaped(self, box: pages.Box, browser: pages.Browser) -> None:
        install(box, "newer")
        file = Bundles(box.config.state_dir).folder / "newer" / "MODEL_CARD.md"
        file.write_text("# <script>\n\n`<img src=x>` *<b>*\n\n## Known failures\n\n- <i>\n")
        Bundles(box.config.state_dir).activate("newer")
        html = browser.get("/model").text
        for tag in ("<script>", "<img src=x", "<b></", "<i>"):
            assert tag not in html
        assert "&lt;img src=x&gt;" in html

    def test_a_bundle_that_tells_nothing(self) -> None:
        bare = msgspec.structs.replace(BUNDLE, accuracy={}, path=Path("/nowhere"))
        assert card.measured(bare) == (None, False)
        assert card.sections(bare) == []
        assert card.conditions(bare) == []
        assert card.number(bare, "public_test", "n") is None

    @pytest.mark.parametrize(
        "strange", [3, [], [[1]], [[0] * 7] * 6, [[0.5] * 7] * 7, [[-1] * 7] * 7, ["x" * 7] * 7]
    )
    def test_a_strange_matrix_is_none(self, strange: object) -> None:
        bundle = msgspec.structs.replace(BUNDLE, accuracy={"confusion": strange})
        assert card.measured(bundle) == (None, False)

    def test_shares(self) -> None:
        confusion = Confusion([[3, 1, *[0] * 6]] + [[0] * 8] * 5 + [[0, 0, 0, 0, 0, 0, 2, 4]])
        assert confusion.right == Share(5, 10)
        assert confusion.right_of_told == Share(5, 6)
        assert confusion.recall(0) == Share(3, 4)
        assert confusion.recall(1).share is None
        assert confusion.precision(1) == Share(0, 1)
        assert confusion.mistakes() == [(0, 1, Share(1, 4))]
        assert [confusion.shade(0, a) for a in range(3)] == [7, 2, 0]
