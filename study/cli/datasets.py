"""`datasets`: what there is, how to get it, whether a copy of it is whole, and what its images look like."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from study.cli import options

if TYPE_CHECKING:
    from study.bars import DataBars
    from trainables.datasets.config import DatasetConfig

app = typer.Typer(help="Datasets: what there is, whether a copy is whole, what it looks like.", no_args_is_help=True)

Dataset = Annotated[
    str,
    typer.Argument(
        metavar="DATASET",
        help="Its name, the name that --spec or a shipped study gives it, or a folder, zip or CSV file of images.",
    ),
]
Spec = Annotated[str | None, typer.Option("--spec", metavar="SPEC", help="A study whose `datasets` are meant.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", "-s", metavar="KEY=VALUE", help="A field of the dataset, such as path=...; may be repeated."),
]


@app.command("list")
def list_(spec: Spec = None) -> None:
    """List the datasets of the package and of studies (--spec or shipped): what they need, and whether it is there."""
    from rich.table import Table
    from rich.text import Text

    from study.cli.common import console_out
    from study.cli.dataset_choice import shipped_datasets, spec_datasets
    from study.studies import find_spec
    from trainables.attribute_docs import attribute_docs
    from trainables.datasets.catalog import data_folders
    from trainables.datasets.config import DATASETS

    file = None if spec is None else find_spec(spec)
    named = shipped_datasets() if file is None else spec_datasets(file)
    folders = data_folders(None if file is None else file.absolute().parent)
    table = Table("name", "what", "needs", "download", "found", box=None, padding=(0, 2, 0, 0), header_style="bold")
    for name, cls in DATASETS.items():
        field = cls.model_fields.get("path")
        path = "" if field is None or field.is_required() else str(field.default)
        needs = "nothing" if field is None else f"{path or 'path'}: {attribute_docs(cls).get('path', '')}"
        table.add_row(
            name, _summary(cls.__doc__), Text(needs), _download(name), "yes" if field is None else _found(path, folders)
        )
    for name, fields in named.items():
        if spec is None and name in DATASETS:
            continue
        path = str(fields.get("path", ""))
        table.add_row(
            name,
            f"{fields['name']}, in {spec or 'shipped studies'}",
            Text(path or "nothing"),
            "",
            _found(path, folders),
        )
    console_out().print(table)
    typer.echo(f"looked in {', '.join(map(str, folders))}; $DML_STUDY_DATA names the folder of your images")


def _download(name: str) -> str:
    """Whether `prepare` can fetch it."""
    from trainables.datasets.archives import ARCHIVES

    return "" if name not in ARCHIVES else "yes" if ARCHIVES[name].downloadable else "by hand"


def _summary(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split())


def _found(path: str, folders: list[Path]) -> str:
    return "" if not path else next((str(folder / path) for folder in folders if (folder / path).exists()), "no")


@app.command()
def prepare(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="A public dataset, or the name that --spec gives it.")
    ],
    from_: Annotated[
        list[Path] | None,
        typer.Option("--from", metavar="FILE|FOLDER", help="Archives, or where they lie; may be repeated."),
    ] = None,
    download: Annotated[bool, typer.Option("--download", help="Fetch archives that are nowhere.")] = False,
    into: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Data folder to make it in; $DML_STUDY_DATA or ./data by default."),
    ] = None,
    checksum: Annotated[
        str,
        typer.Option(
            metavar="published|any",
            callback=options.one_of("published", "any"),
            help="any: take archives with another checksum than the published one.",
        ),
    ] = "published",
    spec: Spec = None,
    set_: Set = None,
) -> None:
    """Make the folder of a public dataset from its official archives, which --download fetches if need be."""
    from study.cli.dataset_choice import chosen_dataset
    from study.cli.dataset_preparation import prepare_dataset

    config, search = chosen_dataset(dataset, spec=spec, settings=set_ or ())
    prepare_dataset(
        config,
        search=search,
        sources=from_ or (),
        into=into,
        missing="download" if download else "refuse",
        checksums="any" if checksum == "any" else "published",
    )


@app.command()
def verify(dataset: Dataset, spec: Spec = None, set_: Set = None, cache: options.Cache = None) -> None:
    """Read every image of a dataset, and its copies in the cache; report counts of each split and what is damaged."""
    from study.bars import DataBars
    from study.cli.common import cache_folder
    from study.cli.dataset_choice import chosen_dataset
    from study.cli.dataset_report import report
    from trainables.datasets.cached_copies import verify_copies
    from trainables.datasets.inspection import inspect_dataset

    config, search = chosen_dataset(dataset, spec=spec, settings=set_ or ())
    folder = cache_folder(cache)
    with DataBars() as bars:
        found = inspect_dataset(config, search=search, cache=folder, progress=bars)
    report(found)
    if not found.whole or found.resolved is None:
        raise typer.Exit(1)
    if copies := verify_copies(found.resolved, cache=folder):
        typer.echo(f"copies of it in the image cache: {copies}, and every pixel is as it was decoded")


@app.command()
def show(
    dataset: Dataset,
    spec: Spec = None,
    set_: Set = None,
    output: Annotated[Path | None, options.output("FILE.png", "`<dataset>.png` by default.")] = None,
    classes: Annotated[int, typer.Option(min=1, max=100, help="Classes of each split, a row each.")] = 5,
    images: Annotated[int, typer.Option(min=1, max=100, help="Images of each class.")] = 8,
    cache: options.Cache = None,
) -> None:
    """Draw a sheet of sample images, as they are after decoding, to a PNG file."""
    from study.bars import DataBars
    from study.cli.dataset_sheet import write_sheet
    from trainables.datasets.samples import sample_rows
    from trainables.datasets.source import UnreadableImageError
    from trainables.errors import DataError

    with DataBars() as bars:
        config = _resolved(dataset, spec, set_, cache, bars)
    try:
        rows = sample_rows(config, classes=classes, images=images)
    except UnreadableImageError as error:
        raise DataError(f"{error}; `dml-study datasets verify` finds all that cannot be read") from error
    path = output or Path(f"{Path(dataset).stem}.png")
    write_sheet(path, rows, title=f"{config.title}, revision {config.revision}")
    typer.echo(f"wrote {path}")


def _resolved(
    name: str, spec: str | None, settings: list[str] | None, cache: Path | None, progress: "DataBars"
) -> "DatasetConfig":
    from study.cli.common import cache_folder
    from study.cli.dataset_choice import chosen_dataset
    from trainables.datasets.catalog import resolve

    config, search = chosen_dataset(name, spec=spec, settings=settings or ())
    return resolve(config, search=search, cache=cache_folder(cache), progress=progress)
