import csv
import json

import pytest

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
    ],
)
def test_values_that_do_not_fit(code, words, facts, cli, one_line):
    one_line(cli("train", *TINY, *words), code, facts)


def test_a_data_set_that_is_not_there(cli, one_line):
    one_line(cli("train", "dataset=folder", "dataset.root=nowhere"), 3, "nowhere")


def test_an_output_folder_that_cannot_be_made(cli, scan, one_line):
    one_line(cli("train", *TINY, f"output={scan}/a"), 4, "choose another output")


def test_a_run_that_diverges_is_one_line(cli, one_line):
    result = cli("train", *TINY, "trainer.max_steps=30", "trainer.learning_rate=1e30", "trainer.clip=1e30", "output=a")
    assert result.code == 1
    assert "unforeseen" not in result.err
    assert result.err.splitlines()[-1].startswith("pcdenoise: ")
