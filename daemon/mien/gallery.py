"""The picture library: faces with labels, from uploads and from captures of clients who agreed.

A picture of a client is shown to that client's owner alone, and to nobody while the consent to
training is not valid. Two pictures whose `dhash` (128 bits, see `mien.intake.dhash`) differs in at
most `ALIKE` bits are taken for the same; of 3,000 faces of FER-2013 that joined 27 of 4.5 million
pairs, and found 99 % of pictures again that were enlarged, darkened and saved as poor JPEGs.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal

from msgspec import Struct

from mien import captures, clients
from mien.uploads import Found

ALIKE = 8
_BANDS = ALIKE + 1  # two hashes that differ in fewer bits than there are bands agree in one of them
_BITS = 128

Color = Literal["color", "gray"]
People = Literal["uploads", "captures"]


class Picture(Struct, frozen=True):
    """One picture, without its pixels. `expression` is the place in `EXPRESSIONS`, None while
    nobody said; `client` the code name of who is shown, None for an upload; `width` and `height`
    those of the file it came from; `added` in milliseconds of UTC."""

    id: int
    name: str
    source: str
    color: Color
    width: int
    height: int
    expression: int | None
    quality: float
    added: int
    client: str | None


class Filter(Struct, frozen=True):
    """Which pictures are meant: all that fit everything that is not None or empty.
    `expression` −1: those without a label."""

    expression: int | None = None
    source: str = ""
    color: Color | None = None
    people: People | None = None
    text: str = ""


class Group(Struct, frozen=True):
    """Pictures that are the same, the oldest first. `conflict`: their labels differ."""

    pictures: list[Picture]

    @property
    def conflict(self) -> bool:
        return len({picture.expression for picture in self.pictures}) > 1


# Bound to the user's id: whose pictures of clients may be seen.
_SEEN = """(p.client IS NULL OR p.client IN (
    SELECT c.id FROM clients c WHERE c.owner = ? AND EXISTS (SELECT 1 FROM consents
        WHERE client = c.id AND kind = 'training' AND withdrawn_utc IS NULL)))"""
_SELECT = """SELECT p.id, p.name, p.source, p.color, p.width, p.height, p.expression, p.quality,
    p.added_utc, (SELECT code FROM clients WHERE id = p.client) FROM pictures p """


def where(user: int, chosen: Filter) -> tuple[str, list[object]]:
    """The WHERE clause, with its values, for the chosen ones of the pictures `p` that this user may
    see."""
    parts, values = [_SEEN], list[object]([user])
    if chosen.expression is not None:
        parts.append("p.expression IS ?")
        values.append(chosen.expression if chosen.expression >= 0 else None)
    if chosen.source:
        parts.append("p.source = ?")
        values.append(chosen.source)
    if chosen.color:
        parts.append("p.color = ?")
        values.append(chosen.color)
    if chosen.people:
        parts.append("p.client IS " + ("NULL" if chosen.people == "uploads" else "NOT NULL"))
    if chosen.text:
        parts.append("(instr(lower(p.name), lower(?)) OR instr(lower(p.source), lower(?)))")
        values += [chosen.text, chosen.text]
    return "WHERE " + " AND ".join(parts), values


def page(db: Any, user: int, chosen: Filter, number: int, size: int) -> tuple[int, list[Picture]]:
    """How many pictures fit, and those of a page, the newest first; pages count from 1."""
    fits, values = where(user, chosen)
    (total,) = db.execute(f"SELECT count(*) FROM pictures p {fits}", values).fetchone()
    rows = db.execute(
        f"{_SELECT} {fits} ORDER BY p.id DESC LIMIT ? OFFSET ?",
        (*values, size, (number - 1) * size),
    )
    return int(total), [Picture(*row) for row in rows]


def find(db: Any, user: int, id: int) -> Picture | None:
    row = db.execute(f"{_SELECT} WHERE p.id = ? AND {_SEEN}", (id, user)).fetchone()
    return Picture(*row) if row else None


def blob(db: Any, user: int, id: int, column: Literal["face", "crop"]) -> bytes | None:
    """The JPEG of the face or the PNG that a network gets."""
    row = db.execute(
        f"SELECT p.{column} FROM pictures p WHERE p.id = ? AND {_SEEN}", (id, user)
    ).fetchone()
    return bytes(row[0]) if row else None


def counts(db: Any, user: int) -> dict[int | None, int]:
    """Pictures of each label, None: without one."""
    rows = db.execute(
        f"SELECT p.expression, count(*) FROM pictures p WHERE {_SEEN} GROUP BY 1", (user,)
    )
    return dict(rows.fetchall())


def sources(db: Any, user: int) -> list[tuple[str, int]]:
    """Where pictures came from, with their number."""
    rows = db.execute(
        f"SELECT p.source, count(*) FROM pictures p WHERE {_SEEN} GROUP BY 1 ORDER BY 1", (user,)
    )
    return [(source, count) for source, count in rows]


# ── putting in, naming, taking out ───────────────────────────────────────────────────────────────


def add(
    db: Any, found: Found, source: str, expression: int | None, utc: float,
    client: str | None = None, capture: str | None = None,
) -> int | None:  # fmt: skip
    """Put a face into the library; its number, or None when the same file is there already.

    `utc` in seconds; `client` and `capture` are ids, of a face that was captured.
    """
    row = db.execute(
        "INSERT OR IGNORE INTO pictures (sha256, dhash, client, capture, source, name, color, "
        "width, height, expression, quality, added_utc, face, crop) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (
            found.sha256, found.dhash, client, capture, source, found.name, found.color,
            found.width, found.height, expression, found.quality, round(utc * 1000), found.face,
            found.crop,
        ),
    )  # fmt: skip
    return int(row.lastrowid) if row.rowcount else None


def relabel(
    db: Any, user: int, name: str, labels: dict[int, int | None], utc: float
) -> dict[int, int | None]:
    """Say what pictures look like; what those that changed were called before.

    What is said of a captured face is a correction of the capture, by the user of this `name`.
    """
    before: dict[int, int | None] = {}
    for id, expression in labels.items():
        row = db.execute(
            f"SELECT p.expression, p.capture FROM pictures p WHERE p.id = ? AND {_SEEN}",
            (id, user),
        ).fetchone()
        if not row or row[0] == expression:
            continue
        before[id] = row[0]
        db.execute("UPDATE pictures SET expression = ? WHERE id = ?", (expression, id))
        if row[1] and captures.find(db, row[1], user):
            captures.correct(db, row[1], expression, name, utc)
    return before


def known(db: Any, user: int, ids: Iterable[int]) -> list[int]:
    """Those of these pictures that there are, for this user."""
    return [id for id in dict.fromkeys(ids) if find(db, user, id)]


def delete(db: Any, user: int, ids: Iterable[int]) -> int:
    """Take pictures out for good, with what was predicted of them; how many there were."""
    return sum(
        db.execute(f"DELETE FROM pictures AS p WHERE p.id = ? AND {_SEEN}", (id, user)).rowcount
        for id in set(ids)
    )


# ── captures ─────────────────────────────────────────────────────────────────────────────────────


class Candidate(Struct, frozen=True):
    """A corrected capture that may come into the library. `taken`: the picture that it is already,
    with the label there."""

    capture: str
    client: str
    code: str
    expression: int
    taken: int | None
    taken_as: int | None


def candidates(db: Any, user: int) -> tuple[list[Candidate], int]:
    """The corrected captures of this user's clients who agreed to training, and how many there are
    of clients who did not."""
    rows = db.execute(
        """SELECT c.id, s.client, p.code, k.expression, l.id, l.expression,
            EXISTS (SELECT 1 FROM consents WHERE client = s.client AND kind = 'training'
                AND withdrawn_utc IS NULL)
        FROM clients p JOIN sessions s ON s.client = p.id JOIN captures c ON c.session = s.id
        JOIN corrections k ON k.id = (SELECT max(id) FROM corrections WHERE capture = c.id)
        LEFT JOIN pictures l ON l.capture = c.id
        WHERE p.owner = ? AND NOT c.deleted AND k.expression IS NOT NULL
            AND NOT EXISTS (SELECT 1 FROM exclusions WHERE session = s.id AND NOT deleted
                AND from_ms <= c.at_ms AND (to_ms IS NULL OR c.at_ms < to_ms))
        ORDER BY s.utc, c.at_ms""",
        (user,),
    ).fetchall()
    agreed = [Candidate(*row[:6]) for row in rows if row[6]]
    return agreed, len(rows) - len(agreed)


def captured(db: Any, capture: str) -> tuple[bytes, bytes]:
    """The JPEG of a captured face, and the crop."""
    return captures.face(db, capture), captures.crop(db, capture)


def agreed(db: Any, client: str) -> bool:
    """Whether a client's consent to training is valid."""
    return clients.valid(db, client, "training")


def mend(db: Any, labels: dict[int, int]) -> int:
    """Give pictures the newest label of their captures; how many had another."""
    return sum(
        db.execute(
            "UPDATE pictures SET expression = ? WHERE id = ? AND expression IS NOT ?",
            (expression, id, expression),
        ).rowcount
        for id, expression in labels.items()
    )


# ── the same picture twice ───────────────────────────────────────────────────────────────────────


def same(db: Any, user: int, most: int) -> tuple[list[Group], int, int]:
    """Pictures that are there more than once, those whose labels differ first: so many groups at
    most, how many there are, and in how many labels differ."""
    rows = db.execute(
        f"SELECT p.id, p.dhash, p.expression FROM pictures p WHERE {_SEEN} ORDER BY p.id", (user,)
    ).fetchall()
    label = {id: expression for id, _, expression in rows}
    families = alike([(id, int(dhash, 16)) for id, dhash, _ in rows])
    families.sort(key=lambda ids: len({label[id] for id in ids}) == 1)
    conflicts = sum(len({label[id] for id in ids}) > 1 for ids in families)
    groups = []
    for ids in families[:most]:
        found = [find(db, user, id) for id in ids]
        groups.append(Group([picture for picture in found if picture]))
    return groups, len(families), conflicts


def alike(hashes: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Families of two and more ids whose hashes differ in at most `ALIKE` bits, directly or by way
    of others. Only those are compared that agree in a part of their bits, as they must."""
    root = {id: id for id, _ in hashes}

    def find(id: int) -> int:
        while root[id] != id:
            root[id] = root[root[id]]
            id = root[id]
        return id

    # Equal hashes are joined at once: a thousand of the same picture are not compared.
    holder: dict[int, int] = {}
    for id, value in hashes:
        root[find(id)] = find(holder.setdefault(value, id))
    for band in range(_BANDS):
        # Every ninth bit: neighbours say nearly the same, so such parts tell more pictures apart.
        mask = sum(1 << bit for bit in range(band, _BITS, _BANDS))
        buckets = defaultdict[int, list[int]](list)
        for value in holder:
            buckets[value & mask].append(value)
        for bucket in buckets.values():
            for place, value in enumerate(bucket[:-1]):
                for other in bucket[place + 1 :]:
                    if (value ^ other).bit_count() <= ALIKE:
                        root[find(holder[other])] = find(holder[value])
    families = defaultdict[int, list[int]](list)
    for id, _ in hashes:
        families[find(id)].append(id)
    return [sorted(members) for members in families.values() if len(members) > 1]


# ── for the workshop ─────────────────────────────────────────────────────────────────────────────


class Outgoing(Struct, frozen=True):
    """A labelled crop for the workshop. `client` is an id, `captured` milliseconds of UTC."""

    id: int
    expression: int
    crop: bytes
    client: str | None
    captured: int | None


def outgoing(db: Any, user: int) -> Iterator[Outgoing]:
    """The labelled pictures that this user may hand on, one of each crop; a crop that is there
    with different labels is left out."""
    rows = db.execute(
        f"""SELECT p.id, p.expression, p.crop, p.client,
            (SELECT s.utc + c.at_ms FROM captures c JOIN sessions s ON s.id = c.session
                WHERE c.id = p.capture)
        FROM pictures p WHERE {_SEEN} AND p.expression IS NOT NULL ORDER BY p.id""",
        (user,),
    )
    by_crop = defaultdict[bytes, list[Outgoing]](list)
    for id, expression, crop, client, captured in rows:
        by_crop[bytes(crop)].append(Outgoing(id, expression, bytes(crop), client, captured))
    for twins in by_crop.values():
        if len({twin.expression for twin in twins}) == 1:
            yield twins[0]
