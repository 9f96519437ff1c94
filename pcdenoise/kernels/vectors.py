"""Inner loops in vectors of the processor, for use in numba.

Of loops over arrays the compiler keeps nothing in registers from one turn of an outer loop to the next, and it asks
each time whether the arrays overlap. All arrays are contiguous; which instructions a vector becomes is left to LLVM.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.errors import TypingError
from numba.extending import intrinsic
from numba.np.arrayobj import make_array

LANES = 16  # one register of AVX-512, two of AVX2, four of NEON in float32

_INDEX, _INT32, _INT8 = ir.IntType(64), ir.IntType(32), ir.IntType(8)


def _row_maximum(typing: Any, i: Any, h: Any, idx: Any, edges: Any, weight: Any, out: Any) -> Any:  # noqa: ARG001
    """`out[i, c] = max_j  h[idx[i, j], c] + sum_e edges[i, j, e] * weight[e, c]`."""
    _check({h.dtype}, h, edges, weight, out)
    _check({types.int32}, idx)
    return types.void(i, h, idx, edges, weight, out), _maximum_code


def _row_maximum_and_argument(
    typing: Any,  # noqa: ARG001
    i: Any,
    h: Any,
    idx: Any,
    edges: Any,
    weight: Any,
    out: Any,
    arg: Any,
) -> Any:
    """The same, and in `arg[i, c]` the first neighbour that has it."""
    _check({h.dtype}, h, edges, weight, out)
    _check({types.int32}, idx)
    _check({types.int8}, arg)
    return types.void(i, h, idx, edges, weight, out, arg), _maximum_code


def _add_product(typing: Any, a: Any, b: Any, out: Any) -> Any:  # noqa: ARG001
    """`out += a @ b` for (r, k), (k, n), (r, n) float32, n a multiple of `LANES`."""
    _check({types.float32}, a, b, out)
    return types.void(a, b, out), _product_code


def _apply_silu(typing: Any, x: Any) -> Any:  # noqa: ARG001
    """`x <- x / (1 + exp(-x))` for (r, n) float32, n a multiple of `LANES`; to 3e-7 of the value for x above -88."""
    _check({types.float32}, x)
    return types.void(x), _silu_code


def _check(dtypes: set[Any], *arrays: Any) -> None:
    """Addresses are taken without looking: what does not fit is refused where it is compiled."""
    if not all(isinstance(array, types.Array) and array.layout == "C" and array.dtype in dtypes for array in arrays):
        raise TypingError(f"{', '.join(map(str, arrays))}: give contiguous arrays of {', '.join(map(str, dtypes))}")


row_maximum: Any = intrinsic(_row_maximum)
row_maximum_and_argument: Any = intrinsic(_row_maximum_and_argument)
add_product: Any = intrinsic(_add_product)
apply_silu: Any = intrinsic(_apply_silu)


class _Vectors:
    """Code for vectors of some numbers of one type."""

    def __init__(self, builder: Any, of: Any, count: int) -> None:
        self.builder, self.type = builder, ir.VectorType(of, count)

    def load(self, array: Any, place: Any) -> Any:
        """The numbers of an array from a place on."""
        at = self.builder.bitcast(at_place(self.builder, array, place), self.type.as_pointer())
        loaded = self.builder.load(at)
        loaded.align = 1
        return loaded

    def store(self, values: Any, array: Any, place: Any) -> None:
        """Write the numbers into an array, from a place on."""
        at = self.builder.bitcast(at_place(self.builder, array, place), values.type.as_pointer())
        self.builder.store(values, at).align = 1

    def everywhere(self, number: Any) -> Any:
        """The vector that has this number everywhere."""
        undefined = ir.Constant(self.type, ir.Undefined)
        single = self.builder.insert_element(undefined, number, ir.Constant(_INT32, 0))
        zeros = ir.Constant(ir.VectorType(_INT32, self.type.count), [0] * self.type.count)
        return self.builder.shuffle_vector(single, undefined, zeros)

    def constant(self, number: float) -> Any:
        """The same for a number that is known before."""
        return ir.Constant(self.type, [number] * self.type.count)

    def call(self, name: str, *values: Any) -> Any:
        """A function that LLVM has for vectors."""
        bits = 32 if isinstance(self.type.element, ir.FloatType) else 64
        function = ir.FunctionType(self.type, [self.type] * len(values))
        name = f"llvm.{name}.v{self.type.count}f{bits}"
        return self.builder.call(cgutils.get_or_insert_function(self.builder.module, function, name), values)

    def multiply_add(self, a: Any, b: Any, c: Any) -> Any:
        """`a b + c`, rounded once where the processor has that, else twice."""
        return self.call("fmuladd", a, b, c)

    def variable(self, value: Any) -> Any:
        """A place for a vector, with a first value."""
        place = cgutils.alloca_once(self.builder, value.type)
        self.builder.store(value, place)
        return place


def at_place(builder: Any, array: Any, place: Any) -> Any:
    """The address of an element."""
    return builder.gep(array, [place], inbounds=True)


def _index(number: int) -> Any:
    return ir.Constant(_INDEX, number)


def _arrays(context: Any, builder: Any, signature: Any, args: Any) -> list[tuple[Any, list[Any]]]:
    """Address and shape of each array among the arguments."""
    arrays = [
        make_array(kind)(context, builder, value)
        for kind, value in zip(signature.args, args, strict=True)
        if isinstance(kind, types.Array)
    ]
    return [(array.data, cgutils.unpack_tuple(builder, array.shape)) for array in arrays]


def _maximum_code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    (h, (_, channels)), (idx, (_, k)), (edges, _), (weight, _), (out, _), *arg = _arrays(
        context, builder, signature, args
    )
    neighbours, results = builder.mul(args[0], k), builder.mul(args[0], channels)
    idx = at_place(builder, idx, neighbours)
    edges = at_place(builder, edges, builder.mul(neighbours, _index(4)))
    out = at_place(builder, out, results)
    arg = [at_place(builder, address, results) for address, _ in arg]

    def fill(first: Any, count: int) -> None:
        of, numbers = _Vectors(builder, h.type.pointee, count), _Vectors(builder, _INT32, count)
        weights = [of.load(weight, builder.add(builder.mul(_index(e), channels), first)) for e in range(4)]

        def value(j: Any) -> Any:
            neighbour = builder.sext(builder.load(at_place(builder, idx, j)), _INDEX)
            total = of.load(h, builder.add(builder.mul(neighbour, channels), first))
            for e, its in enumerate(weights):
                edge = builder.load(at_place(builder, edges, builder.add(builder.mul(j, _index(4)), _index(e))))
                total = of.multiply_add(of.everywhere(edge), its, total)
            return total

        most, which = of.variable(value(_index(0))), numbers.variable(numbers.constant(0))
        with cgutils.for_range_slice(builder, _index(1), k, _index(1)) as (j, _):
            candidate, before = value(j), builder.load(most)
            larger = builder.fcmp_ordered(">", candidate, before)
            builder.store(builder.select(larger, candidate, before), most)
            if arg:
                j = numbers.everywhere(builder.trunc(j, _INT32))
                builder.store(builder.select(larger, j, builder.load(which)), which)
        of.store(builder.load(most), out, first)
        if arg:
            numbers.store(builder.trunc(builder.load(which), ir.VectorType(_INT8, count)), arg[0], first)

    _in_turn(builder, channels, LANES, fill)
    return context.get_dummy_value()


def _in_turn(builder: Any, total: Any, most: int, fill: Callable[[Any, int], None]) -> None:
    """Code that calls `fill(first, most)` for so many at a time, and `fill(first, 1)` for the rest."""
    whole = builder.sub(total, builder.urem(total, _index(most)))
    with cgutils.for_range_slice(builder, _index(0), whole, _index(most)) as (first, _):
        fill(first, most)
    with cgutils.for_range_slice(builder, whole, total, _index(1)) as (first, _):
        fill(first, 1)


def _product_code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    (a, (rows, depth)), (b, (_, columns)), (out, _) = _arrays(context, builder, signature, args)
    of = _Vectors(builder, a.type.pointee, LANES)

    def fill(column: Any, row: Any, count: int) -> None:
        each = [builder.add(row, _index(r)) for r in range(count)]
        places = [builder.add(builder.mul(r, columns), column) for r in each]
        factors = [at_place(builder, a, builder.mul(r, depth)) for r in each]
        totals = [of.variable(of.load(out, place)) for place in places]
        with cgutils.for_range_slice(builder, _index(0), depth, _index(1)) as (d, _):
            its = of.load(b, builder.add(builder.mul(d, columns), column))
            for factor, total in zip(factors, totals, strict=True):
                number = of.everywhere(builder.load(at_place(builder, factor, d)))
                builder.store(of.multiply_add(number, its, builder.load(total)), total)
        for total, place in zip(totals, places, strict=True):
            of.store(builder.load(total), out, place)

    with cgutils.for_range_slice(builder, _index(0), columns, _index(LANES)) as (column, _):
        _in_turn(builder, rows, _rows_at_a_time(), partial(fill, column))
    return context.get_dummy_value()


def _rows_at_a_time() -> int:
    """Rows of a product whose totals fit into registers; the result does not depend on it."""
    return 12 if llvm.get_host_cpu_features().get("avx512f") else 6


# exp(r) - 1 - r over r^2, for |r| up to log(2) / 2 (Moshier, Cephes mathematical library, 1992)
_EXPONENTIAL = (1.9875691500e-4, 1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 5.0000001201e-1)
_LOG_2 = 0.693359375, -2.12194440e-4  # in two parts, the first of few digits
_MOST = 88.0  # of -x, beyond which exp(-x) is no longer a number of this type


def _silu_code(context: Any, builder: Any, signature: Any, args: Any) -> Any:
    ((x, (rows, columns)),) = _arrays(context, builder, signature, args)
    of, whole = _Vectors(builder, x.type.pointee, LANES), _Vectors(builder, _INT32, LANES)
    one = of.constant(1.0)
    with cgutils.for_range_slice(builder, _index(0), builder.mul(rows, columns), _index(LANES)) as (place, _):
        value = of.load(x, place)
        power = builder.fneg(value)
        for end, within in ((-_MOST, ">"), (_MOST, "<")):
            power = builder.select(builder.fcmp_ordered(within, power, of.constant(end)), power, of.constant(end))
        doublings = of.call("floor", of.multiply_add(power, of.constant(1.44269504088896341), of.constant(0.5)))
        rest = power
        for its in _LOG_2:
            rest = of.multiply_add(doublings, of.constant(-its), rest)
        series = of.constant(_EXPONENTIAL[0])
        for coefficient in _EXPONENTIAL[1:]:
            series = of.multiply_add(series, rest, of.constant(coefficient))
        series = builder.fadd(of.multiply_add(series, builder.fmul(rest, rest), rest), one)
        exponent = builder.add(builder.fptosi(doublings, whole.type), whole.constant(127))
        scale = builder.bitcast(builder.shl(exponent, whole.constant(23)), of.type)
        of.store(builder.fdiv(value, of.multiply_add(series, scale, one)), x, place)
    return context.get_dummy_value()
