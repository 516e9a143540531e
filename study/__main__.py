"""`python -m study` is the command `dml-study`."""

from study.cli import main

main()
