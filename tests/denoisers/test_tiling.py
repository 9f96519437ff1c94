import numpy as np
import pytest

from pcdenoise.denoisers import tiling
from pcdenoise.denoisers.tiling import Tiling
from pcdenoise.errors import OutOfMemoryError
from pcdenoise.geometry.neighbours import knn


@pytest.fixture(scope="module")
def cloud():
    return np.random.default_rng(0).random((5000, 3)) * [70, 70, 1]


def ripples(cloud, tile, layers=3, **options):
    """Each layer replaces a value by the sum over the neighbours, as far as the tile's rings allow."""
    values, out = cloud[:, 0], np.empty(len(cloud))

    def evaluate(found):
        x = values[found.members]
        for size in found.sizes:
            x = x[found.idx[:size]].sum(axis=1)
        return (x[: len(found.rows)],)

    Tiling(cloud, 8, layers, tile, **options).run(evaluate, (out,), lambda done: None)
    return out


@pytest.mark.parametrize("tile", [1, 700, 5000])
def test_every_layer_finds_what_it_gathers(cloud, tile):
    cloud = cloud[:300] if tile == 1 else cloud
    wanted, idx = cloud[:, 0], knn(cloud, 8)[1]
    for _ in range(3):
        wanted = wanted[idx].sum(axis=1)
    np.testing.assert_allclose(ripples(cloud, tile), wanted, rtol=1e-12)


def test_in_reverse_a_tile_holds_all_that_depend_on_it(cloud):
    """The derivative of the sum of all outputs with respect to each input: how often a row is reached."""
    idx, out = knn(cloud, 8)[1], np.empty(len(cloud))
    wanted = np.ones(len(cloud))
    for _ in range(2):
        wanted = np.bincount(idx.ravel(), np.repeat(wanted, 8), minlength=len(cloud))

    def evaluate(found):
        gradient = np.ones(found.sizes[-1])
        for size in reversed(found.sizes):
            reached = found.idx[:size].ravel()
            gradient = np.bincount(reached, np.repeat(gradient[:size], 8), minlength=len(found.members))
        return (gradient[: len(found.rows)],)

    for tile in (600, 5000):
        Tiling(cloud, 8, 2, tile, reverse=True).run(evaluate, (out,), lambda done: None)
        np.testing.assert_array_equal(out, wanted)


def limited(largest, error):
    refused = []

    def evaluate(found):
        if len(found.rows) > largest:
            refused.append(len(found.rows))
            raise error
        return (found.rows.astype(float),)

    return evaluate, refused


def test_a_tile_that_does_not_fit_is_halved(cloud):
    error = RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")
    evaluate, refused = limited(2000, error)
    out, told = np.empty(len(cloud)), []
    Tiling(cloud, 8, 2, 5000).run(evaluate, (out,), told.append)
    np.testing.assert_array_equal(out, np.arange(len(cloud)))
    assert refused == [5000, 2500, 2500]
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_no_memory_at_all_is_said(cloud):
    with pytest.raises(OutOfMemoryError, match="not even a tile"):
        Tiling(cloud, 8, 2, 5000).run(limited(0, MemoryError())[0], (np.empty(5000),), lambda done: None)


def test_other_errors_are_not_taken_for_memory(cloud):
    evaluate, _ = limited(0, RuntimeError("shapes cannot be multiplied"))
    with pytest.raises(RuntimeError, match="multiplied"):
        Tiling(cloud, 8, 2, 5000).run(evaluate, (np.empty(5000),), lambda done: None)


def test_smallest_tile_is_worth_running():
    assert tiling.SMALLEST_TILE >= 1024
