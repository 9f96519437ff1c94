import numpy as np
import pytest
import torch

from pcdenoise.denoisers import tiling
from pcdenoise.denoisers.device_tiling import DeviceTiling
from pcdenoise.denoisers.tiling import Tiling
from pcdenoise.errors import OutOfMemoryError
from pcdenoise.kernels.neighbourhood import build_graph


@pytest.fixture(scope="module")
def cloud():
    """A noisy plane with duplicates, which have no spacing of their own."""
    plane = np.random.default_rng(0).random((1000, 3)) * [35, 35, 1]
    return np.concatenate([plane, np.repeat(plane[:1], 15, axis=0)])


def tiles_of(tiling):
    found = []
    tiling.run(lambda tile: found.append(tile) or (), (), lambda done: None)
    return found


@pytest.mark.parametrize("tile", [300, 5000])
def test_tiles_and_their_graphs_are_those_of_the_cpu(cloud, tile, monkeypatch):
    cloud = cloud[:1000]  # which of the duplicates are neighbours is the search's choice
    on_device = DeviceTiling(torch.from_numpy(cloud), 8, 3, tile, (4, 8))
    on_cpu = Tiling(cloud, 8, 3, tile)
    monkeypatch.setattr(on_cpu._search, "order", on_device._order)  # so that they want the same rows
    for mine, wanted in zip(tiles_of(on_device), tiles_of(on_cpu), strict=True):
        np.testing.assert_array_equal(mine.rows, wanted.rows)
        np.testing.assert_array_equal(mine.members, wanted.members)
        reference = build_graph(cloud[wanted.members], wanted.idx, wanted.spacing, (4, 8), wanted.sizes)
        np.testing.assert_allclose(mine.spacing, wanted.spacing, rtol=1e-15)
        assert mine.graph.sizes == wanted.sizes
        assert torch.equal(mine.graph.idx, reference.idx)
        for name in ("edges", "moments", "spacing"):
            torch.testing.assert_close(getattr(mine.graph, name), getattr(reference, name), rtol=1e-6, atol=1e-6)


def test_duplicates_have_a_unit_of_length(cloud):
    (tile,) = tiles_of(DeviceTiling(torch.from_numpy(cloud), 8, 1, 5000, (8,)))
    assert float(tile.graph.spacing.min()) == pytest.approx(tiling.LEAST_SPACING)


def test_every_layer_finds_what_it_gathers(cloud):
    def ripples(tile):
        out = np.empty(len(cloud))

        def evaluate(found):
            x = torch.from_numpy(cloud[:, 0])[found.members]
            for size in found.graph.sizes:
                x = x[found.graph.idx[:size].long()].sum(dim=1)
            return (x[: len(found.rows)].numpy(),)

        DeviceTiling(torch.from_numpy(cloud), 8, 3, tile, (8,)).run(evaluate, (out,), lambda done: None)
        return out

    np.testing.assert_allclose(ripples(100), ripples(len(cloud)), rtol=1e-12)


def test_a_tile_that_does_not_fit_is_halved(cloud, monkeypatch):
    monkeypatch.setattr(tiling, "SMALLEST_TILE", 100)
    out = np.empty(len(cloud))
    on_device = DeviceTiling(torch.from_numpy(cloud), 8, 1, 800, (8,))

    def evaluate(found, largest=300):
        if len(found.rows) > largest:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return (found.rows.astype(float),)

    on_device.run(evaluate, (out,), lambda done: None)
    np.testing.assert_array_equal(out, np.arange(len(cloud)))
    with pytest.raises(OutOfMemoryError, match="not even a tile"):
        on_device.run(lambda found: evaluate(found, 0), (out,), lambda done: None)


@pytest.mark.gpu
def test_on_a_gpu_a_tile_stays_there(cloud):
    on_device = DeviceTiling(torch.from_numpy(cloud[:1000]).cuda(), 8, 3, 300, (4, 8))
    on_cpu = DeviceTiling(torch.from_numpy(cloud[:1000]), 8, 3, 300, (4, 8))
    for mine, wanted in zip(tiles_of(on_device), tiles_of(on_cpu), strict=True):
        assert mine.graph.edges.is_cuda
        np.testing.assert_array_equal(mine.members, wanted.members)
        torch.testing.assert_close(mine.graph.edges.cpu(), wanted.graph.edges)
