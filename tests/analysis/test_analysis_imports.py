"""What `analysis` loads, and when."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from study_in_memory import Study

import analysis
from analysis import plots


def _modules_after(code: str) -> set[str]:
    check = "import sys; print('\\n'.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", f"{code}\n{check}"], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_import_is_light() -> None:
    loaded = _modules_after("import analysis")
    assert not loaded & {"torch", "ray", "pandas", "matplotlib", "scipy", "pyarrow", "numpy"}


@pytest.mark.parametrize("package", [analysis, plots])
def test_names_stay_what_they_are_once_their_modules_are_loaded(package: ModuleType) -> None:
    """A module `analysis.importance` would take the place of the function `analysis.importance`."""
    first = {name: getattr(package, name) for name in package.__all__}
    assert {name: getattr(package, name) for name in package.__all__} == first


def test_tables_and_figures_need_neither_torch_nor_ray_nor_pyplot(tmp_path: Path) -> None:
    study = Study(axes=["loss.scale", "synthesis.ratio"])
    study.add("a", [0.5, 0.6, 0.7], loss__scale=1, synthesis__ratio=0.5)
    folder = study.write(tmp_path / "results")
    loaded = _modules_after(
        f"import analysis; r = analysis.load({str(folder)!r}); analysis.render(analysis.comparison_table(r), 'latex')\n"
        "analysis.plots.save(analysis.plots.heatmap(r), r'" + str(tmp_path / "h.png") + "')"
    )
    assert {"pandas", "matplotlib"} <= loaded
    assert not loaded & {"torch", "ray", "matplotlib.pyplot"}
