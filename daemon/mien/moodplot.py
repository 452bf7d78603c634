"""The picture of an analysis of moods: an SVG that is dark where the reader's screen is."""

from collections.abc import Iterable
from html import escape

from mien.moodanalysis import FEW, Analysis, Share

WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_WIDTH, _LEFT, _RIGHT = 760, 52, 16

_STYLE = """
svg{--ink:#1d2329;--soft:#5b6670;--line:#d5dbe1;--back:#fff;--good:#2f7d6b;--bad:#b0562f}
@media (prefers-color-scheme:dark){svg{--ink:#e8ecef;--soft:#a3adb6;--line:#3a434b;--back:#14181c;
--good:#59b39e;--bad:#e08a5f}}
text{fill:var(--ink);font:13px system-ui,sans-serif}.soft{fill:var(--soft);font-size:12px}
.head{font-size:20px;font-weight:600}.sub{font-size:15px;font-weight:600}
.back{fill:var(--back)}.grid{stroke:var(--line)}.good{fill:var(--good)}.bad{fill:var(--bad)}
.reach{stroke:var(--ink);stroke-width:1.5;fill:none}.edge{stroke-width:1.5}.hatch{stroke-width:3}
.good-line{stroke:var(--good)}.bad-line{stroke:var(--bad)}.end{text-anchor:end}.middle{text-anchor:middle}
"""


def svg(found: Analysis, name: str) -> str:
    """The whole picture; `name` is what the reports are called."""
    name = "".join(sign if sign.isprintable() else "�" for sign in name)  # XML knows few others
    shares, ratio = found.shares, found.only_positive_to_only_negative
    said = [
        f"{whose(found)}, {sum(found.dropped.values()):,} rows dropped",
        f"any emotion {_percent(shares['any_emotion_share'])}, "
        f"positive {_percent(shares['positive_share'])}, "
        f"negative {_percent(shares['negative_share'])}",
    ]
    if ratio:
        said.append(
            f"only positive ones {ratio.ratio:.2f} times as often as only negative ones "
            f"({ratio.low:.2f}–{ratio.high:.2f})"
        )
    height = 908
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" '
        f'width="{_WIDTH}" height="{height}" role="img" aria-labelledby="title desc">',
        f'<title id="title">Everyday emotions in {escape(name)}</title>',
        f'<desc id="desc">{escape(_told(found, said))}</desc>',
        f"<style>{_STYLE}</style>",
        "<defs>",
        *(
            f'<pattern id="few-{look}" width="7" height="7" patternUnits="userSpaceOnUse" '
            f'patternTransform="rotate(45)"><line y2="7" class="hatch {look}-line"/></pattern>'
            for look in ("good", "bad")
        ),
        "</defs>",
        f'<rect class="back" width="{_WIDTH}" height="{height}"/>',
        f'<text class="head" x="{_LEFT}" y="36">Everyday emotions in {escape(_short(name))}</text>',
        *(f'<text x="{_LEFT}" y="{60 + 20 * n}">{escape(s)}</text>' for n, s in enumerate(said)),
        *_columns(
            "Reports with a positive emotion, by hour",
            [(str(hour), found.by_hour.get(hour)) for hour in range(24)],
            136,
        ),
        *_columns(
            "Reports with a positive emotion, by weekday",
            [(day, found.by_weekday.get(n)) for n, day in enumerate(WEEKDAYS, 1)],
            364,
        ),
        *_emotions(found, 592),
        f'<text class="soft" x="{_LEFT}" y="{height - 38}">'
        f"Thin lines: 95 % intervals that count people, not reports. "
        f"Hatched: under {FEW} reports. Empty: none.</text>",
        f'<text class="soft" x="{_LEFT}" y="{height - 18}">'
        "Day 1 is taken as Monday. This is what people say of themselves, in the form of Trampe "
        "et al. 2015.</text>",
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def whose(found: Analysis) -> str:
    """Such as "44 reports of 10 people"."""
    people = "1 person" if found.people == 1 else f"{found.people:,} people"
    return f"{found.reports:,} report{'s' * (found.reports > 1)} of {people}"


def _columns(title: str, shares: list[tuple[str, Share | None]], top: float) -> list[str]:
    base, tall = top + 180, 140.0
    step = (_WIDTH - _LEFT - _RIGHT) / len(shares)
    wide = min(step * 0.7, 56)
    parts = [f'<text class="sub" x="{_LEFT}" y="{top + 16}">{title}</text>']
    for mark in (0, 25, 50, 75, 100):
        y = base - tall * mark / 100
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y}" y2="{y}"/>'
            f'<text class="soft end" x="{_LEFT - 6}" y="{y + 4}">{mark}\u202f%</text>'
        )
    for n, (name, one) in enumerate(shares):
        middle = _LEFT + step * (n + 0.5)
        parts.append(f'<text class="soft middle" x="{middle:.1f}" y="{base + 16}">{name}</text>')
        if one is None:
            continue
        high = tall * one.share
        parts.append(
            f"<g><title>{name}: {_percent(one)}, {one.count:,} of {one.reports:,} reports</title>"
            f'<rect {_filled(one, "good")} x="{middle - wide / 2:.1f}" y="{base - high:.1f}" '
            f'width="{wide:.1f}" height="{high:.1f}"/>'
            f'<path class="reach" d="M{middle:.1f} {base - tall * one.low:.1f}'
            f'V{base - tall * one.high:.1f}"/></g>'
        )
    return parts


def _emotions(found: Analysis, top: float) -> list[str]:
    """Two columns, positive and negative, each from the most to the least reported."""
    most = max(0.1, *(one.high for one in found.emotions.values()))
    names = list(found.emotions)
    parts = []
    half = (_WIDTH - _LEFT - _RIGHT) / 2
    for column, (title, look, group) in enumerate(
        (("Positive emotions", "good", names[:9]), ("Negative emotions", "bad", names[9:]))
    ):
        left = _LEFT + column * half
        bar, room = left + 104, half - 104 - 66
        parts.append(f'<text class="sub" x="{left}" y="{top + 16}">{title}</text>')
        ordered = sorted(group, key=lambda name: -found.emotions[name].share)
        for n, name in enumerate(ordered):
            one, y = found.emotions[name], top + 46 + 24 * n
            end = bar + room * one.high / most
            parts.append(
                f'<text class="end" x="{bar - 8}" y="{y}">{name}</text>'
                f'<rect {_filled(one, look)} x="{bar}" y="{y - 11}" '
                f'width="{room * one.share / most:.1f}" height="14"/>'
                f'<path class="reach" d="M{bar + room * one.low / most:.1f} {y - 4}H{end:.1f}"/>'
                f'<text class="soft" x="{end + 6:.1f}" y="{y}">{_percent(one)}</text>'
            )
    return parts


def _filled(one: Share, look: str) -> str:
    return f'fill="url(#few-{look})" class="edge {look}-line"' if one.few else f'class="{look}"'


def _told(found: Analysis, said: Iterable[str]) -> str:
    """The picture for who cannot see it."""
    hours = ", ".join(f"{hour} h {_percent(one)}" for hour, one in found.by_hour.items())
    days = ", ".join(f"{WEEKDAYS[n - 1]} {_percent(one)}" for n, one in found.by_weekday.items())
    return f"{'; '.join(said)}. Positive by hour: {hours}. By weekday: {days}."


def _percent(one: Share) -> str:
    return f"{100 * one.share:.1f}\u202f%"


def _short(name: str) -> str:
    return name if len(name) <= 48 else f"{name[:47]}…"
