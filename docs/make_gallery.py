"""Makes docs/gallery.md and its pictures from finished studies: every kind of figure and table, with its command.

    python docs/make_gallery.py --results results

takes a folder with the results of the shipped studies that it names (`--list` prints them). `--only NAME` makes one
picture, `--only page` the text.
"""

import argparse
import shlex
from dataclasses import dataclass
from pathlib import Path

from pages import DOCS, beside, fenced, output, picture

PAGE = DOCS / "gallery.md"
PICTURES = DOCS / "gallery"


@dataclass(frozen=True)
class Entry:
    """One figure or table of the page.

    Attributes:
        name: of its heading, and of its picture.
        command: what makes it.
        shows: a sentence or two.
        papers: the figures of papers that it corresponds to.
        shown: how output stands on the page: "markdown" as it is, "table" without its footnotes, "" as in a terminal,
            else in a block of that language; None for a picture.
        lines: of the output that are shown; all where 0.
    """

    name: str
    command: str
    shows: str
    papers: str = ""
    shown: str | None = None
    lines: int = 0

    @property
    def file(self) -> str:
        return self.name.lower().replace(" ", "-").replace(",", "").replace("@", "-at-") + ".png"


PS, MEMVIR, L2A, PA = "Proxy Synthesis", "MemVir", "L2A", "Proxy Anchor"
CCP, TRANSFER, LOG = "CCP", "embedding transfer", "log-ratio"
RUNS = {"MemVir": "474543e1", "PS": "55c2ad50", "L2A": "68635fcb"}
"""Runs of `synthetic_space`: names of runs are hashes of their configurations, and the same everywhere."""

FIGURES = (
    Entry(
        "Heatmap",
        "dml-study plot cub200_2010 --kind heatmap",
        "Every pair of two compared parameters, with the spread over seeds; `--show difference` for differences to the "
        "baseline. Here the synthesis ratio and the mixup alpha of two losses.",
        f"{PS}: ratio × alpha. {PA}: scale × margin. {TRANSFER}: sigma × delta",
    ),
    Entry(
        "Heatmap of steps and gap",
        "dml-study plot memvir_steps_gap --kind heatmap",
        "The same for MemVir's N past steps and the gap M between them.",
        f"{MEMVIR}: N × M",
    ),
    Entry(
        "Contours",
        "dml-study plot ccp_proxies_lambda --kind contours --x strategy.proximal_weight --y strategy.proxies_per_class "
        "--metric val_map_at_r",
        "Between the settings of a search or of an irregular grid. Here proxies per class and the pull to the last "
        "solution.",
        f"{CCP}: supplement, Fig. 3",
    ),
    Entry(
        "Learning curves",
        "dml-study plot all_syntheses --kind curves --metric recall_at_1 --method norm-softmax --method "
        '"norm-softmax + proxy_synthesis" --method "norm-softmax + virtual_softmax"',
        "By epoch, mean over seeds with its 95 % interval, on validation classes; `--metric test_recall_at_1` where a "
        "protocol looks at test classes every time, as the papers' do.",
        f"{PS}: curves of its repository",
    ),
    Entry(
        "Learning curves by steps",
        'dml-study plot ccp_losses --kind curves-steps --method C2 --method "C2 + CCP" --method C1 --method "C1 + CCP"',
        "The same by steps of the optimizer.",
        f"{CCP}: convergence",
    ),
    Entry(
        "Learning curves by time",
        "dml-study plot all_syntheses --kind curves-time --metric recall_at_1 --method norm-softmax --method "
        "soft-triple "
        "--method proxy-anchor --method multi-similarity",
        "The same by seconds, minutes or hours of training and evaluation.",
        f"{PA}: Recall@1 over minutes",
    ),
    Entry(
        "Sensitivity",
        "dml-study plot batch_and_dimension --kind sensitivity --x training.batch_size",
        "One compared parameter along the axis, a line per method. `--x embedding_dim`, `--x training_set.label_noise` "
        "and so on for others.",
        f"{CCP}: supplement, Fig. 4. {PA}: batch size, embedding dimension. {L2A}: number of classes",
    ),
    Entry(
        "Metric against k",
        "dml-study plot coil99_angle --kind at-k --metric label_distance",
        "Recall@k, or here the mean label distance of the k nearest.",
        f"{LOG}: mean label distance and nDCG by K",
    ),
    Entry(
        "Robustness",
        "dml-study plot deformations --kind robustness --metric recall_at_1",
        "A metric on deformed test images, the same deformations for every model.",
        f"{PS}: robustness to deformed inputs",
    ),
    Entry(
        "Forest",
        "dml-study plot l2a_terms --kind forest",
        "The difference of every method to its baseline, with its paired interval; claims with their tests.",
        f"Ablations of {L2A}, {PS}, {MEMVIR} and {TRANSFER}, with how sure they are",
    ),
    Entry(
        "Bars",
        "dml-study plot shape_sets --kind bars --spread std",
        "Every method on every dataset, three of them to a picture: here the first.",
        f"{TRANSFER}: students beside other methods",
    ),
    Entry(
        "Gap to the teacher",
        "dml-study plot transfer_settings --kind teacher-gap",
        "Every student between the same network without transfer and its teacher.",
        f"{TRANSFER}: student dimension",
    ),
    Entry(
        "Timelines",
        "dml-study plot memvir_steps_gap --kind timelines",
        "What a method does by epoch, under the learning curve: here how MemVir's number of classes grows.",
        f"{MEMVIR}: curriculum of virtual classes",
    ),
    Entry(
        "Timelines of chance constraints",
        'dml-study plot ccp_losses --kind timelines --method "C2 + CCP" --method "C1 + CCP"',
        "The same for CCP: each new draw of proxies, the covering radius and the distance of classes.",
        f"{CCP}: supplement, Figs. 1 and 2",
    ),
    Entry(
        "Search history",
        "dml-study plot reality_check_cars196 --kind search-history",
        "What each setting of a search reached, and the best so far.",
    ),
    Entry(
        "Importance",
        "dml-study plot reality_check_cars196 --kind importance",
        "How much of the differences each searched or compared parameter explains.",
    ),
    Entry(
        "Parallel coordinates",
        "dml-study plot reality_check_cars196 --kind parallel --method proxy-anchor",
        "Settings as lines through the values of their parameters.",
        f"{CCP}: its Bayesian search",
    ),
    Entry(
        "Performance profiles",
        "dml-study plot shape_sets --kind profiles",
        "How often each method comes how near the best one, over datasets and seeds.",
    ),
    Entry(
        "Critical difference",
        "dml-study plot shape_sets --kind critical-difference",
        "Mean ranks over six datasets or more, with Nemenyi's test; refused below six.",
    ),
    Entry(
        "Cost",
        "dml-study plot cub200_2010_finetuned --kind cost",
        "Quality over training time, or over another cost (`--x`), with the Pareto front.",
        f"{PA}: training cost. {CCP}: its overhead",
    ),
)

MAPS = (
    Entry(
        "Map of seen, synthetic and unseen classes",
        f"dml-study plot-run {RUNS['PS']} --results results/synthetic_space --kind map",
        "Embeddings and proxies in the plane (`--projection pca` for principal components), with what Proxy Synthesis "
        "mixes of the seen classes.",
        f"{PS}: t-SNE with synthetic classes",
    ),
    Entry(
        "Map with generated classes",
        f"dml-study plot-run {RUNS['L2A']} --results results/synthetic_space --kind map",
        "The same, with what the generator of L2A makes of novel classes.",
        f"{L2A}: novel against seen and unseen classes",
    ),
    Entry(
        "Map with virtual classes",
        f"dml-study plot-run {RUNS['MemVir']} --results results/synthetic_space --kind map",
        "The same, with the virtual classes of MemVir: the seen ones at past steps.",
        f"{MEMVIR}: virtual and actual classes",
    ),
    Entry(
        "Map of past steps",
        f"dml-study plot-run {RUNS['MemVir']} --results results/synthetic_space --kind steps",
        "Training images and proxies now and at MemVir's past steps, coloured by age.",
        f"{MEMVIR}: t-SNE by step",
    ),
    Entry(
        "Proxies",
        f"dml-study plot-run {RUNS['PS']} --results results/synthetic_space --kind proxies",
        "Cosines of class proxies, similar ones beside each other.",
    ),
    Entry(
        "Retrievals",
        f"dml-study plot-run {RUNS['PS']} --results results/synthetic_space --kind gallery",
        "Queries with their nearest neighbours, right and wrong.",
        f"Retrieval examples of {PA} and {LOG}",
    ),
    Entry(
        "Confusion",
        f"dml-study plot-run {RUNS['PS']} --results results/synthetic_space --kind confusion",
        "Which test classes are taken for which.",
    ),
)

FORMATS = (
    Entry("In the terminal", "dml-study table coil99_angle", "The default.", f"{LOG}: its comparison", shown=""),
    Entry(
        "Markdown",
        "dml-study table coil99_angle --format markdown",
        "For a README.",
        shown="markdown",
    ),
    Entry(
        "LaTeX",
        "dml-study table coil99_angle --format latex",
        "With booktabs, to be included in a paper.",
        shown="latex",
    ),
    Entry(
        "LaTeX that compiles alone",
        "dml-study table coil99_angle --format latex-document",
        "The same with what it takes around it.",
        shown="latex",
        lines=14,
    ),
    Entry("HTML", "dml-study table coil99_angle --format html", "A table for a page.", shown="html", lines=14),
    Entry(
        "HTML page",
        "dml-study table coil99_angle --format html-document",
        "A page of its own, with its style.",
        shown="html",
        lines=14,
    ),
    Entry("Typst", "dml-study table coil99_angle --format typst", "For Typst.", shown="typst"),
    Entry(
        "CSV",
        "dml-study table coil99_angle --format csv",
        "Every number by itself, with columns for the protocol.",
        shown="text",
        lines=3,
    ),
)

TABLES = (
    Entry(
        "Losses, with and without, by dataset",
        "dml-study table shape_sets --columns dataset,metric --metric recall_at_1 --show std --format markdown",
        "Keys as columns, in grouped headers.",
        f"{PS}: Table 6. {MEMVIR}: Table 4. {L2A}: losses with and without. {CCP}: Tables 1 and 2",
        "table",
    ),
    Entry(
        "Repeated runs",
        "dml-study table all_syntheses --show std,interval,n --mark second --metric recall_at_1 --metric map_at_r "
        "--format markdown",
        "Mean, standard deviation, 95 % interval and number of seeds; the second best underlined.",
        f"{PS} and {MEMVIR}: tables of their repositories",
        "table",
    ),
    Entry(
        "Ablation with check marks",
        "dml-study table l2a_terms --check synthesis --check synthesis.critic_weight --check synthesis.class_weight "
        "--check synthesis.divergence_weight --check synthesis.diversity_weight --metric map_at_r --format markdown",
        "A column for each part: what is on, and what is off.",
        f"{L2A}: its terms. {PS}, {MEMVIR}, {TRANSFER}: their parts",
        "table",
    ),
    Entry(
        "A parameter along the columns",
        "dml-study table batch_and_dimension --columns embedding_dim,metric --metric map_at_r --show std --format "
        "markdown",
        "One compared parameter as columns, the others as rows.",
        f"{PA}: embedding dimension. {TRANSFER}: student dimension. {LOG}: embedding dimension",
        "table",
    ),
    Entry(
        "Deformed images",
        "dml-study table deformations --metric recall_at_1 --metric recall_at_1_cutout_0.3 --metric "
        "recall_at_1_rotation_15 --metric recall_at_1_noise_0.2 --show std --format markdown",
        "A metric for each kind of deformation.",
        f"{PS}: robustness",
        "table",
    ),
    Entry(
        "Until it converged",
        "dml-study table ccp_losses --metric map_at_r --metric selected_epoch --metric selected_steps "
        "--show std --format markdown",
        "Epochs and steps up to the selected epoch; `selected_seconds` is the training time.",
        f"{CCP}: supplement, Table 3. {MEMVIR}: training length",
        "table",
    ),
    Entry(
        "Fold models, alone and together",
        "dml-study table reality_check_cars196 --columns readout,metric --metric map_at_r --show std --format markdown",
        "The mean of the single models, and their joined embeddings.",
        f"{CCP}: 128D and 512D",
        "table",
    ),
    Entry(
        "The best setting of each method",
        "dml-study table cub200_2010 --best val_map_at_r --sort map_at_r --format markdown",
        "One row per method, its setting chosen on validation classes; the best first.",
        "",
        "table",
    ),
    Entry(
        "Several studies",
        "dml-study table cub200_2010 cub200_2010_finetuned --merge --rows study,method --best val_map_at_r --metric "
        "map_at_r --format markdown",
        "Studies together, grouped; with `--merge`, rows that are the very same runs stand once.",
        "",
        "table",
    ),
    Entry(
        "Beside published numbers",
        "dml-study published --as-study results/ps-readme\n"
        "dml-study table results/ps-readme --with-published source=memvir-readme,base_loss=norm_softmax --metric "
        "best_test_recall_at_1 --format markdown",
        "Numbers of papers below, with their protocols, and never bold.",
        "Every table that quotes other papers",
        "table",
    ),
    Entry(
        "Published numbers",
        "dml-study published source=ps-readme",
        "What the papers report, queryable.",
        "",
        "",
        lines=12,
    ),
    Entry(
        "Comparisons in sentences",
        "dml-study compare coil99_angle --format markdown",
        "What every claim, or every difference to a baseline, came to.",
        "",
        "markdown",
    ),
)

SECTIONS = (
    ("Figures of a study", FIGURES),
    ("Figures of a run", MAPS),
    ("Formats of tables", FORMATS),
    ("Arrangements of tables", TABLES),
)
INTRODUCTION = """# Gallery

One of every kind of figure and table, each with the command that made it. All studies are shipped and small:
`dml-study run NAME` trains them in minutes on two CPU cores, the first lines of a study say what it needs, and
`python docs/make_gallery.py` makes this page from their results. Budgets are small and seeds are few: the page shows
what can be drawn, [results/](results) what came out. `dml-study plot STUDY --kind list` says which kinds a study has
data for; figures are written as PDF and PNG. Arrangements of tables are shown without the footnotes that stand below
each: what spreads and bold mean, the smallest detectable difference, the protocol.

"""

FURTHER = (
    (f"{PS}: ratio or alpha alone", "dml-study plot paper/ps_ratio_alpha --kind sensitivity --x synthesis.ratio"),
    (f"{PS}: other regularizers", "dml-study table paper/ps_regularizers"),
    (f"{PS}: batch size, number of synthetic classes", "dml-study plot paper/ps_batch_size --kind sensitivity"),
    (
        f"{PS}, {L2A}: wrong labels in training",
        "dml-study plot label_noise --kind sensitivity --x training_set.label_noise",
    ),
    (f"{MEMVIR}: curriculum, warm-up, which memory", "dml-study table memvir_parts --check synthesis"),
    (f"{MEMVIR}: training length", "dml-study plot paper/memvir_epochs --kind sensitivity --x training.epochs"),
    (f"{PA}: scale × margin", "dml-study plot proxy_anchor_margin_scale --kind heatmap --x loss.scale --y loss.margin"),
    (f"{PA}: backbones and input sizes", "dml-study table paper/proxy_anchor_backbone"),
    (f"{PA}: learning rate of proxies", "dml-study plot paper/proxy_lr --kind sensitivity"),
    (
        f"{L2A}: fewer classes in training",
        "dml-study plot class_count --kind sensitivity --x training_set.class_fraction",
    ),
    (f"{L2A}: dimension of the noise", "dml-study plot paper/l2a_noise --kind sensitivity"),
    (f"{CCP}: K × lambda as a search", "dml-study plot paper/ccp_proxies_lambda --kind contours"),
    (f"{CCP}: batch size, 128D and 512D", "dml-study plot paper/ccp_batch --kind sensitivity --x training.batch_size"),
    (f"{TRANSFER}: labels, normalisation, views", "dml-study table transfer_parts"),
    (f"{TRANSFER}: sigma × delta", "dml-study plot paper/transfer_sigma_delta --kind heatmap"),
    (f"{LOG}: loss × mining", "dml-study table paper/log_ratio_parts"),
)
"""Figures and tables of papers whose kind is above, on other studies."""


def main() -> None:
    """Makes the page, or one picture of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder with a results folder per study")
    parser.add_argument(
        "--only", metavar="NAME", action="append", help="make only this picture, or page; may be repeated"
    )
    parser.add_argument("--list", action="store_true", help="print the studies that it takes, and end")
    arguments = parser.parse_args()
    if arguments.list:
        print("\n".join(studies()))
        return
    with beside(arguments.results):
        for entry in (*FIGURES, *MAPS):
            if arguments.only is None or entry.name in arguments.only:
                picture(entry.command, PICTURES / entry.file)
                print(entry.name, flush=True)
        if arguments.only is None or "page" in arguments.only:
            PAGE.write_text(page(), encoding="utf-8")


def studies() -> list[str]:
    """Those that the commands of the page name, and the one whose runs it draws."""
    words = [
        word
        for _, entries in SECTIONS
        for entry in entries
        for word in shlex.split(entry.command.splitlines()[-1])[2:4]
    ]
    known = {file.stem for file in (DOCS.parent / "study" / "studies").glob("*.yaml")}
    return sorted({*words} & known | {"synthetic_space"})


def page() -> str:
    """The text of the page; tables are made anew."""
    parts = [INTRODUCTION]
    for title, entries in SECTIONS:
        parts += [f"## {title}\n\n", *(section(entry) for entry in entries)]
    return "".join([*parts, checklist()])


def section(entry: Entry) -> str:
    papers = f" Papers: {entry.papers}." if entry.papers else ""
    made = f"![{entry.name}](gallery/{entry.file})" if entry.shown is None else _printed(entry)
    return f"### {entry.name}\n\n{entry.shows}{papers}\n\n{fenced(entry.command, 'sh')}\n\n{made}\n\n"


def _printed(entry: Entry) -> str:
    lines = [line.rstrip() for line in output(entry.command).strip("\n").splitlines()]
    if entry.shown in ("markdown", "table"):
        return "\n".join(lines[: lines.index("")] if entry.shown == "table" else lines)
    if entry.lines and len(lines) > entry.lines:
        lines = [*lines[: entry.lines], "…"]
    return fenced("\n".join(lines), entry.shown or "text")


def checklist() -> str:
    """Which figure or table of a paper is made by which command."""
    rows = [
        (entry.papers, entry.command.splitlines()[-1]) for _, entries in SECTIONS for entry in entries if entry.papers
    ]
    lines = [f"| {papers} | `{command}` |" for papers, command in (*rows, *FURTHER)]
    head = "| figure or table | command |\n| :-- | :-- |\n"
    return f"## What the papers show\n\n{head}" + "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
