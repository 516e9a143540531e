"""Makes the formulas written out (`loss_oracles`, `pair_oracles`) and `pair_problem` importable for the tests
beside it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
