"""`python -m pcdenoise` is the command line."""

import sys

from pcdenoise.cli.main import main

sys.exit(main())
