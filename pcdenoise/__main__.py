"""`python -m pcdenoise` is the command line."""

from pcdenoise.cli.main import program

program()
