import csv
import json
import subprocess
import time

import numpy as np
import pytest
import torch

from pcdenoise.checkpoint import load_checkpoint

TINY = [
    "dataset.count=3", "dataset.resolutions=[2000]", "dataset.meshes=false", "holdout=1", "network.channels=16",
    "network.blocks=[1,1]", "network.neighbours=12", "network.neighbourhoods=[4,12]", "patches.points=256",
    "patches.patches=1", "validation.resolution=2000", "validation.levels=[0.03]", "device=cpu", "log_every=1",
]  # fmt: skip


def test_show_prints_the_configuration_and_stops(cli, folder):
    result = cli("train", "--show", "trainer.max_steps=7")
    assert (result.code, result.err) == (0, "")
    config = json.loads(result.out)
    assert config["trainer"]["max_steps"] == 7
    assert not list(folder.iterdir())


def test_train_go_on_and_use_the_weights(cli, folder, scan, refused):
    result = cli("train", *TINY, "trainer.max_steps=2", "output=runs/a")
    assert result.code == 0, result.err
    assert result.out == "best weights: runs/a/best.safetensors\n"
    assert "step 1 of 2: loss" in result.err
    assert "peak memory " in result.err
    assert "waited for data " in result.err
    assert "\x1b" not in result.err

    refused(2, ["already holds a run", "resume=auto"], "train", *TINY, "trainer.max_steps=4", "output=runs/a")
    refused(5, "another architecture", "train", *TINY, "output=runs/a", "resume=auto", "network.channels=8")

    result = cli("train", *TINY, "trainer.max_steps=4", "output=runs/a", "resume=auto")
    assert result.code == 0, result.err
    assert "resumed at step 2" in result.err
    with (folder / "runs/a/steps.csv").open(newline="") as file:
        assert [row["step"] for row in csv.DictReader(file)] == ["1", "2", "3", "4"]

    assert cli("denoise", scan, "--model", "runs/a/best.safetensors").code == 0
    assert cli("info", scan, "--model", "runs/a/last.safetensors").code == 0


@pytest.mark.parametrize(
    ("code", "words", "facts"),
    [
        (2, ["holdout=99"], "holdout=99"),
        (2, ["device=tpu"], "auto, cpu or cuda"),
        (2, ["trainer.nonsense=1"], "nonsense"),
        (2, ["dataset=nonsense"], "nonsense"),
        (5, ["resume=nowhere.safetensors"], "nowhere.safetensors"),
        (2, ["loss=dsm,ncsn"], "add --multirun"),
        (2, ["-m", "loss=dsm"], "nothing to sweep"),
    ],
)
def test_values_that_do_not_fit(code, words, facts, cli, one_line):
    one_line(cli("train", *TINY, *words), code, facts)


@pytest.mark.parametrize(
    ("words", "facts"),
    [
        (["loss=mdsm"], "MDSM does not go with StagedDenoiser: it needs a network with a scalar energy"),
        (["sampler=tempered_langevin"], "network=energy"),
        (["loss=ncsn", "network.conditioning=none"], "told the noise level"),
        (["trainer.precision=float64"], "one of auto, float32, bfloat16"),
    ],
)
def test_parts_that_do_not_go_together_are_refused_before_data_is_read(words, facts, refused):
    refused(2, facts, "train", "dataset=folder", "dataset.root=nowhere", "device=cpu", *words)


def test_a_data_set_that_is_not_there(cli, one_line):
    one_line(cli("train", "dataset=folder", "dataset.root=nowhere"), 3, "nowhere")


def test_the_pu_net_layout(cli, folder, sphere):
    for split, name, stretch in (("train", "egg", 1.3), ("train", "lens", 0.5), ("test", "ball", 1.0)):
        cloud = folder / f"PUNet/pointclouds/{split}/1000_poisson/{name}.xyz"
        cloud.parent.mkdir(parents=True, exist_ok=True)
        np.savetxt(cloud, sphere[::6] * [1.0, 1.0, stretch])
    words = [word for word in TINY if not word.startswith(("dataset", "validation.resolution"))]
    both = [
        f"{key}.{value}" for key in ("dataset", "validation_dataset") for value in ("root=PUNet", "resolutions=[1000]")
    ]
    words += ["dataset=pu_net", "dataset@validation_dataset=pu_net", "validation_dataset.split=test", *both]
    result = cli("train", *words, "validation.resolution=1000", "trainer.max_steps=2", "output=runs/pu")
    assert result.code == 0, result.err
    assert json.loads((folder / "runs/pu/best.json").read_text())["shapes"] == ["egg", "lens"]


def test_an_output_folder_that_cannot_be_made(cli, scan, one_line):
    one_line(cli("train", *TINY, f"output={scan}/a"), 4, "choose another output")


def test_a_run_that_diverges_is_one_line(cli, one_line):
    result = cli("train", *TINY, "trainer.max_steps=30", "trainer.learning_rate=1e30", "trainer.clip=1e30", "output=a")
    assert result.code == 1
    assert "unforeseen" not in result.err
    last = result.err.splitlines()[-1]
    assert last.startswith("pcdenoise: the loss is ")
    assert " around row " in last


def test_a_sweep_goes_on_after_a_run_that_fails(cli, folder):
    words = ["-m", *TINY, "trainer.max_steps=1", "output=all", "loss=mdsm,dsm"]
    result = cli("train", *words)
    assert result.code == 1
    first, second = result.out.splitlines()
    assert first.startswith("loss=mdsm: failed: MDSM does not go with StagedDenoiser")
    assert second.startswith("loss=dsm: score ")
    assert result.err.splitlines()[-1].startswith("pcdenoise: 1 of 2 runs failed; ")
    assert (folder / "all/loss=dsm/best.safetensors").is_file()
    assert (folder / "all/sweep.csv").read_text().count("\n") == 3


def test_the_runs_of_a_sweep_are_shown(cli):
    result = cli("train", "--multirun", "--show", "seed=3,4")
    assert result.code == 0
    assert [config["seed"] for config in json.loads(result.out).values()] == [3, 4]


def test_a_run_that_is_killed_goes_on_to_the_bit(start, cli, folder):
    words = ["train", *TINY, "trainer.max_steps=4", "checkpoint_every=1", "validation.every=10"]
    process = start(*words, "output=cut", stderr=subprocess.DEVNULL)
    steps = folder / "cut/steps.csv"
    while not steps.exists() or len(steps.read_text().splitlines()) < 3:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    assert cli(*words, "output=cut", "resume=auto").code == 0
    assert cli(*words, "output=whole").code == 0
    ends = [load_checkpoint(folder / name / "last.safetensors")[0] for name in ("cut", "whole")]
    assert all(torch.equal(ends[0][name], ends[1][name]) for name in ends[1])
    for name in ("cut", "whole"):
        with (folder / name / "steps.csv").open(newline="") as file:
            ends.append([(row["step"], row["loss"]) for row in csv.DictReader(file)])
    assert ends[2] == ends[3]
    assert len(ends[2]) == 4
