import re

from hypothesis import given
from hypothesis import strategies as st

from mien.events import EXPRESSIONS
from mien.timeline import Second, columns
from mien_web.drawing import HEIGHT, ORDER, attention, band

RECTANGLE = re.compile(r"M(\d+) (\d+)H(\d+)V(\d+)H(\d+)z")
FEAR = EXPRESSIONS.index("fear")


def second(at_ms: int, expression: int | None = FEAR, people: int = 1) -> Second:
    return Second(at_ms, expression, None, bool(people), None, people)


def test_what_goes_on_is_one_rectangle() -> None:
    drawn = band(columns([second(k * 1000) for k in range(4)], 0, 6000, 2))
    assert drawn["fear"] == "M0 0H2V100H0z"
    assert drawn["neutral"] == drawn["unknown"] == ""


def test_a_piece_is_as_high_as_its_share_and_what_is_missing_is_empty() -> None:
    seen = [second(0), second(1000, None), second(2000, people=0)]
    drawn = band(columns(seen, 0, 4000, 4))
    assert drawn["fear"] == "M0 75H1V100H0z"
    assert drawn["unknown"] == "M0 50H1V75H0z"
    assert attention(columns(seen, 0, 4000, 4))["facing"] == "M0 50H1V100H0z"


@given(
    st.lists(
        st.tuples(st.one_of(st.none(), st.integers(0, 6)), st.integers(0, 1)), max_size=60
    ),
    st.integers(1, 9),
)  # fmt: skip
def test_pieces_never_overlap_and_stay_inside(looks: list[tuple[int | None, int]], w: int) -> None:
    seen = [second(k * 1000, look, people) for k, (look, people) in enumerate(looks)]
    made = columns(seen, 0, 60_000, w)
    drawn = band(made)
    assert set(drawn) == {*ORDER, "unknown"}
    filled = [0] * len(made)
    for path in drawn.values():
        assert RECTANGLE.sub("", path) == ""
        for x0, top, x1, bottom, back in (map(int, piece) for piece in RECTANGLE.findall(path)):
            assert 0 <= x0 < x1 <= len(made)
            assert 0 <= top < bottom <= HEIGHT
            assert back == x0
            for x in range(x0, x1):
                filled[x] += bottom - top
    for height, column in zip(filled, made, strict=True):
        room = column.seconds + column.unwatched
        assert abs(height - HEIGHT * (column.read + column.unread) / room) <= 0.5
