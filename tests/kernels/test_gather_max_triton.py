"""The Triton kernels, on a GPU where there is one, else in Triton's interpreter (see tests/conftest.py)."""

import os
import subprocess
import sys
import types

import pytest
import torch

pytest.importorskip("triton", reason="Triton is not installed")

from pcdenoise.kernels import gather_max as dispatch
from pcdenoise.kernels import gather_max_numba, gather_max_triton
from pcdenoise.kernels.gather_max import gather_max, gather_max_by, gather_max_reference

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


def problem(n=50, m=60, k=7, channels=20, dtype=torch.float64, seed=0, device=DEVICE):
    generator = torch.Generator().manual_seed(seed)
    h = torch.randn(m, channels, dtype=dtype, generator=generator).to(device).requires_grad_()
    idx = torch.randint(m, (n, k), generator=generator, dtype=torch.int32).to(device)
    edges = torch.randn(n, k, 4, dtype=dtype, generator=generator).to(device).requires_grad_()
    weight = torch.randn(4, channels, dtype=dtype, generator=generator).to(device).requires_grad_()
    return h, idx, edges, weight


def by_triton(h, idx, edges, weight):
    return gather_max_by(gather_max_triton, h, idx, edges, weight)


def test_known_answer():
    h = torch.tensor([[0.0, 10.0], [1.0, 5.0]], device=DEVICE)
    idx = torch.tensor([[0, 1]], dtype=torch.int32, device=DEVICE)
    edges = torch.tensor([[[1.0, 0, 0, 0], [0, 0, 0, 2.0]]], device=DEVICE)
    weight = torch.tensor([[3.0, 0], [0, 0], [0, 0], [0.5, 4.0]], device=DEVICE)
    # neighbour 0: (0 + 3, 10 + 0); neighbour 1: (1 + 1, 5 + 8)
    assert by_triton(h, idx, edges, weight).tolist() == [[3.0, 13.0]]


# one row, one channel, more rows than one program or one partial sum holds, channels that are no power of two
@pytest.mark.parametrize(
    ("n", "m", "k", "channels"), [(1, 1, 1, 1), (600, 9, 3, 1), (1100, 40, 5, 3), (20, 30, 8, 64), (5, 20, 2, 130)]
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_equals_the_reference_with_gradients(n, m, k, channels, dtype):
    tolerance = 1e-5 if dtype == torch.float32 else 1e-12
    ours, theirs = (problem(n, m, k, channels, dtype) for _ in range(2))
    a, b = by_triton(*ours), gather_max_reference(*theirs)
    torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)
    scale = torch.randn(a.shape, dtype=dtype, generator=torch.Generator().manual_seed(1)).to(DEVICE)
    (a * scale).sum().backward()
    (b * scale).sum().backward()
    for mine, reference in zip(ours, theirs, strict=True):
        if mine.requires_grad:
            torch.testing.assert_close(mine.grad, reference.grad, rtol=30 * tolerance, atol=30 * tolerance)


@pytest.mark.parametrize("wanted", ["h", "edges", "weight"])
def test_gradients_of_one_input_alone(wanted):
    def gradient(operator):
        inputs = dict(zip(("h", "idx", "edges", "weight"), problem(), strict=True))
        inputs = {name: value.detach().requires_grad_(name == wanted) for name, value in inputs.items()}
        return torch.autograd.grad(operator(**inputs).square().sum(), inputs[wanted])[0]

    torch.testing.assert_close(gradient(by_triton), gradient(gather_max_reference))


def test_double_backward_equals_the_reference():
    def second(operator):
        h, idx, edges, weight = problem(n=20, m=15, k=4, channels=5)
        generator = torch.Generator().manual_seed(1)
        upstream = torch.randn(20, 5, dtype=h.dtype, generator=generator).to(DEVICE).requires_grad_()
        out = operator(h, idx, edges, weight)
        first = torch.autograd.grad(out, (h, edges, weight), upstream, create_graph=True)
        return torch.autograd.grad(sum(g.pow(3).sum() for g in first), (upstream, edges, weight))

    for mine, reference in zip(second(by_triton), second(gather_max_reference), strict=True):
        torch.testing.assert_close(mine, reference, rtol=1e-12, atol=1e-12)


def test_no_gradient_path_gives_the_same_bits():
    values = problem(dtype=torch.float32)
    with torch.no_grad():
        free = by_triton(*values)
    assert torch.equal(free, by_triton(*values).detach())


def test_of_equal_maxima_the_first_neighbour_gets_the_gradient():
    h = torch.zeros(3, 1, device=DEVICE, requires_grad=True)
    idx = torch.tensor([[2, 1, 0]], dtype=torch.int32, device=DEVICE)
    by_triton(h, idx, torch.zeros(1, 3, 4, device=DEVICE), torch.zeros(4, 1, device=DEVICE)).sum().backward()
    assert h.grad.flatten().tolist() == [0, 0, 1]


def test_what_is_not_a_number_passes_through():
    h, idx, edges, weight = (value.detach() for value in problem())
    h[int(idx[3, 2]), 4] = torch.nan
    assert by_triton(h, idx, edges, weight)[3, 4].isnan()


def test_no_rows_at_all():
    h, idx, edges, weight = problem()
    out = by_triton(h, idx[:0], edges[:0], weight)
    assert out.shape == (0, 20)
    gradients = torch.autograd.grad(out.sum(), (h, edges, weight))
    assert all(not gradient.any() for gradient in gradients)


def test_the_scatter_adds_in_the_order_of_the_rows():
    """The sums of a row that many edges reach have the bits of the CPU's, which adds one row after the other."""
    _, idx, _, _ = problem(n=40, m=3, k=6, channels=20)
    generator = torch.Generator().manual_seed(1)
    g = torch.randn(40, 20, generator=generator)
    arg = torch.randint(6, (40, 20), generator=generator, dtype=torch.int8)
    mine = gather_max_triton.scatter_to_rows(g.to(DEVICE), idx, arg.to(DEVICE), 3)
    assert torch.equal(mine.cpu(), gather_max_numba.scatter_to_rows(g, idx.cpu(), arg, 3))


def test_the_device_decides(monkeypatch):
    used = []
    monkeypatch.setattr(dispatch, "_triton_passes", lambda: used.append("triton") or gather_max_triton)
    values = tuple(value.cpu() for value in problem())
    gather_max(*values)
    assert not used
    # stands in for a tensor on a GPU, of which only these two are asked before the kernels
    monkeypatch.setattr(dispatch, "gather_max_by", lambda passes, *rest: passes)
    on_cuda = types.SimpleNamespace(device=torch.device("cuda"), is_cuda=True)
    assert gather_max(on_cuda, *values[1:]) is gather_max_triton
    assert used == ["triton"]


COMPILE = """
import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from pcdenoise.kernels import gather_max_triton as kernels

types = dict.fromkeys(("h", "g", "edges", "weight", "out", "parts"), "*fp32")
types |= {"idx": "*i32", "arg": "*i8", "arrivals": "*i64", "starts": "*i64", "n": "i32", "channels": "i32"}
sizes = {"K": 32, "PARTIAL": 512, "ROWS": 16, "CHANNELS": 64}
for kernel in (kernels._maximum, kernels._scatter_to_rows, kernels._sum_over_channels, kernels._sum_over_points):
    names = kernel.arg_names
    constants = {(place,): sizes[name] for place, name in enumerate(names) if name in sizes}
    source = ASTSource(kernel, {name: types.get(name, "constexpr") for name in names}, constants)
    compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
    assert compiled.asm["cubin"]
    print(kernel.__name__)
"""


def test_compiles_for_a_gpu_that_is_not_here(tmp_path):
    """For the H100's architecture, by Triton's own compiler and assembler: what the interpreter lets pass may not."""
    environment = {name: value for name, value in os.environ.items() if name != "TRITON_INTERPRET"}
    environment["TRITON_CACHE_DIR"] = str(tmp_path)
    done = subprocess.run([sys.executable, "-c", COMPILE], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.split()) == 4


@pytest.mark.gpu
def test_on_a_gpu_every_run_has_the_same_bits():
    """At a size that fills the device, so that programs finish in varying order."""
    runs = []
    for _ in range(5):
        values = problem(n=200_000, m=200_000, k=32, channels=64, dtype=torch.float32, device="cuda")
        out = gather_max(*values)
        learned = [value for value in values if value.requires_grad]
        runs.append([out.detach(), *torch.autograd.grad(out.square().sum(), learned)])
    for run in runs[1:]:
        assert all(torch.equal(a, b) for a, b in zip(run, runs[0], strict=True))
