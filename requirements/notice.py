"""Writes into NOTICE the packages that a box holds, each with its licence: `make notice`."""

import re
import sys
from pathlib import Path

from packaging.utils import canonicalize_name

from mien import build

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import lock  # noqa: E402

NOTICE = HERE.parent / "NOTICE"
HEADING = "An installed box holds these packages, unchanged, under their own licences:\n"


def packages() -> dict[str, str]:
    """Return the licence of each package of the box's lock that is installed here, by its name."""
    locked = {
        canonicalize_name(name)
        for machine in lock.machines()
        for name in lock.pinned(HERE / "box.txt", machine)
    }
    return {
        each.name: each.licence
        for each in build.components()
        if canonicalize_name(each.name) in locked
    }


def written() -> dict[str, str]:
    """Return the packages and licences that stand in NOTICE."""
    part = NOTICE.read_text().partition(HEADING)[2]
    return dict(re.findall(r"^- ([^:\n]+): (.+)$", part, re.M))


def main() -> None:
    """Write the list anew at the end of NOTICE."""
    before = NOTICE.read_text().partition(HEADING)[0]
    rows = "".join(f"- {name}: {licence}\n" for name, licence in packages().items())
    NOTICE.write_text(f"{before}{HEADING}\n{rows}")


if __name__ == "__main__":
    main()
