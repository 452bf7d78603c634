"""Pictures for the library of a box, put there without decoding anything."""

from hashlib import sha256
from typing import Any

import pages
from mien import gallery
from mien.events import EXPRESSIONS, Expression
from mien.uploads import Found


def found(number: int, **changed: Any) -> Found:
    """A face unlike that of any other number."""
    digest = sha256(str(number).encode()).hexdigest()
    told: dict[str, Any] = {
        "number": 0, "name": f"folder/{number}.png", "sha256": digest, "dhash": digest[:32],
        "color": "gray", "width": 48, "height": 48, "face": f"jpeg {number}".encode(),
        "crop": f"png {number}".encode(), "quality": 0.9,
    }  # fmt: skip
    return Found(**told | changed)


def put(
    box: pages.Box,
    number: int,
    label: Expression | None = "happiness",
    source: str = "drawn",
    client: str | None = None,
    capture: str | None = None,
    **changed: Any,
) -> int:
    """Its number in the library."""
    place = None if label is None else EXPRESSIONS.index(label)
    utc = box.clock.stamp().utc
    id = box.db.write(
        lambda db: gallery.add(db, found(number, **changed), source, place, utc, client, capture)
    )
    assert id is not None
    return id


def capture(
    box: pages.Box, id: str, session: str, label: Expression | None, face: bytes, crop: bytes
) -> None:
    """A capture of which a person said, or could not say, what it looks like."""
    box.write(
        "INSERT INTO captures (id, session, at_ms, face, crop, expression, probabilities, bundle) "
        "VALUES (?, ?, 1000, ?, ?, 6, ?, 'b')",
        id, session, face, crop, bytes(28),
    )  # fmt: skip
    if label:
        box.write(
            "INSERT INTO corrections (capture, expression, user, utc) VALUES (?, ?, 'anna', 0)",
            id, EXPRESSIONS.index(label),
        )  # fmt: skip
