"""The reliability scorecard: promises, each tried as often as its row says."""

import sys
from pathlib import Path

# The makers of small data sets are the tests'.
sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))
