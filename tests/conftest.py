"""Lets the tests import the helpers beside them: `mosquitto`, `proxy`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
