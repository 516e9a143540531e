"""What keeps tables of large ledgers fast: what is loaded, opened, listed. `benchmarks/table_10000.py` has times."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import stats
from study_in_memory import Study

from analysis.statistics.comparisons import _paired
from analysis.statistics.summaries import t_quantile
from trainables.ledger import Ledger

PROBE = """
import json, sys
events = []
def hook(event, arguments):
    if event in ("open", "os.scandir", "os.listdir"):
        events.append((event, str(arguments[0])))
sys.addaudithook(hook)
sys.argv = ["dml-study", "table", sys.argv[1], "--format", sys.argv[2]]
from study.cli import main
try:
    main()
except SystemExit as end:
    assert not end.code
opened = [path for event, path in events if event == "open" and path.endswith(".parquet")]
listed = [path for event, path in events if event != "open"]
print(json.dumps({"modules": sorted(sys.modules), "opened": opened, "listed": listed}), file=sys.stderr)
"""


@pytest.mark.parametrize("format_", ["markdown", "csv"])
def test_a_table_reads_runs_alone_and_loads_little(tmp_path: Path, format_: str) -> None:
    study = Study(seeds=range(6))
    base = study.add("base", [0.5, 0.51, 0.52, 0.5, 0.53, 0.51])
    other = study.add("other", [0.6, 0.61, 0.62, 0.6, 0.63, 0.62], baseline=base)
    for cell in (base, other):
        study.curve(cell, [[0.4, 0.5]] * 6)
    folder = study.write(tmp_path / "results")
    Ledger.open(folder).compact(minimum_parts=2)
    command = [sys.executable, "-c", PROBE, str(folder), format_]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    report = json.loads(done.stderr.splitlines()[-1])
    (opened,) = report["opened"]
    assert Path(opened).parent.name == "runs" and list((folder / "epochs").glob("*.parquet"))
    assert sum(Path(path).name == "runs" for path in report["listed"]) <= 6  # three looks of two listings each
    heavy = {"torch", "ray", "matplotlib", "scipy.stats", "statsmodels", "trainables.parts", "study.spec", "study.plan"}
    assert heavy.intersection(report["modules"]) == set()
    assert "pandas" in report["modules"] and "other" in done.stdout


@pytest.mark.parametrize("n", [2, 3, 5, 8, 47])
def test_paired_comparisons_are_those_of_scipy(n: int) -> None:
    rng = np.random.default_rng(n)
    first, second = rng.normal(0.3, 1, size=(20, n)), rng.normal(size=(20, n))
    expected = stats.ttest_rel(first, second, axis=1)
    low, high = expected.confidence_interval(0.9)
    found = _paired(first, second, 0.9)
    assert [each.p_value for each in found] == pytest.approx(expected.pvalue, rel=1e-10)
    assert [each.low for each in found] == pytest.approx(low, rel=1e-10, abs=1e-12)
    assert [each.high for each in found] == pytest.approx(high, rel=1e-10, abs=1e-12)
    assert t_quantile(0.95, n - 1) == pytest.approx(stats.t.ppf(0.975, n - 1), rel=1e-12)
