"""What comes into the library and leaves it as files: uploads, captures, the workshop's zip."""

import hashlib
import os
import shutil
import signal
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import IO, Any

import msgspec
from flask_babel import gettext, lazy_gettext
from msgspec import Struct, field
from werkzeug.datastructures import FileStorage

from mien import audit, database, exchange, gallery, uploads
from mien.clock import iso
from mien.config import Config
from mien.events import EXPRESSIONS
from mien.exchange import ExportedFace, Manifest
from mien.uploads import At, Found, Item, Notice, Reason, Refused, Task
from mien_web import desk
from mien_web.jobs import ChildError, Job

BATCH = 200
"""Faces a transaction: so long the daemon's own may have to wait."""
CRASHES = 30
"""After so many pictures that ended the process an upload is given up."""
LISTED = 500
"""Refused files that are listed by name."""

REASONS: dict[Reason, Any] = {
    "empty": lazy_gettext("The file is empty."),
    "heavy": lazy_gettext("It has more than 25 MB. Save it smaller."),
    "no picture": lazy_gettext("It is no picture. Expected is JPEG, PNG, WebP, BMP or GIF."),
    "svg": lazy_gettext("An SVG is a drawing with a program in it. Save it as PNG."),
    "pdf": lazy_gettext("It is a PDF. Save the picture in it as JPEG or PNG."),
    "tiff": lazy_gettext("TIFF is not read here. Save it as PNG."),
    "nested": lazy_gettext("It is a zip within a zip. Unpack it first."),
    "two in one": lazy_gettext(
        "It is a picture and something else at once. Open it and save it anew."
    ),
    "huge": lazy_gettext("It has too many pixels. Save it with less than 40 megapixels."),
    "broken": lazy_gettext("It is broken or cut off. Copy it again from where it came."),
    "memory": lazy_gettext("It takes more memory than there is. Save it smaller."),
    "time": lazy_gettext("It takes too long to read. Save it anew as JPEG."),
    "crashed": lazy_gettext("Reading it failed badly; it may be made to do harm. Leave it out."),
    "no face": lazy_gettext("No face was found in it."),
    "several faces": lazy_gettext("It shows several faces, and none stands out. Cut one out."),
    "small": lazy_gettext("The face in it is too small."),
    "blank": lazy_gettext("Nothing can be made out in the face."),
    "locked": lazy_gettext("It is locked with a password."),
    "bomb": lazy_gettext("It would unpack to far more than a zip of pictures does."),
    "crowd": lazy_gettext("It has more than 5,000 files. Make several zips of it."),
    "broken zip": lazy_gettext("The zip is broken or cut off. Copy it again."),
    "no consent": lazy_gettext("The person shown has not agreed to it."),
    "altered": lazy_gettext("It is not the picture that the zip's list tells of."),
}


class Outcome(Struct):
    """What came of an intake: counts at each stage, and what was refused."""

    source: str
    files: int = 0
    pictures: int = 0
    faces: int = 0
    whole: int = 0
    """Of the faces, those that were cut out before."""
    known: int = 0
    mended: int = 0
    """Captures that were here already and got another label."""
    added: list[int] = field(default_factory=list)
    """Numbers of the new pictures."""
    labels: Counter[int | None] = field(default_factory=Counter)
    """Of the new pictures."""
    refused: list[Refused] = field(default_factory=list)
    left_out: int = 0
    """Refused files beyond those that are listed."""
    captures: int = 0
    """Of clients who did not agree."""
    notice: str = ""

    def refuse(self, refused: Refused) -> None:
        if len(self.refused) < LISTED:
            self.refused.append(refused)
        else:
            self.left_out += 1


class Spool:
    """Uploaded files, in nameless files of this process: gone when it is, whatever happens."""

    def __init__(self) -> None:
        self.items: list[Item] = []
        self._files: list[IO[bytes]] = []
        self._pictures: IO[bytes] | None = None

    def take(self, file: FileStorage) -> None:
        """Pictures go behind each other into one file, each zip into one of its own."""
        name = file.filename or ""
        if not name or uploads.hidden(name):
            return
        first = file.stream.read(4)
        file.stream.seek(0, 2)
        length = file.stream.tell()
        file.stream.seek(0)
        if first in uploads.ZIP:
            into = self._new()
        elif self._pictures is None:
            into = self._pictures = self._new()
        else:
            into = self._pictures
        start = into.seek(0, 2)
        if first in uploads.ZIP or length <= uploads.MAX_FILE:
            shutil.copyfileobj(file.stream, into, 1 << 20)
            into.flush()
        self.items.append(Item(name, into.fileno(), start, length))

    def put(self, name: str, data: bytes, crop: bytes) -> None:
        """A face that was captured, with the crop that the network got."""
        if self._pictures is None:
            self._pictures = in_memory()
            self._files.append(self._pictures)
        into = self._pictures
        start = into.seek(0, 2)
        into.write(data)
        into.flush()
        self.items.append(Item(name, into.fileno(), start, len(data), crop))

    @property
    def numbers(self) -> list[int]:
        return [file.fileno() for file in self._files]

    def close(self) -> None:
        for file in self._files:
            file.close()

    def _new(self) -> IO[bytes]:
        file: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115
        self._files.append(file)
        return file


def in_memory() -> IO[bytes]:
    """A file that never touches a disk: for what the store keeps encrypted."""
    return open(os.memfd_create("mien"), "w+b")


def label_of(found: Found) -> int | None:
    """What a file is said to show: by the list of its zip, else by its folder."""
    if found.label:
        return EXPRESSIONS.index(found.label)
    return uploads.expression_of(found.name)


class Work:
    """An intake, as a job calls it.

    Args:
        keep: puts a face into the library, in a transaction; its number, None when it is known.
    """

    def __init__(
        self,
        spool: Spool,
        outcome: Outcome,
        keep: Callable[[Any, Found], tuple[int | None, int | None]],
    ) -> None:
        self._spool = spool
        self._outcome = outcome
        self._keep = keep
        self._user = desk.user().name
        self._waiting: list[Found] = []

    def close(self) -> None:
        self._spool.close()

    def __call__(self, job: Job) -> Outcome:
        job.result = self._outcome
        try:
            self._read(job, desk.config())
            self._flush()
        finally:
            self.close()
        return self._outcome

    def _read(self, job: Job, config: Config) -> None:
        """Every file, by a child process that is begun again behind one over which it died."""
        models = str(config.state_dir / "models")
        first, crashes, total = 0, 0, -1
        while first != total:
            begun, at = first, None
            task = Task(self._spool.items, models, config.faces, config.limits.min_face_px, first)
            try:
                for line in job.child(
                    "mien.intake", task=msgspec.json.encode(task), files=self._spool.numbers
                ):
                    if not line.endswith(b"\n"):  # it died over this line
                        continue
                    told = msgspec.json.decode(line, type=uploads.Line)
                    if isinstance(told, At):
                        at, total = told, told.total
                        self._step(job, at)
                        continue
                    self._take(told)
                    if at is not None:
                        first, at = at.number + 1, None
                return
            except ChildError as error:
                crashes += 1
                if crashes > CRASHES or (at is None and first == begun):
                    raise
                if at is not None:
                    reason: Reason = "time" if error.code == -signal.SIGXCPU else "crashed"
                    self._outcome.refuse(Refused(at.name, reason))
                    first = at.number + 1

    def _step(self, job: Job, at: At) -> None:
        self._outcome.files = at.total
        text = gettext(
            "%(done)s of %(total)s files; a face found in %(faces)s",
            done=at.number,
            total=at.total,
            faces=self._outcome.faces,
        )
        job.step(at.number, at.total, text)

    def _take(self, told: Found | Refused | Notice) -> None:
        outcome = self._outcome
        if isinstance(told, Notice):
            outcome.notice = told.text
        elif isinstance(told, Refused):
            outcome.pictures += told.reason in uploads.PICTURES
            outcome.refuse(told)
        else:
            outcome.pictures += 1
            outcome.faces += 1
            outcome.whole += told.whole
            self._waiting.append(told)
            if len(self._waiting) >= BATCH:
                self._flush()

    def _flush(self) -> None:
        batch, self._waiting = self._waiting, []
        now = desk.now()

        def put(db: Any) -> list[tuple[int | None, int | None]]:
            kept = [self._keep(db, found) for found in batch]
            if count := sum(id is not None for id, _ in kept):
                source = self._outcome.source
                audit.note(db, now.utc, self._user, "library.added", source, pictures=count)
            return kept

        for id, label in desk.write(put):
            if id is None:
                self._outcome.known += 1
            else:
                self._outcome.added.append(id)
                self._outcome.labels[label] += 1


def of_files(spool: Spool, source: str, label: Callable[[Found], int | None]) -> Work:
    """The intake of uploaded files."""
    utc = desk.now().utc

    def keep(db: Any, found: Found) -> tuple[int | None, int | None]:
        expression = label(found)
        return gallery.add(db, found, source, expression, utc), expression

    return Work(spool, Outcome(source), keep)


def of_captures() -> Work:
    """The intake of the corrected captures of clients who agreed to it. Those that are in the
    library get their newest label at once."""
    user, now = desk.user(), desk.now()
    source = gettext("captures of this box")
    candidates, refused = desk.read(lambda db: gallery.candidates(db, user.id))
    new = [one for one in candidates if one.taken is None]
    changed = {one.taken: one.expression for one in candidates if one.taken is not None}
    outcome = Outcome(source, known=len(changed), captures=refused)
    outcome.mended = desk.write(lambda db: gallery.mend(db, changed))
    spool = Spool()
    for one in new:
        face, crop = desk.read(partial(gallery.captured, capture=one.capture))
        spool.put(f"{one.code}/{one.capture}", face, crop)

    def keep(db: Any, found: Found) -> tuple[int | None, int | None]:
        one = new[found.number]
        if not gallery.agreed(db, one.client):  # withdrawn meanwhile
            return None, None
        named = msgspec.structs.replace(found, name=one.code)
        id = gallery.add(db, named, source, one.expression, now.utc, one.client, one.capture)
        return id, one.expression

    return Work(spool, outcome, keep)


def box_zip() -> tuple[IO[bytes], int, int]:
    """Return the labelled pictures as a zip that the workshop imports, how many they are, and how
    many of them are of clients.

    Only those that may be learnt from: uploads were let in as such, clients agreed and still do.
    """
    user, now = desk.user(), desk.now()
    box = database.box_id(desk.config().state_dir, make=False)
    file = in_memory()
    faces = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for one in desk.read(lambda db: list(gallery.outgoing(db, user.id))):
            name = f"faces/{one.id}.png"
            archive.writestr(name, one.crop)
            faces.append(
                ExportedFace(
                    file=name,
                    sha256=hashlib.sha256(one.crop).hexdigest(),
                    label=EXPRESSIONS[one.expression],
                    person=one.client
                    and hashlib.sha256(f"{box}/{one.client}".encode()).hexdigest()[:16],
                    captured=iso(one.captured / 1000) if one.captured else None,
                    consents=[exchange.IMPROVE],
                )
            )
        manifest = Manifest(box=box, created=now.iso, faces=faces)
        archive.writestr(exchange.MANIFEST, msgspec.json.encode(manifest))
    of_clients = sum(face.person is not None for face in faces)
    return file, len(faces), of_clients
