"""Figures as Prometheus reads them."""

from mien.metrics import exposition


def test_each_kind_is_named_once_and_no_digit_is_lost() -> None:
    counters = {'mien_seconds_total{stage="a"}': 0.25, 'mien_seconds_total{stage="b"}': 3}
    gauges = {"mien_paused": True, "process_resident_memory_bytes": 123_456_789}
    assert exposition(counters, gauges) == (
        "# TYPE mien_seconds_total counter\n"
        'mien_seconds_total{stage="a"} 0.25\n'
        'mien_seconds_total{stage="b"} 3\n'
        "# TYPE mien_paused gauge\n"
        "mien_paused 1\n"
        "# TYPE process_resident_memory_bytes gauge\n"
        "process_resident_memory_bytes 123456789\n"
    )
