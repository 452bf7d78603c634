"""Days, weeks, months and years side by side."""

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from mien_web import almanac


@given(st.dates(date(1901, 1, 1), date(2998, 1, 1)), st.sampled_from(list(almanac.ENDPOINTS)))
def test_spans_lie_side_by_side(day: date, kind: almanac.Kind) -> None:
    span = almanac.around(kind, day)
    assert span.first <= day <= span.last
    assert span.after
    assert span.before
    assert span.after.first.toordinal() == span.last.toordinal() + 1
    assert span.before.last.toordinal() == span.first.toordinal() - 1
    again = almanac.parsed(span.value)
    assert again
    assert almanac.around(kind, again) == span
