import numba
import numpy as np
import pytest
import torch

from pcdenoise.geometry.neighbours import knn
from pcdenoise.kernels.array_graph import local_spacing
from pcdenoise.kernels.neighbourhood import build_graph, build_graph_at, edges_and_moments_reference


def test_moments_and_edges_against_numpy():
    points = np.random.default_rng(0).random((40, 3)) + 1e6
    _, idx = knn(points, 8)
    spacing = np.linspace(0.5, 2, 40)
    graph = build_graph(points, idx, spacing, (4, 8), (40,))
    offsets = (points[idx] - points[:, None]) / spacing[:, None, None]
    np.testing.assert_allclose(graph.edges[..., :3], offsets, atol=1e-6)
    np.testing.assert_allclose(graph.edges[..., 3], np.linalg.norm(offsets, axis=2), atol=1e-6)
    for size, k in enumerate((4, 8)):
        np.testing.assert_allclose(graph.moments[:, size, :3], offsets[:, :k].mean(axis=1), atol=1e-6)
        for row in range(40):
            covariance = np.cov(offsets[row, :k].T, bias=True)
            wanted = covariance[[0, 1, 2, 0, 0, 1], [0, 1, 2, 1, 2, 2]]
            np.testing.assert_allclose(graph.moments[row, size, 3:], wanted, atol=1e-6)


def test_spacing_of_a_square_grid():
    grid = np.stack(np.meshgrid(np.arange(30.0), np.arange(30.0)), axis=-1).reshape(-1, 2) * 0.1
    points = np.column_stack([grid, np.zeros(900)])
    distances, idx = knn(points, 8)
    inner = ((grid > 0.5) & (grid < 2.4)).all(axis=1)
    # the 8th neighbour on a grid lies on the diagonal: sqrt(2) pitches, where a disc would reach sqrt(8 / pi)
    expected = 0.1 * np.sqrt(2) / np.sqrt(8 / np.pi)
    np.testing.assert_allclose(local_spacing(distances[:, 7], idx)[inner], expected)


@pytest.mark.parametrize("k", [1, 2, 7, 12, 32])
def test_spacing_is_the_median_around(k):
    rng = np.random.default_rng(0)
    distances = rng.integers(0, 9, (300, 2))[:, 1] / 4  # many are equal
    idx = rng.integers(0, 300, (200, k), dtype=np.int32)
    np.testing.assert_array_equal(
        local_spacing(distances, idx), np.median(distances[idx], axis=1) / np.sqrt(8 / np.pi), strict=True
    )


def test_graph_moves_between_devices():
    points = np.random.default_rng(0).random((20, 3))
    graph = build_graph(points, knn(points, 4)[1], np.ones(20), (4,), (20,)).to("cpu")
    assert graph.edges.device == torch.device("cpu")
    assert graph.sizes == (20,)


@pytest.mark.parametrize("signs", [(1, 1, 1), (1, -1, -1), (-1, 1, -1), (-1, -1, 1)])
def test_half_turned_graph_is_that_of_the_turned_points(signs):
    points = np.random.default_rng(0).random((60, 3))
    idx = knn(points, 8)[1]
    turned = build_graph(points, idx, np.full(60, 0.1), (4, 8), (60,)).half_turned(signs)
    wanted = build_graph(points * signs, idx, np.full(60, 0.1), (4, 8), (60,))
    for name in ("idx", "edges", "moments", "spacing"):
        np.testing.assert_array_equal(getattr(turned, name), getattr(wanted, name))


def spacing_of(points):
    distances, idx = knn(points, 16)
    return local_spacing(distances[:, 7], idx)


def test_spacing_follows_the_density():
    rng = np.random.default_rng(0)
    dense = rng.random((4_000, 3)) * [1, 1, 0]
    sparse = rng.random((1_000, 3)) * [1, 1, 0] + [5, 0, 0]
    values = spacing_of(np.concatenate([dense, sparse]))
    assert np.median(values[4_000:]) / np.median(values[:4_000]) == pytest.approx(2, rel=0.05)


def test_spacing_withstands_an_outlier():
    points = np.stack([*np.meshgrid(np.arange(20.0), np.arange(20.0)), np.zeros((20, 20))], axis=-1).reshape(-1, 3)
    points[0] = [-1000, 0, 0]
    assert spacing_of(points).max() < 1.7  # corners and edges have fewer points within reach


def cloud(m=30, n=24, k=8, dtype=torch.float64, shift=0.0):
    """The first n points of a cloud of m, their neighbours and a spacing of each."""
    points = np.random.default_rng(0).random((m, 3))
    idx = torch.from_numpy(knn(points, k)[1][:n])
    spacing = torch.linspace(0.1, 0.4, n, dtype=dtype)[:, None]
    return torch.from_numpy(points + shift).to(dtype).requires_grad_(), idx, spacing


def geometry(x, idx, spacing, dtype=torch.float64):
    graph = build_graph_at(x, idx, spacing, (4, 8), (len(idx),), dtype)
    return graph.edges, graph.moments


def reference(x, idx, spacing, dtype=torch.float64):
    return edges_and_moments_reference(x, idx, spacing, (4, 8), dtype)


def derivatives(function, x, idx, spacing, dtype):
    """Values, a gradient in x, and the gradients of that one, all along fixed directions."""
    generator = torch.Generator().manual_seed(1)
    values = function(x, idx, spacing, dtype)
    upstream = [torch.randn(v.shape, dtype=dtype, generator=generator, requires_grad=True) for v in values]
    (first,) = torch.autograd.grad(values, x, upstream, create_graph=True)
    along = torch.randn(x.shape, dtype=x.dtype, generator=generator)
    return *values, first, *torch.autograd.grad(first, (x, *upstream), along)


def test_from_a_tensor_the_graph_is_the_same():
    x, idx, spacing = cloud(shift=1e3)
    graph = build_graph_at(x, idx, spacing, (4, 8), (24, 10))
    wanted = build_graph(x.detach().numpy(), idx.numpy(), spacing[:, 0].numpy(), (4, 8), (24, 10))
    assert graph.sizes == wanted.sizes
    for name in ("idx", "edges", "moments", "spacing"):
        mine = getattr(graph, name)
        assert mine.dtype == getattr(wanted, name).dtype
        assert torch.equal(mine, getattr(wanted, name))


@pytest.mark.parametrize("function", [geometry, reference])
def test_derivatives_of_the_graph_against_finite_differences(function):
    x, idx, spacing = cloud(m=9, n=6, k=8)
    assert torch.autograd.gradcheck(lambda x: function(x, idx, spacing), x)
    assert torch.autograd.gradgradcheck(lambda x: function(x, idx, spacing), x)


@pytest.mark.parametrize(
    ("positions", "dtype", "tolerance"),
    [
        (torch.float64, torch.float64, 1e-12),
        (torch.float64, torch.float32, 1e-4),
        (torch.float32, torch.float32, 1e-4),
    ],
)
def test_derivatives_of_the_graph_equal_the_reference(positions, dtype, tolerance):
    x, idx, spacing = cloud(dtype=positions)
    ours, theirs = (derivatives(f, x, idx, spacing, dtype) for f in (geometry, reference))
    for mine, wanted in zip(ours, theirs, strict=True):
        assert mine.dtype == wanted.dtype
        torch.testing.assert_close(mine, wanted, rtol=tolerance, atol=tolerance * float(wanted.detach().abs().max()))


@pytest.mark.parametrize("function", [geometry, reference])
def test_coincident_points_have_finite_derivatives(function):
    x, idx, spacing = cloud()
    with torch.no_grad():
        x[idx[0, 0].item()] = x[0]
    results = derivatives(function, x, idx, spacing, torch.float64)
    assert float(results[0][0, 0, 3].detach()) == 0
    assert all(value.isfinite().all() for value in results)


def test_translation_changes_nothing_and_gradients_sum_to_zero():
    here, there = (derivatives(geometry, *cloud(shift=shift), torch.float64) for shift in (0.0, 64.0))
    for a, b in zip(here, there, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-9)
    for gradient in here[2:4]:
        torch.testing.assert_close(gradient.sum(dim=0), torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-9)


def test_permuted_points_have_permuted_gradients():
    x, idx, spacing = cloud(m=24)
    order = torch.from_numpy(np.random.default_rng(1).permutation(24))
    renamed = torch.argsort(order)[idx.long()].int()  # order[i] is the old row of the new row i
    energy = lambda edges, moments: edges.square().sum(dim=(1, 2)) + moments.sin().sum(dim=(1, 2))  # noqa: E731
    before, after = energy(*geometry(x, idx, spacing)), energy(*geometry(x[order], renamed[order], spacing[order]))
    assert torch.equal(after, before[order])
    a, b = (torch.autograd.grad(e.sum(), x, create_graph=True)[0] for e in (before, after))
    torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
    a, b = (torch.autograd.grad(g.square().sum(), x)[0] for g in (a, b))
    torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-8)


def test_derivatives_have_the_same_bits_at_any_thread_count():
    before = numba.get_num_threads()
    if before == 1:
        pytest.skip("one thread only: nothing to compare")
    results = []
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            results.append(derivatives(geometry, *cloud(m=3000, n=2500), torch.float32))
    finally:
        numba.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.gpu
def test_graph_on_cuda_equals_the_cpu():
    x, idx, spacing = cloud()
    on_cpu = derivatives(geometry, x, idx, spacing, torch.float64)
    there = x.detach().cuda().requires_grad_(), idx.cuda(), spacing.cuda()
    values = geometry(*there)
    for mine, wanted in zip(values, on_cpu[:2], strict=True):
        torch.testing.assert_close(mine.cpu(), wanted)
