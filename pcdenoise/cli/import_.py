"""Convert published weights into weights that `denoise` takes.

Known are checkpoints of Score-Denoise (Luo and Hu, ICCV 2021), https://github.com/luost26/score-denoise:
  pcdenoise import score-denoise ckpt.pt -o luo_hu.safetensors
  pcdenoise denoise scan.ply --model luo_hu.safetensors
"""

import argparse
import os
from pathlib import Path

AFTER_INTERRUPT = "no file is half written"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("source", choices=("score-denoise",), metavar="SOURCE", help="whose weights: score-denoise")
    parser.add_argument("checkpoint", type=Path, metavar="CHECKPOINT", help="the file that the authors published")
    parser.add_argument("-o", "--output", type=Path, metavar="OUT", help="default: CHECKPOINT with .safetensors")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(options: argparse.Namespace) -> None:
    """Read, convert, write."""
    output = options.output or options.checkpoint.with_suffix(".safetensors")
    _check_target(output, overwrite=options.overwrite)

    import hashlib

    from pcdenoise.checkpoint import save_checkpoint
    from pcdenoise.networks.compat.luo_hu import LuoHu
    from pcdenoise.networks.compat.score_denoise import read_score_denoise

    network, arguments = read_score_denoise(options.checkpoint)
    header = {
        "network": {"_target_": f"{LuoHu.__module__}.{LuoHu.__qualname__}", **arguments},
        # how the authors follow the field
        "sampler": {"_target_": "pcdenoise.samplers.ascent.Ascent", "steps": 30, "step": 0.2, "decay": 0.95},
        "provenance": {
            "source": "https://github.com/luost26/score-denoise",
            "citation": "Luo and Hu, Score-Based Point Cloud Denoising, ICCV 2021",
            "licence": "MIT, Copyright (c) 2021 Shitong Luo",
            "file": options.checkpoint.name,
            "sha256": hashlib.sha256(options.checkpoint.read_bytes()).hexdigest(),
        },
    }
    save_checkpoint(output, network.state_dict(), header)
    print(f"written  {output}")


def _check_target(path: Path, *, overwrite: bool) -> None:
    from pcdenoise.errors import OutputError

    if path.suffix != ".safetensors":
        raise OutputError(f"{path} is no name for weights; end it in .safetensors")
    if path.is_dir():
        raise OutputError(f"{path} is a directory; name a file in it")
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists; choose another name or add --overwrite")
    folder = Path(os.path.realpath(path)).parent
    if not folder.is_dir():
        raise OutputError(f"the folder {folder} does not exist; create it first")
    if not os.access(folder, os.W_OK):
        raise OutputError(f"the folder {folder} is not writable; choose another or change its permissions")
