"""A client's neutral face: what is measured of it, and readings seen relative to it."""

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pages
from mien import baseline
from mien.baseline import REFERENCE, Baseline, Corrector
from mien.bundle import load_bundle, shipped_bundle
from mien.events import EXPRESSIONS, Expression, Reason
from mien.timeline import Second

THRESHOLD = load_bundle(shipped_bundle()).thresholds.confidence
HAPPINESS, SADNESS, NEUTRAL = map(EXPRESSIONS.index, ("happiness", "sadness", "neutral"))


@pytest.fixture
def box(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[pages.Box]:
    yield from pages.box(tmp_path, monkeypatch)


def second(
    shares: list[float] | None, expression: int | None = None, reason: Reason | None = None
) -> Second:
    packed = None if shares is None else bytes(round(255 * share) for share in shares)
    return Second(0, expression, reason, True, packed, 1)


def looks(**some: float) -> list[float]:
    left = (1 - sum(some.values())) / (len(EXPRESSIONS) - len(some))
    named: dict[str, float] = dict(some)
    return [named.get(name, left) for name in EXPRESSIONS]


def recorded(mean: tuple[float, ...] = REFERENCE, **changed: object) -> Baseline:
    fields = {"id": "b1", "client": "c", "session": None, "utc": 5, "seconds": 30}
    return Baseline(**{**fields, "bundle": "mien", "mean": mean, "active": True, **changed})  # type: ignore[arg-type]


GLOOMY = looks(sadness=0.75, neutral=0.15)
"""A face that reads as sad while it does nothing."""


def corrector(shares: list[float]) -> Corrector:
    mean, _ = baseline.mean([second(shares, 0)] * 30)
    return Corrector(recorded(mean).offsets, THRESHOLD)


def test_the_mean_of_logarithms_over_what_could_be_read() -> None:
    seconds = [
        second(looks(neutral=0.8), NEUTRAL),
        second(looks(neutral=0.4), None, "low confidence"),
        second(looks(anger=0.9), None, "turned away"),  # what it was before it turned
        second(None, None, "too dark"),
    ]
    mean, n = baseline.mean(seconds)
    assert n == 2
    expected = (math.log(204 / 255) + math.log(102 / 255)) / 2
    assert mean[NEUTRAL] == pytest.approx(expected)


def test_nothing_readable_has_no_mean() -> None:
    assert baseline.mean([second(None)]) == ((0.0,) * 7, 0)


def test_a_probability_of_nothing_has_a_logarithm_all_the_same() -> None:
    mean, _ = baseline.mean([second([0.0] * 6 + [1.0], NEUTRAL)])
    assert mean[0] == pytest.approx(math.log(0.5 / 255))


def test_a_face_at_rest_reads_as_neutral_once_it_is_known() -> None:
    gloomy = second(GLOOMY, SADNESS)
    assert corrector(GLOOMY).label(gloomy) == NEUTRAL


def test_more_than_its_usual_is_seen_still() -> None:
    known = corrector(GLOOMY)
    assert known.label(second(looks(sadness=0.995), SADNESS)) == SADNESS
    assert known.label(second(looks(happiness=0.95), HAPPINESS)) == HAPPINESS


def test_between_two_looks_it_cannot_tell() -> None:
    known = corrector(GLOOMY)
    labels = [
        known.label(second(looks(sadness=share, neutral=0.98 - share), SADNESS))
        for share in (0.75, 0.9, 0.95, 0.96, 0.965, 0.975)
    ]
    assert labels[0] == NEUTRAL
    assert None in labels


def test_what_could_not_be_read_stays_so() -> None:
    known = corrector(GLOOMY)
    assert known.label(second(looks(sadness=0.9), None, "too dark")) is None
    assert known.label(second(None, None)) is None


probabilities = st.lists(st.floats(0, 1), min_size=7, max_size=7).filter(lambda row: sum(row) > 0.1)


@given(probabilities, st.sampled_from([None, 0, 3, 6]))
def test_an_average_face_changes_nothing(row: list[float], expression: int | None) -> None:
    shares = [value / sum(row) for value in row]
    reason: Reason | None = None if expression is not None else "low confidence"
    seen = second(shares, expression, reason)
    assert Corrector(recorded().offsets, THRESHOLD).label(seen) == expression


@given(probabilities, st.lists(st.floats(-3, 3), min_size=7, max_size=7))
def test_a_label_always_reaches_the_threshold(row: list[float], offsets: list[float]) -> None:
    shares = [value / sum(row) for value in row]
    seen = second(shares, None, "low confidence")
    found = Corrector(offsets, THRESHOLD).label(seen)
    if found is not None:
        moved = [
            max(round(255 * p), 0.5) * math.exp(-o) for p, o in zip(shares, offsets, strict=True)
        ]
        assert moved[found] == max(moved)
        assert moved[found] >= THRESHOLD * sum(moved) * (1 - 1e-9)


def test_one_recording_at_most_is_used(box: pages.Box) -> None:
    client, other = box.client("K-17"), box.client("K-18")
    for number, owner in enumerate((client, client, other)):
        made = recorded(id=f"b{number}", client=owner, utc=number)
        box.db.write(lambda db, made=made: baseline.add(db, made))  # type: ignore[misc]
    kept = box.db.read(lambda db: baseline.of_client(db, client))
    assert [(one.id, one.active) for one in kept] == [("b1", True), ("b0", False)]
    assert kept[0].mean == pytest.approx(REFERENCE)

    box.db.write(lambda db: baseline.activate(db, client, "b0"))
    active = box.db.read(lambda db: baseline.active(db, client))
    assert active is not None
    assert active.id == "b0"
    box.db.write(lambda db: baseline.activate(db, client, None))
    assert box.db.read(lambda db: baseline.active(db, client)) is None
    assert box.db.read(lambda db: baseline.active(db, other)) is not None


def test_what_is_deleted_takes_its_counts_along(box: pages.Box) -> None:
    client = box.client()
    session = box.session(client, 60)
    box.db.write(lambda db: baseline.add(db, recorded(client=client)))
    box.write("INSERT INTO cells VALUES (?, 'b1', '', x'')", session)
    box.write("INSERT INTO cells VALUES (?, '', '', x'')", session)
    box.db.write(lambda db: baseline.delete(db, client, "b1"))
    assert box.db.read(lambda db: baseline.of_client(db, client)) == []
    assert box.rows("SELECT baseline FROM cells") == [("",)]


def test_readings_keep_enough_to_correct_them(box: pages.Box) -> None:
    expressions: list[Expression | None] = ["sadness", None]
    box.readings(expressions)
    rows = box.rows("SELECT probabilities FROM readings ORDER BY id")
    assert all(len(row[0]) == 7 for row in rows)
