import json
from pathlib import Path

import numpy as np
import pytest
import torch

from pcdenoise.networks.denoiser import DenoisingStage
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import graph_at

TOOL = Path(__file__).parents[2] / "tools" / "measure_roofline.py"


@pytest.fixture(scope="module")
def points():
    return np.random.default_rng(0).random((10, 3))


def layers_of(tool, points, conditioning="none", received=0, channels=8):
    """10 points, 8 neighbours, moments of 2 neighbourhoods, 5 channels handed on."""
    features = EdgeConvFeatures(channels, 1, 8, (4, 8), conditioning, received)
    stage = DenoisingStage(features, 5)
    graph = graph_at(torch.from_numpy(points), features)
    given = torch.zeros(10, received) if received else None
    with torch.inference_mode():
        layers = tool.stage_layers(stage, graph, torch.ones(10, 1), given)
        for layer in layers:
            layer.run()
    return {layer.name: (layer.flops, layer.traffic, layer.gathered) for layer in layers}


def test_counts_of_a_stage_by_hand(tool, points):
    assert layers_of(tool, points) == {
        # 18 moments to 8 channels: 2 * 10 * 18 * 8 flops; 18 + 8 values a row, 18 * 8 + 8 weights
        "input: moments": (2880, 4 * (10 * 26 + 152), 0),
        # 80 edges, 8 channels, 9 flops; table 8, edges 80 * 4, weights 32, result 80, indices 80
        "input: gather-max": (5760, 4 * (8 + 320 + 32 + 80 + 80), 4 * 640),
        # 16 to 8: 16 + 8 values a row, 16 * 8 + 8 weights
        "input: mix": (2560, 4 * (10 * 24 + 136), 0),
        # 8 to 8: 8 + 8 values a row, 64 weights and 16 of the norm
        "block 1: norm, neighbour": (1280, 4 * (10 * 16 + 64 + 16), 0),
        # the table is the cloud
        "block 1: gather-max": (5760, 4 * (80 + 320 + 32 + 80 + 80), 4 * 640),
        # twice 8 to 8: x and gathered read, x written; twice 72 weights and 16 of the norm
        "block 1: centre, out": (2560, 4 * (10 * 24 + 144 + 16), 0),
        # 8 to 16 to 8: x read and written; 16 of the norm, 16 * 8 + 16, 8 * 16 + 8
        "block 1: MLP": (5120, 4 * (10 * 16 + 16 + 144 + 136), 0),
        "norm": (0, 4 * (10 * 16 + 16), 0),
        # 8 to 8, to 21, to 5, and 2 matrices times vectors; 8 + 1 + 18 + 1 read, 3 + 5 written; 72 + 189 + 45 weights
        "head": (2 * 10 * (64 + 168 + 40) + 2 * 10 * 18, 4 * (10 * 36 + 306), 0),
    }


def test_noise_level_and_received_features_count(tool, points):
    plain = layers_of(tool, points)
    told, film = layers_of(tool, points, "input", received=5), layers_of(tool, points, "film")
    # 16 values of the embedding a row, 16 * 8 + 8 weights; 5 values received a row, 5 * 8 weights
    assert told["input: moments"] == (2880 + 2560, 4 * (10 * 26 + 152 + 160 + 136), 0)
    assert told["input: mix"] == (2560 + 800, 4 * (10 * 29 + 176), 0)
    # 16 to 16
    for name in ("block 1: norm, neighbour", "block 1: centre, out"):
        flops, traffic, gathered = plain[name]
        assert film[name] == (flops + 5120, traffic + 4 * (160 + 272), gathered)


def test_merged_layers_do_what_the_single_ones_do(tool, points, monkeypatch):
    merged = layers_of(tool, points, "input", received=16, channels=16)
    monkeypatch.setattr(tool, "fused", lambda *asked: False)
    single = layers_of(tool, points, "input", received=16, channels=16)
    assert list(merged) == ["input", "block 1", "norm", "head"]
    for name in merged:
        parts = [its for title, its in single.items() if title.startswith(name)]
        assert merged[name][0] == sum(flops for flops, _, _ in parts)
        # what the parts hand to each other stays in the cache
        assert merged[name][1] <= sum(traffic for _, traffic, _ in parts)
    # x read twice, a table written and read, the result written, 80 edges of 4 values and an index; all weights
    weights = 3 * 16 * 16 + 2 * 16 * 32 + 16 + 16 + 32 + 16 + 4 * 16 + 4 * 16
    assert merged["block 1"][1] == 4 * (5 * 160 + 80 * 5 + weights)


def test_counts_around_the_network_by_hand(tool, points):
    cloud = np.random.default_rng(0).random((20, 3))
    found = {
        layer.name: (layer.flops, layer.traffic, layer.gathered)
        for layer in tool.cloud_layers(cloud, EdgeConvFeatures(8, 1, 8, (4, 8), "none"))
    }
    # a search reads 24 bytes a point and writes 12 a neighbour
    assert found["k-NN search"] == (0, 20 * (24 + 8 * 12), 0)
    assert found["even spreading: one search"] == (0, 20 * (24 + 12 * 12), 0)
    assert found["graph: local spacing"] == (0, 20 * (8 + 32 + 8), 20 * 8 * 8)
    # positions 24, spacing 8, indices 32; edges 8 * 16 and moments 2 * 36
    assert found["graph: edges, moments"] == (20 * (27 * 8 + 22 * 2 + 1), 20 * (24 + 8 + 32 + 128 + 72), 20 * 8 * 24)


def test_the_roof_that_is_lowest_sets_the_least_time(tool):
    ceilings = tool.Ceilings(copy=10.0, gather=20.0, product=40.0, narrow_product=1.0)
    bounds = [
        ceilings.least_seconds(tool.Layer("", print, *counts)) for counts in ((40, 50, 20), (400, 50, 60), (0, 0, 60))
    ]
    assert bounds == [(5.0, "copy"), (10.0, "product"), (3.0, "gather")]


def test_runs_on_a_tiny_cloud(tool, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tool, "COPIED", 1 << 20)
    target = tmp_path / "roofline.json"
    monkeypatch.setattr("sys.argv", ["", "--points", "300", "--cpu-time", "--json", str(target)])
    tool.main()
    report = json.loads(target.read_text())
    assert all(value > 0 for value in report["ceilings"].values())
    stages = report["clouds"]["300"]
    assert {"around the network", "stage 1", "stage 2"} <= stages.keys()
    for rows in stages.values():
        assert all(row["seconds"] > 0 and row["share"] > 0 for row in rows)
    assert stages["stage 1"][-1]["layer"] == "stage at once"
    assert "block 1" in capsys.readouterr().out


def test_too_small_a_cloud_is_refused_in_one_line(tool, monkeypatch):
    monkeypatch.setattr("sys.argv", ["", "--points", "20"])
    with pytest.raises(SystemExit, match=r"^measure_roofline.py: 20 points have no 32 neighbours each; give more$"):
        tool.main()
