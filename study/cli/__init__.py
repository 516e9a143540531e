"""The command line. Commands import what they need when they run: `--help` and `plan` load neither torch nor ray."""

import sys

from trainables.errors import DmlStudyError

__all__ = ["main"]


def main() -> None:
    """Entry point of the command `dml-study`.

    It ends with 0 done, 1 something failed or differs, 2 bad input, 3 the budget is reached, 75 out of time (the same
    command goes on), 130 stopped by a signal.
    """
    from study.cli.app import app

    try:
        app(prog_name="dml-study")
    except DmlStudyError as error:
        sys.exit(_complain(error))
    except KeyboardInterrupt:
        sys.exit(130)


def _complain(error: DmlStudyError) -> int:
    from rich.console import Console

    from trainables.ledger.errors import StorageGoneError

    console = Console(stderr=True, soft_wrap=True)
    console.print("[bold red]error:[/] ", end="")
    console.print(str(error), markup=False, highlight=False)
    return 1 if isinstance(error, StorageGoneError) else 2
