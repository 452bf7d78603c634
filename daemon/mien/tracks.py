"""Which face in this frame is which of the last: by overlap alone, never by looks. Pure."""

from collections.abc import Sequence

Box = tuple[float, float, float, float]


class Tracker:
    """Numbers faces from frame to frame.

    A face keeps its number while its box overlaps the last one by at least `min_overlap`
    (intersection over union), and loses it for good after `forget_s` seconds unseen.
    """

    def __init__(self, min_overlap: float = 0.3, forget_s: float = 1.0) -> None:
        self._min_overlap = min_overlap
        self._forget_s = forget_s
        self._tracks: dict[int, tuple[Box, float]] = {}
        self._next = 1

    def update(self, t: float, boxes: Sequence[Box]) -> list[int]:
        """Track numbers of the boxes (x, y, w, h) seen at `t` seconds, in their order."""
        self._tracks = {
            number: (box, seen)
            for number, (box, seen) in self._tracks.items()
            if t - seen <= self._forget_s
        }
        pairs = sorted(
            (
                (overlap(box, last), index, number)
                for index, box in enumerate(boxes)
                for number, (last, _) in self._tracks.items()
            ),
            reverse=True,
        )
        numbers: dict[int, int] = {}
        for share, index, number in pairs:
            if share < self._min_overlap:
                break
            if index not in numbers and number not in numbers.values():
                numbers[index] = number
        for index, box in enumerate(boxes):
            if index not in numbers:
                numbers[index] = self._next
                self._next += 1
            self._tracks[numbers[index]] = (box, t)
        return [numbers[index] for index in range(len(boxes))]


def overlap(a: Box, b: Box) -> float:
    """Intersection over union of two boxes (x, y, w, h), 0–1."""
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (a[2] * a[3] + b[2] * b[3] - both)
