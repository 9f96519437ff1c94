"""Say where the PU-Net shapes are kept, and verify an unpacked copy.

    python tools/fetch_pu_net.py              where to get them
    python tools/fetch_pu_net.py data/PUNet   what is there, what is missing, what is wrong

Exit code 1 where a folder is incomplete or wrong, or nothing is there. A folder that is absent as a whole, such as the
training split or the noisy clouds, is listed but is no error.
"""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from pcdenoise.datasets.pu_net import check_layout

WHERE = """\
The authors of Score-Denoise keep the data in a Google Drive folder, which the README of
https://github.com/luost26/score-denoise names under "Datasets":

    Download link: https://drive.google.com/drive/folders/1--MvLnP7dsBgBZiu46H0S32Y1eBa_j6P?usp=sharing
    Please extract `data.zip` to `data` folder.

Google Drive wants a browser: download data.zip by hand, unpack it, then verify the copy with

    python tools/fetch_pu_net.py data/PUNet

and use it with

    pcdenoise train dataset=pu_net dataset.root=data/PUNet
"""


def main() -> int:
    """Print the source, or check a folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, nargs="?", help="the folder PUNet of the unpacked data")
    options = parser.parse_args()
    console = Console()
    if options.root is None:
        console.print(WHERE, highlight=False, markup=False, soft_wrap=True)
        return 0
    with console.status("reading") as status:
        parts = check_layout(options.root, lambda done, of, name: status.update(f"{done} of {of}: {escape(name)}"))
    table = Table("folder", "files", "state", title=escape(str(options.root)))
    for part in parts:
        state = "absent" if part.found == 0 else "complete" if part.complete else "[bold]incomplete or wrong[/bold]"
        table.add_row(part.folder, f"{part.found} of {part.expected}", state)
    console.print(table)
    for part in parts:
        for problem in part.problems:
            console.print(f"{part.folder}: {problem}", markup=False, highlight=False, soft_wrap=True)
    found = [part for part in parts if part.found]
    if not found:
        console.print(f"{options.root} holds nothing of the PU-Net data; see tools/fetch_pu_net.py", markup=False)
    return 0 if found and all(part.complete for part in found) else 1


if __name__ == "__main__":
    sys.exit(main())
