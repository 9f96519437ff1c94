import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from pcdenoise.checkpoint import load_checkpoint, save_checkpoint
from pcdenoise.config import compose
from pcdenoise.datasets.surfaces import Surface, save

TOOL = Path(__file__).parents[2] / "tools" / "train_release.py"
SMALL = [
    "holdout=1", "network.channels=16", "network.blocks=[1,1,1]", "network.neighbours=12", "network.hops=1",
    "network.neighbourhoods=[4,12]",
    "patches.points=256", "patches.patches=2", "validation.resolution=2000", "validation.levels=[0.03]", "device=cpu",
    "trainer.max_steps=3", "validation.every=1", "log_every=1",
]  # fmt: skip
# what a bare GPU machine has not
WITHOUT = "hydra", "omegaconf", "open3d", "torch_geometric", "torch_cluster", "rich", "trimesh"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, sphere):
    """A small release, trained where nothing but torch, numpy, scipy and numba is installed."""
    folder = tmp_path_factory.mktemp("release")
    points = np.asarray(sphere[:2000], np.float32)
    save([Surface(name, {2000: (points, points)}) for name in ("one", "two")], folder / "release.npz")
    words = ["experiment=release", *SMALL, f"dataset.path={folder / 'release.npz'}", f"output={folder / 'run'}"]
    (folder / "release.json").write_text(json.dumps(compose("train", words)))
    program = (
        f"import runpy, sys; sys.modules.update(dict.fromkeys({WITHOUT})); "
        f"sys.argv = ['', 'train', '--recipe', {str(folder / 'release.json')!r}]; "
        f"runpy.run_path({str(TOOL)!r}, run_name='__main__')"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder, program


def test_a_bare_machine_trains_and_goes_on(trained):
    folder, program = trained
    assert (folder / "run" / "best.safetensors").is_file()
    assert len((folder / "run" / "validation.csv").read_text().splitlines()) == 4
    again = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "resumed at step 3" in again.stdout


def test_publishing_ships_the_best_weights_with_their_card(trained, tool, tmp_path, monkeypatch):
    folder, _ = trained
    monkeypatch.setattr(tool, "WEIGHTS", tmp_path / "flagship")
    tool.publish(folder / "run", tmp_path / "card.md", subset_sigma=1.5, polish=None, polish_subsets=None)
    ours, header = load_checkpoint(tmp_path / "flagship.safetensors")
    best, _ = load_checkpoint(folder / "run" / "best.safetensors")
    assert all(torch.equal(ours[name], value) for name, value in best.items())
    assert header["network"]["subset_sigma"] == 1.5
    assert header["provenance"]["recipe"]["network"]["subset_sigma"] != 1.5
    assert header["network"]["polish_subsets"] == header["provenance"]["recipe"]["network"]["polish_subsets"]
    card = (tmp_path / "card.md").read_text()
    provenance = json.loads((tmp_path / "flagship.json").read_text())
    for wanted in (
        "1 shapes: one",
        f"{provenance['parameters']:,}",
        "2 patches of 256 points",
        "began with | random",
        "in use | 1.5",
    ):
        assert wanted in card
    assert "average" not in card
    ones = {name: torch.ones_like(value) for name, value in best.items()}
    save_checkpoint(tmp_path / "flagship.safetensors", ones, {})
    tool.publish(folder / "run", tmp_path / "card.md", share=0.75)
    mixed, header = load_checkpoint(tmp_path / "flagship.safetensors")
    for name, value in best.items():
        torch.testing.assert_close(mixed[name], 0.75 * value + 0.25)
    assert header["provenance"]["share"] == 0.75
    assert "75% these" in (tmp_path / "card.md").read_text()
    assert sum(line.startswith(("| 1 |", "| 2 |", "| 3 |")) for line in card.splitlines()) == 3
