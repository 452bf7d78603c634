"""The record of a client: dates, topics and counts, as a table and as a document."""

from flask_babel import gettext, ngettext

from mien.dossier import Line
from mien.events import EXPRESSIONS
from mien_web import desk, labels, languages, pdf, words


def header() -> list[str]:
    """Names of what `row` tells."""
    return [
        gettext("Session"), gettext("Length (min)"), gettext("Topics"), gettext("Seen (s)"),
        gettext("Cannot tell (s)"), gettext("Nobody in view (s)"), gettext("Excluded (s)"),
        *(gettext("Looks like %(expression)s (s)", expression=labels.NAMES[e])
          for e in EXPRESSIONS),
        gettext("Captures"), gettext("Corrected"),
    ]  # fmt: skip


def row(line: Line) -> list[str]:
    """A session as a row of the table."""
    seen = line.seen
    return [
        languages.moment(line.session.utc),
        str(round((line.session.length_ms or 0) / 60_000)),
        _topics(line),
        str(seen.read + seen.unread),
        str(seen.unread),
        str(seen.nobody),
        str(round(line.excluded_ms / 1000)),
        *map(str, seen.expressions),
        str(line.captures),
        str(line.corrected),
    ]


def _topics(line: Line) -> str:
    return ", ".join(
        f"{text} ({times}×, {words.seconds(length)})" if length else f"{text} ({times}×)"
        for text, times, length in line.topics
    )


def document(code: str, days: str, lines: list[Line]) -> pdf.Document:
    """The record as a PDF will show it; `days` tells the period in words."""
    head = [gettext("Session"), gettext("Length"), gettext("Topics"), gettext("Captures")]
    dates = [
        [
            languages.moment(line.session.utc),
            gettext("%(n)s min", n=round((line.session.length_ms or 0) / 60_000)),
            _topics(line) or "–",
            str(line.captures),
        ]
        for line in lines
    ]
    looks = [
        [
            languages.day(line.session.utc),
            words.seconds(line.seen.read + line.seen.unread),
            *(_share(n, line.seen.read) for n in line.seen.expressions),
        ]
        for line in lines
    ]
    foot = gettext("Mien – what expressions looked like, not what was felt")
    return pdf.Document(
        title=gettext("Record of %(code)s", code=code),
        language=languages.language(),
        made=desk.now().iso.replace("Z", "+00:00"),
        lines=[
            days,
            ngettext("%(num)s session", "%(num)s sessions", len(lines)),
            gettext("Made by %(user)s.", user=desk.user().name),
        ],
        sections=[
            pdf.Section(
                gettext("Sessions and topics"), [], pdf.Table(head, dates, [20, 9, 55, 10])
            ),
            pdf.Section(
                gettext("What expressions looked like"),
                [
                    gettext(
                        "Shares of the seconds in which an expression could be told. A face is "
                        "not a feeling: these are readings by a program that is often wrong."
                    )
                ],
                pdf.Table(
                    [gettext("Day"), gettext("Seen"), *(str(labels.NAMES[e]) for e in EXPRESSIONS)],
                    looks,
                    [16, 14, *[11] * len(EXPRESSIONS)],
                ),
            ),
        ]
        if lines
        else [pdf.Section(gettext("No session in this period."))],
        foot=foot,
        substituted=gettext("Letters that this machine cannot draw are shown as ? or □."),
    )


def _share(count: int, of: int) -> str:
    return languages.percent(count / of if of else None)
