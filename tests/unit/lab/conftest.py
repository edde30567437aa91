# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab is a program of its own beside the collection: put its modules on the path."""

import sys
from pathlib import Path

LAB = Path(__file__).resolve().parents[3] / "lab"
for directory in (LAB, LAB / "writer", LAB / "seed"):
    sys.path.insert(0, str(directory))
