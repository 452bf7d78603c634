"""Figures of a process for Prometheus, as text:
https://prometheus.io/docs/instrumenting/exposition_formats/"""

import resource
from pathlib import Path


def exposition(counters: dict[str, float], gauges: dict[str, float]) -> str:
    """Both kinds, a line each; a name may carry its labels in braces."""
    return _lines(counters, "counter") + _lines(gauges, "gauge")


def cpu_seconds() -> float:
    """Of this process since its start."""
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


def resident_bytes() -> int:
    """Memory of this process that is not swapped out."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def _lines(values: dict[str, float], kind: str) -> str:
    lines, typed = [], set()
    for name, value in values.items():
        family = name.partition("{")[0]
        if family not in typed:
            typed.add(family)
            lines.append(f"# TYPE {family} {kind}")
        lines.append(f"{name} {+value!r}")  # of True, 1
    return "\n".join(lines) + "\n"
