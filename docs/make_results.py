"""Makes docs/results/NAME.md and its pictures from the results of the shipped studies that the README cites.

    python docs/make_results.py --results results

takes a folder with their results. `--only NAME` makes one page.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pages import DOCS, beside, fenced, output, picture

import analysis
from study.studies import shipped

FOLDER = DOCS / "results"


@dataclass(frozen=True)
class Report:
    """One study.

    Attributes:
        title: of the page.
        found: what came out, in a few sentences.
        table: what follows `dml-study table NAME`.
        figures: a caption and what follows `dml-study plot NAME` of each.
        compare: what follows `dml-study compare NAME`.
    """

    study: str
    title: str
    found: str
    figures: Sequence[tuple[str, str]]
    table: str = ""
    compare: str = ""


REPORTS = (
    Report(
        "cub200_2010",
        "Birds, a linear head on frozen ImageNet features",
        "Training the head wins on MAP@R and R-precision over the untrained embedding and leaves Recall@1 about "
        "where it "
        "was. Proxy Synthesis adds a little to norm-softmax, the more the higher ratio and alpha, and takes a little "
        "from "
        "Proxy Anchor. Images have 112 px: not comparable with published numbers of CUB.",
        (
            ("MAP@R by ratio and alpha", "--kind heatmap"),
            ("Difference to the loss alone", "--kind forest"),
            ("Validation classes by epoch", "--kind curves"),
        ),
    ),
    Report(
        "cub200_2010_finetuned",
        "Birds, the whole network trained",
        "Fine-tuning MobileNetV2 for 5 epochs at 129 px takes Recall@1 from 38.8 for the untrained features and 39 "
        "for a "
        "trained head on them to 45 and 46, and MAP@R up by a third and more. Proxy Synthesis at ratio and alpha 1 "
        "changes "
        "nothing here.",
        (
            ("Difference to the frozen network", "--kind forest"),
            ("What it costs", "--kind cost"),
            ("Recall@k", "--kind at-k"),
        ),
    ),
    Report(
        "reality_check_cars196",
        "Cars, five losses tuned alike",
        "Frozen ImageNet features of the training half of Cars-196 at 129 px (not comparable with published "
        "numbers), in "
        'the manner of "A Metric Learning Reality Check": eight settings of each loss on four folds, the best with '
        "five new "
        "seeds on four folds, test classes seen once. Once all are tuned, the old contrastive loss is level with the "
        "proxy "
        "losses on the mean of the single models (`mean_128`); joined (`concat_512`), the models of multi-similarity "
        "and "
        "Proxy Anchor gain most.",
        (
            ("Every loss, single models and joined", "--kind bars"),
            ("The searches", "--kind search-history"),
            ("What mattered in them", "--kind importance"),
        ),
    ),
    Report(
        "all_syntheses",
        "Every synthesis, four proxy losses and a pair loss",
        "Virtual softmax adds four points of MAP@R to each of the three cross entropies, mixups one to three; Proxy "
        "Synthesis adds a little to the cross entropies and takes from Proxy Anchor; MemVir and L2A change little in "
        "these "
        "fifteen epochs (MemVir's own protocol has 2000). Proxy Anchor has no logits that virtual softmax could add "
        "one "
        "to: that combination is refused with the reason.",
        (
            ("Difference to the loss alone", "--kind forest"),
            (
                "Validation classes by epoch, for one of the losses",
                "--kind curves --method norm-softmax "
                + " ".join(
                    f'--method "norm-softmax + {name}"'
                    for name in ("proxy_synthesis", "memvir", "l2a", "input_mixup", "virtual_softmax")
                ),
            ),
        ),
    ),
    Report(
        "transfer_settings",
        "What a student learns from a teacher's relations",
        "A 64-dimensional conv4 with Proxy Anchor teaches its equal, a 16-dimensional student, and one of half the "
        "width "
        "with 16 dimensions. Every student waits for the teacher of its seed. Small students gain three to six "
        "points of "
        "MAP@R from the relaxed losses and PKT; an equal one gains from PKT, if at all.",
        (
            ("Between the same network without transfer and the teacher", "--kind teacher-gap"),
            ("Difference to the same network without transfer", "--kind forest"),
        ),
    ),
    Report(
        "coil99_angle",
        "Viewing angles of unseen objects",
        "Continuous labels: the mean angle error of the ten nearest views of the same object, in degrees; 90 is "
        "chance, "
        "about 15 the best possible with views every 5 degrees. All three losses take some ten degrees off the "
        "untrained "
        "network.",
        (
            ("Mean angle error of the k nearest", "--kind at-k --metric label_distance"),
            ("Validation objects by epoch", "--kind curves --metric label_distance_at_10"),
        ),
        table="--metric label_distance_at_10 --metric ndcg_at_10",
    ),
)


def main() -> None:
    """Makes all pages, or one."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with a results folder per study")
    parser.add_argument("--only", metavar="NAME", action="append", help="make only this page; may be repeated")
    arguments = parser.parse_args()
    with beside(arguments.results):
        for report in REPORTS:
            if arguments.only is None or report.study in arguments.only:
                for number, (_, options) in enumerate(report.figures, start=1):
                    picture(f"dml-study plot {report.study} {options}", FOLDER / image(report, number))
                (FOLDER / f"{report.study}.md").write_text(page(report), encoding="utf-8")
                print(report.study, flush=True)


def image(report: Report, number: int) -> str:
    return f"{report.study}-{number}.png"


def commands(report: Report) -> list[str]:
    """What made the page, in order."""
    study = report.study
    return [
        f"dml-study run {study}",
        *(f"dml-study plot {study} {options}" for _, options in report.figures),
        f"dml-study table {study} {report.table}".rstrip() + " --format markdown",
        f"dml-study compare {study} {report.compare}".rstrip() + " --format markdown",
    ]


def page(report: Report) -> str:
    """The text of a page; table, sentences and facts come from the ledger."""
    *_, table, compare = commands(report)
    pictures = [
        f"![{caption}]({image(report, number)})\n\n*{caption}.*"
        for number, (caption, _) in enumerate(report.figures, start=1)
    ]
    parts = [
        f"# {report.title}",
        question(report.study),
        report.found,
        "## Table",
        output(table).strip(),
        "## Figures",
        *pictures,
        "## Comparisons",
        output(compare).strip(),
        "## How it was made",
        facts(report.study),
        fenced("\n".join(commands(report)), "sh"),
        f"Values are in percent unless a unit is named, differences in points. [The study]({_spec(report.study)}) is "
        "shipped; `python docs/make_results.py` makes this page.",
    ]
    return "\n\n".join(parts) + "\n"


def _spec(study: str) -> str:
    return f"../../study/studies/{study}.yaml"


def question(study: str) -> str:
    """The comment that the study starts with."""
    lines = shipped()[study].read_text(encoding="utf-8").splitlines()
    comment = [line.removeprefix("#").strip() for line in lines if line.startswith("#")]
    text = " ".join(comment[: next(number for number, line in enumerate(lines) if not line.startswith("#"))])
    return "> " + text


def facts(study: str) -> str:
    """Runs, machine and versions, from the rows of the ledger."""
    runs = analysis.load(f"results/{study}").runs
    states = ", ".join(f"{count} {state}" for state, count in runs["status"].value_counts().items())
    kinds = zip(runs["device"], runs["device_name"], strict=True)
    devices = ", ".join(sorted({f"{device} ({name})" for device, name in kinds}))
    versions: dict[str, set[str]] = {}
    for text in runs["versions"].unique():
        for package, version in json.loads(text).items():
            versions.setdefault(package, set()).add(version)
    packages = ", ".join(f"{name} {' and '.join(sorted(found))}" for name, found in sorted(versions.items()))
    hours = runs["wall_seconds"].sum() / 3600
    return (
        f"{len(runs)} runs ({states}), {hours:.1f} hours of run time in all, {runs['started_at'].min():%Y-%m-%d}. "
        f"Device: {devices}. Versions: {packages}."
    )


if __name__ == "__main__":
    main()
