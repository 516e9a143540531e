"""What docs/search.md shows plans, together with the README's smallest study."""

import re
from pathlib import Path

import yaml

from study.plan import build_plan
from study.spec import load_spec

ROOT = Path(__file__).resolve().parents[1]


def blocks(name: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_seeds_until_claims_are_settled(tmp_path: Path, private_cache: Path) -> None:
    (snippet,) = blocks("docs/search.md")
    study = yaml.safe_load(blocks("README.md")[0]) | yaml.safe_load(snippet)
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(study, sort_keys=False, allow_unicode=True))
    plan = build_plan(load_spec(tmp_path / "spec.yaml"), cache=private_cache)
    assert plan.settling is not None
    assert len(plan.settling.standings) == 9
    assert {len(cell.replicates) for cell in plan.cells if cell.method != "untrained"} == {5}
