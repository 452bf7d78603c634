#!/usr/bin/env python3
"""A month of the home log as a table: what was seen beside what was said. The token needs the
scopes `log` and `checkins`.

    MIEN_TOKEN=mien_… python month.py 2026-11 [--box http://localhost:8080] [--person CODE]
"""

import argparse
import os
import sys
from datetime import date, timedelta

from mien.client import ClientError, Mien


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("month", metavar="YYYY-MM")
    parser.add_argument("--box", default="http://localhost:8080", metavar="ADDRESS")
    parser.add_argument("--person", metavar="CODE")
    options = parser.parse_args()
    try:
        first = date.fromisoformat(f"{options.month}-01")
    except ValueError:
        parser.error(f"a month is written as 2026-11, not {options.month!r}")
    last = (first + timedelta(31)).replace(day=1) - timedelta(1)
    try:
        box = Mien(options.box, os.environ.get("MIEN_TOKEN", ""), person=options.person)
        seen = {day["date"]: day for day in box.days(first, last)}
        moods: dict[str, list[int]] = {}
        for one in box.checkins(first, last):
            if one["mood"] is not None:
                moods.setdefault(one["date"], []).append(one["mood"])
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{'day':<12}{'looked mostly like':<20}{'valence':>8}{'read':>10}{'mood':>6}")
    for number in range(last.day):
        day = (first + timedelta(number)).isoformat()
        found, said = seen.get(day), moods.get(day)
        if not found and not said:
            continue  # neither seen nor said: nothing is filled in
        looked = (found["expression"] or "too little read") if found else "not watched"
        known = found is not None and found["valence"] is not None
        valence = f"{found['valence']:+.2f}" if found and known else "–"
        minutes = f"{found['read_s'] // 60} min" if found else "–"
        mood = f"{sum(said) / len(said):.1f}" if said else "–"
        print(f"{day:<12}{looked:<20}{valence:>8}{minutes:>10}{mood:>6}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
