"""What of an L2A configuration matters, and which runs are refused."""

from typing import Any

import pytest
from l2a_problem import OFF, Problem

from trainables.config import RunConfig
from trainables.synthesis.l2a_config import L2A as CONFIG


class TestConfig:
    def run(self, **synthesis: Any) -> RunConfig:
        return RunConfig.model_validate({"synthesis": {"name": "l2a", **synthesis}})

    def test_every_term_can_be_ticked_off(self) -> None:
        ids = {self.run(**{f"{term}_weight": weight}).run_id() for term in ("critic", "class") for weight in (0, 1)}
        ids |= {self.run(**{f"{term}_weight": 0}).run_id() for term in ("divergence", "diversity")}
        ids |= {self.run(generate=classes).run_id() for classes in ("seen", "both")}
        assert len(ids) == 7

    @pytest.mark.parametrize(
        ("fields", "idle"),
        [
            ({"critic_weight": 0}, {"critic_steps": 2, "gradient_penalty": 1, "critic_width": 8, "critic_depth": 1}),
            ({"divergence_weight": 0}, {"divergence_sharpness": 1}),
            ({"diversity_weight": 0}, {"diversity_clip": 1}),
            ({"generate": "seen"}, {"novel_ratio": 3, "divergence_weight": 1, "novel_proxies": "fixed"}),
            ({"ratio": 0}, {"samples_per_class": 5, "reduction": "separate", "generated_weight": 2}),
            ({"refresh": "step"}, {"refresh_every": 4}),
            ({}, {"generated_weight": 2}),
            (OFF, {"generator_lr": 1, "refresh": "step", "generator_steps": 3, "generator_batch_size": 4}),
        ],
    )
    def test_what_cannot_matter_is_dropped(self, fields: dict[str, Any], idle: dict[str, Any]) -> None:
        expected = self.run(**fields)
        for key, value in idle.items():
            assert self.run(**fields, **{key: value}).run_id() == expected.run_id()

    def test_dropped_fields_change_no_number(self) -> None:
        for fields, idle in [
            ({"critic_weight": 0}, {"critic_width": 3, "critic_steps": 1}),
            ({"generate": "seen"}, {"novel_ratio": 3, "divergence_weight": 1, "novel_proxies": "fixed"}),
            ({"reduction": "separate", "generated_weight": 0}, {"ratio": 0}),
        ]:
            assert Problem(**fields).epoch(0) == Problem(**{**fields, **idle}).epoch(0)

    def test_nothing_generated_of_nothing_novel_is_no_synthesis(self) -> None:
        plain = RunConfig().run_id()
        assert self.run(generate="seen", ratio=0).run_id() == plain
        assert self.run(generate="seen", reduction="separate", generated_weight=0).run_id() == plain
        assert self.run(ratio=0).run_id() != plain

    def test_impossible_runs_are_refused_with_what_is_possible(self) -> None:
        with pytest.raises(ValueError, match=r"warmup_epochs 20 leaves l2a no epoch .* at most 19"):
            self.run(warmup_epochs=20)
        with pytest.raises(ValueError, match=r"ratio 0\.001 is no row of training.batch_size 128; .* 0\.0039"):
            self.run(ratio=0.001)

    def test_counts(self) -> None:
        config = CONFIG(novel_ratio=0.25, ratio=0.5)
        assert [config.novel_classes(classes) for classes in (1, 10, 98)] == [1, 2, 24]
        assert [config.generated_rows(size) for size in (1, 5, 128)] == [1, 3, 64]
        assert CONFIG(generate="seen").novel_classes(10) == 0
        assert CONFIG(warmup_epochs=3).grace_epochs == 4
