"""What tests of `deploy/` share stands in `deploy_files.py` and `machines.py`."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
