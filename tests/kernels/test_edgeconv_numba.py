import numba
import pytest
import torch

from pcdenoise.kernels import edgeconv_numba
from pcdenoise.networks.denoiser import DenoisingStage
from pcdenoise.networks.edgeconv import EdgeConvBlock, in_arrays
from pcdenoise.networks.features import EdgeConvFeatures
from pcdenoise.networks.graphs import graph_at


def problem(channels=32, n=130, m=150, k=9):
    generator = torch.Generator().manual_seed(0)
    block = EdgeConvBlock(channels)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    x = torch.randn(m, channels, generator=generator)
    idx = torch.randint(m, (n, k), generator=generator, dtype=torch.int32)
    return block, x, idx, torch.randn(n, k, 4, generator=generator)


def fused(block, x, idx, edges):
    return in_arrays(edgeconv_numba.block, dict(block.named_parameters()), x, idx, edges)


@pytest.mark.parametrize("channels", [16, 32, 64])
@pytest.mark.parametrize("n", [1, 47, 130])
def test_equals_the_block_in_float64(channels, n):
    block, x, idx, edges = problem(channels, n)
    wanted = block.double()(x.double(), idx, edges.double(), x.new_empty(len(x), 0))
    found = fused(block.float(), x, idx, edges)
    assert found.shape == (n, channels)
    torch.testing.assert_close(found.double(), wanted.detach(), rtol=1e-4, atol=1e-4)


def test_a_block_without_gradients_is_this_one():
    block, x, idx, edges = problem()
    nothing = x.new_empty(len(x), 0)
    with torch.no_grad():
        free = block(x, idx, edges, nothing)
    assert torch.equal(free, fused(block, x, idx, edges))
    torch.testing.assert_close(free, block(x, idx, edges, nothing).detach(), rtol=1e-4, atol=1e-4)


def test_a_row_does_not_depend_on_how_many_there_are():
    block, x, idx, edges = problem()
    whole = fused(block, x, idx, edges)
    for n in (1, 50, 129):
        assert torch.equal(fused(block, x, idx[:n], edges[:n]), whole[:n])


def test_same_bits_at_any_thread_count():
    before = numba.get_num_threads()
    if before == 1:
        pytest.skip("one thread only: nothing to compare")
    values = problem(n=3000, m=3000)
    many = fused(*values)
    try:
        numba.set_num_threads(1)
        assert torch.equal(fused(*values), many)
    finally:
        numba.set_num_threads(before)


def test_what_is_not_finite_stays_where_it_is_gathered():
    block, x, idx, edges = problem()
    x[149] = torch.nan
    reached = (idx == 149).any(dim=1)
    found = fused(block, x, idx, edges)
    assert 0 < reached.sum() < len(idx)
    assert torch.isfinite(found[~reached]).all()


def test_other_widths_and_film_go_another_way():
    x, idx, edges = torch.randn(20, 24), torch.zeros(20, 3, dtype=torch.int32), torch.randn(20, 3, 4)
    with torch.no_grad():
        assert not edgeconv_numba.fits(24, 48)
        assert EdgeConvBlock(24)(x, idx, edges, x.new_empty(20, 0)).shape == (20, 24)
        x = torch.randn(20, 32)
        film = EdgeConvBlock(32, film=8)
        torch.nn.init.normal_(film.film.weight)
        told, more = torch.randn(20, 8), torch.randn(20, 8)
        assert not torch.equal(film(x, idx, edges, told), film(x, idx, edges, more))


@pytest.mark.parametrize("conditioning", ["input", "none"])
@pytest.mark.parametrize("received", [0, 16, 48])
def test_a_stage_without_gradients_is_the_one_with(conditioning, received):
    generator = torch.Generator().manual_seed(0)
    stage = DenoisingStage(EdgeConvFeatures(32, 2, 9, (4, 9), conditioning, received, hops=1), 16)
    for parameter in stage.parameters():
        torch.nn.init.normal_(parameter, std=0.2, generator=generator)
    graph = graph_at(torch.randn(300, 3, generator=generator).double(), stage.features)
    sigma = torch.rand(300, 1, generator=generator) + 0.1
    given = torch.randn(300, received, generator=generator) if received else None
    wanted = stage(graph, sigma, given)
    with torch.no_grad():
        found = stage(graph, sigma, given)
    for a, b in zip(found, wanted, strict=True):
        assert b.abs().max() > 0.1
        torch.testing.assert_close(a, b.detach(), rtol=1e-4, atol=1e-4)
