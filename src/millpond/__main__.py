"""Lets `python -m millpond` be the command."""

from millpond.cli import main

main()
