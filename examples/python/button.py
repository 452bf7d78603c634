#!/usr/bin/env python3
"""A check-in from a button, a key or a shell: one press, one mood. What cannot reach the box is
tried again under the same id, so that it is kept once. The token needs the scope `checkins`.

    MIEN_TOKEN=mien_… python button.py 4 [--activity walk] [--note TEXT] [--box http://localhost:8080]

With gpiozero on a Raspberry Pi:  Button(17).when_pressed = lambda: press(box, 4)
"""

import argparse
import os
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from datetime import datetime

from mien.client import ClientError, Mien

TRIES, WAIT_S = 5, 3.0


def press(
    box: Mien,
    mood: int,
    activities: Sequence[str] = (),
    note: str = "",
    wait: Callable[[float], object] = time.sleep,
) -> dict[str, object]:
    """Keep a check-in of this moment, also where the box answers only later."""
    id, now = str(uuid.uuid4()), datetime.now().astimezone()
    for left in reversed(range(TRIES)):
        try:
            return box.check_in(mood, activities=activities, note=note, at=now, id=id)
        except ClientError as error:
            if error.status is not None or not left:  # a refusal stays one
                raise
            wait(WAIT_S)
    raise AssertionError("the last try returned or raised")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("mood", type=int, choices=range(1, 6), help="1 awful – 5 great")
    parser.add_argument("--activity", action="append", default=[])
    parser.add_argument("--note", default="")
    parser.add_argument("--box", default="http://localhost:8080", metavar="ADDRESS")
    options = parser.parse_args()
    try:
        box = Mien(options.box, os.environ.get("MIEN_TOKEN", ""))
        kept = press(box, options.mood, options.activity, options.note)
    except ClientError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"kept: mood {kept['mood']}, {kept['at']}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
