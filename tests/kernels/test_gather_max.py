import numba
import pytest
import torch

from pcdenoise.kernels.gather_max import gather_max, gather_max_reference


def problem(n=50, m=60, k=7, channels=20, dtype=torch.float64, seed=0):
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(m, channels, dtype=dtype, generator=generator, requires_grad=True)
    idx = torch.randint(m, (n, k), generator=generator, dtype=torch.int32)
    edges = torch.randn(n, k, 4, dtype=dtype, generator=generator, requires_grad=True)
    weight = torch.randn(4, channels, dtype=dtype, generator=generator, requires_grad=True)
    return h, idx, edges, weight


def test_known_answer():
    h = torch.tensor([[0.0, 10.0], [1.0, 5.0]])
    idx = torch.tensor([[0, 1]], dtype=torch.int32)
    edges = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 0, 2.0]]])
    weight = torch.tensor([[3.0, 0], [0, 0], [0, 0], [0.5, 4.0]])
    # neighbour 0: (0 + 3, 10 + 0); neighbour 1: (1 + 1, 5 + 8)
    assert gather_max(h, idx, edges, weight).tolist() == [[3.0, 13.0]]


@pytest.mark.parametrize("k", [1, 2, 7, 8])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_reference_with_gradients(dtype, k):
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    ours, theirs = problem(dtype=dtype, k=k), problem(dtype=dtype, k=k)
    a, b = gather_max(*ours), gather_max_reference(*theirs)
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    scale = torch.randn(a.shape, dtype=dtype, generator=torch.Generator().manual_seed(1))
    (a * scale).sum().backward()
    (b * scale).sum().backward()
    for mine, reference in zip(ours, theirs, strict=True):
        if mine.requires_grad:
            torch.testing.assert_close(mine.grad, reference.grad, rtol=10 * tolerance, atol=10 * tolerance)


@pytest.mark.parametrize("k", [4, 5])
def test_of_equal_maxima_the_first_neighbour_counts(k):
    """Whichever neighbours are compared together."""
    for first in range(k):
        h, edges = torch.zeros(k, 3, requires_grad=True), torch.zeros(1, k, 4)
        edges[0, first:, 0] = 1.0
        gather_max(h, torch.arange(k, dtype=torch.int32)[None], edges, torch.ones(4, 3)).sum().backward()
        assert h.grad.sum(dim=1).tolist() == [3.0 * (j == first) for j in range(k)]


def test_gradcheck():
    h, idx, edges, weight = problem(n=6, m=8, k=3, channels=5)
    operator = lambda *values: gather_max(values[0], idx, *values[1:])  # noqa: E731
    assert torch.autograd.gradcheck(operator, (h, edges, weight))
    assert torch.autograd.gradgradcheck(operator, (h, edges, weight))


def double_backward(operator, h, idx, edges, weight, through=("h", "edges", "weight")):
    """Gradients of a function of the gradients `through`, with respect to everything."""
    dtype, generator = h.dtype, torch.Generator().manual_seed(1)
    upstream = torch.randn(len(idx), h.shape[1], dtype=dtype, generator=generator, requires_grad=True)
    inputs = {"h": h, "edges": edges, "weight": weight}
    out = operator(h, idx, edges, weight)
    first = torch.autograd.grad(out, [inputs[name] for name in through], upstream, create_graph=True)
    total = sum((torch.randn(g.shape, dtype=dtype, generator=generator) * g).sum() + g.square().sum() for g in first)
    second = torch.autograd.grad(total, (upstream, h, edges, weight), allow_unused=True, materialize_grads=True)
    return *first, *second


@pytest.mark.parametrize("through", [("h", "edges", "weight"), ("h",), ("edges",), ("weight",), ("h", "edges")])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_double_backward_equals_the_reference(dtype, through):
    tolerance = 1e-4 if dtype == torch.float32 else 1e-12
    ours = double_backward(gather_max, *problem(dtype=dtype), through)
    theirs = double_backward(gather_max_reference, *problem(dtype=dtype), through)
    for mine, reference in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine, reference, rtol=tolerance, atol=tolerance)


def test_double_backward_of_strided_inputs():
    values = problem()
    strided = [v if v.dtype == torch.int32 else v.detach().mT.contiguous().mT.requires_grad_() for v in values]
    assert not any(v.is_contiguous() for v in strided if v.requires_grad)
    for mine, reference in zip(
        double_backward(gather_max, *strided), double_backward(gather_max, *values), strict=True
    ):
        assert torch.equal(mine, reference)


@pytest.mark.parametrize("constant", ["h", "edges", "weight"])
def test_double_backward_beside_a_constant(constant):
    names = ("h", "idx", "edges", "weight")
    values = dict(zip(names, problem(), strict=True))
    wanted = [name for name in ("h", "edges", "weight") if name != constant]

    def gradients(operator):
        inputs = {name: v.detach().requires_grad_(name in wanted) for name, v in values.items()}
        learned = [inputs[name] for name in wanted]
        first = torch.autograd.grad(operator(**inputs).square().sum(), learned, create_graph=True)
        return torch.autograd.grad(sum(g.square().sum() for g in first), learned)

    for mine, reference in zip(gradients(gather_max), gradients(gather_max_reference), strict=True):
        torch.testing.assert_close(mine, reference)


def test_no_gradient_path_gives_the_same_bits():
    values = problem(dtype=torch.float32)
    with torch.no_grad():
        free = gather_max(*values)
    assert torch.equal(free, gather_max(*values).detach())


def test_of_equal_maxima_the_first_neighbour_gets_the_gradient():
    h = torch.zeros(3, 1, requires_grad=True)
    idx = torch.tensor([[2, 1, 0]], dtype=torch.int32)
    gather_max(h, idx, torch.zeros(1, 3, 4), torch.zeros(4, 1)).sum().backward()
    assert h.grad.flatten().tolist() == [0, 0, 1]


def test_same_bits_at_any_thread_count():
    before = numba.get_num_threads()
    results = []
    try:
        for threads in {1, before}:
            numba.set_num_threads(threads)
            values = problem(n=3000, m=3000, k=16, channels=48, dtype=torch.float32)
            results.append([gather_max(*values).detach(), *double_backward(gather_max, *values)])
    finally:
        numba.set_num_threads(before)
    if before == 1:
        pytest.skip("one thread only: nothing to compare")
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


@pytest.mark.gpu
def test_on_cuda_equals_the_cpu():
    values = problem(dtype=torch.float32)
    on_gpu = gather_max(*(v.detach().cuda() for v in values)).cpu()
    torch.testing.assert_close(on_gpu, gather_max(*values).detach(), rtol=1e-5, atol=1e-5)
