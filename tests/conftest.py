"""Makes tests/support importable: helpers that several tests, and their child processes, use."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "support"))
