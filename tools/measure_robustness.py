"""What a denoiser must keep beside its benchmark tables, each number beside the bar that it must not pass.

    python tools/measure_robustness.py --model edgeconv bilateral --json robustness.json
    python tools/measure_robustness.py --sections edges --baselines jet apss taubin --shapes 2

Every method is blind. Shapes are meshes that are for choosing, sampled by Poisson disk; levels in % are relative to the
unit sphere, as in the benchmarks, and a spacing is that of the clean cloud. A cell is the mean over the shapes, then
the worst shape; `ok` or `MISS` says whether the one that is judged (the worst, unless the column `judged` says mean)
keeps the bar. `input` is what the noisy cloud itself scores.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import argparse
import json
import math
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from itertools import product
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import trimesh
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from pcdenoise.bench.environment import environment
from pcdenoise.bench.log import without_nan
from pcdenoise.cli.progress import progress_bar
from pcdenoise.cloud import Mesh
from pcdenoise.datasets.folder import Folder
from pcdenoise.datasets.noise_models import (
    AnisotropicGaussian,
    Discrete,
    Gaussian,
    Laplace,
    NoiseModel,
    UniformBall,
    noise_model,
)
from pcdenoise.datasets.surfaces import Surface
from pcdenoise.denoisers.catalogue import LEARNED, denoising_method
from pcdenoise.denoisers.method import Method
from pcdenoise.errors import PcdenoiseError, UsageError
from pcdenoise.geometry.frame import Frame
from pcdenoise.geometry.noise import spacing
from pcdenoise.geometry.sampling import poisson_disk
from pcdenoise.geometry.triangles import point_to_mesh
from pcdenoise.io import check_place, replacing
from pcdenoise.metrics.bias import bias
from pcdenoise.metrics.chamfer import chamfer_distance
from pcdenoise.metrics.comparison import Comparison
from pcdenoise.metrics.floor import sampling
from pcdenoise.metrics.point_to_mesh import p2m
from pcdenoise.metrics.regions import error_in

RESOLUTIONS = (10_000, 50_000)
LEVELS = (0.01, 0.02, 0.03)
FAINT = (0.05, 0.1, 0.15, 0.2, 0.25)  # spacings
INPUT = "input"

WORSE = 1.02  # a result over its input
BIAS = 0.1  # of the noise
OTHER_NOISE = 1.1  # over Gaussian noise
EDGE = 1.3  # over the smooth areas of the best baseline

FEW, MANY, SHAPES_OF_MANY = 2_000, 200_000, 2
DENSITY = 4.0
SIDE, RIM = 70, 4  # spacings: of a plate, and beside its narrow sides
THICKNESSES, KEPT_APART = (2, 3, 4, 6, 8), 4  # spacings; from the second on no sheets may merge
PLATE_NOISES = (0.25, 0.5, 0.75, 1.0)  # spacings

Points = NDArray[np.float64]
ByShape = dict[str, float]
Scores = dict[tuple[str, str, str], ByShape]
"""(case, quantity, method) -> number of each shape."""


class Noisy(NamedTuple):
    """A noisy cloud (n, 3), and what a result (n, 3) of it scores: one number a quantity."""

    points: Points
    judge: Callable[[Points], dict[str, float]]


class Trial(NamedTuple):
    """One cloud of a case, made when its turn comes; `size` is about its number of points."""

    case: str
    shape: str
    size: int
    make: Callable[[], Noisy]


@dataclass(frozen=True)
class Row:
    """One line of a table.

    Attributes:
        case: of the clouds.
        quantity: what the numbers are.
        values: method -> number of each shape.
        bar: what no absolute value may exceed; None where there is none.
        judged: which one of a method's shapes.
        form: of the printed numbers.
    """

    case: str
    quantity: str
    values: dict[str, ByShape]
    bar: float | None = None
    judged: Literal["worst", "mean"] = "worst"
    form: str = ".3f"

    def mean(self, method: str) -> float:
        """Over the shapes."""
        return float(np.mean(list(self.values[method].values())))

    def worst(self, method: str) -> tuple[str, float]:
        """The shape that is furthest from 0, or lost."""
        return max(self.values[method].items(), key=lambda item: math.inf if math.isnan(item[1]) else abs(item[1]))

    def passed(self, method: str) -> bool | None:
        """Whether a method keeps the bar; None where there is none."""
        if self.bar is None or method == INPUT:
            return None
        return abs(self.mean(method) if self.judged == "mean" else self.worst(method)[1]) <= self.bar

    def cell(self, method: str) -> str:
        """Mean, worst shape, mark."""
        if not self.values.get(method):
            return ""
        shape, worst = self.worst(method)
        text = f"{self.mean(method):{self.form}}"
        if len(self.values[method]) > 1:
            text += f" [dim]({worst:{self.form}} {shape})[/dim]"
        passed = self.passed(method)
        return text if passed is None else f"{text} {'[green]ok[/green]' if passed else '[bold red]MISS[/bold red]'}"

    def report(self) -> dict[str, Any]:
        """For a file."""
        methods = {}
        for method, by_shape in self.values.items():
            if by_shape:
                found = {
                    "mean": self.mean(method),
                    "worst": self.worst(method)[1],
                    "worst_shape": self.worst(method)[0],
                }
                methods[method] = found | {"passed": self.passed(method), "by_shape": by_shape}
        described = {"case": self.case, "quantity": self.quantity, "bar": self.bar, "judged": self.judged}
        return described | {"methods": methods}


@dataclass(frozen=True)
class Setting:
    """What is measured on what.

    Attributes:
        surfaces: with clouds of all `RESOLUTIONS` and meshes.
        points: numbers of points of those sections that take the clouds as they are.
        methods: by name.
        baselines: by name, for `edges`.
    """

    surfaces: Sequence[Surface]
    points: Sequence[int]
    methods: dict[str, Method]
    baselines: dict[str, Method]

    def clouds(self) -> Iterator[tuple[int, Surface, int, Points]]:
        """Number of the surface, surface, number of points, clean points."""
        for (number, surface), n in product(enumerate(self.surfaces), self.points):
            yield number, surface, n, surface.clouds[n][0].astype(np.float64)

    def measure(self, label: str, trials: Sequence[Trial], *, baselines: bool = False) -> Scores:
        """What every method, and the input, scores in all trials; NaN where a method fails."""
        scores: Scores = defaultdict(dict)
        methods = self.methods | (self.baselines if baselines else {})
        done, total = 0, sum(trial.size for trial in trials) * len(methods)
        with progress_bar(label) as advance:
            for trial in trials:
                noisy = trial.make()
                before = noisy.judge(noisy.points)
                results = {INPUT: before}
                for name, method in methods.items():
                    try:
                        result = method(noisy.points.copy())
                        results[name] = noisy.judge(result) if np.isfinite(result).all() else {}
                    except PcdenoiseError as reason:
                        warnings.warn(f"{name} on {trial.shape}, {trial.case}: {reason}", stacklevel=2)
                        results[name] = {}
                    done += trial.size
                    advance(done / total)
                for name, numbers in results.items():
                    for quantity in before:
                        scores[trial.case, quantity, name][trial.shape] = numbers.get(quantity, math.nan)
        return scores


def harm(setting: Setting) -> list[Row]:
    """Chamfer distance of the result over that of the input, on clean clouds and under faint Gaussian noise.

    To the clean cloud itself, and to a second, independent Poisson sampling of the same mesh, which no result can
    reach: that one is judged for a clean input, whose distance to itself is 0, and is the unit of how far it is moved.
    """
    own, other = "CD / input's", "CD to a second sampling / input's"
    trials = []
    for number, surface, n, clean in setting.clouds():
        second = cache(partial(sampling, *mesh_of(surface), n, seed=0))
        unit = spacing(clean) / Frame.unit_sphere(clean).scale

        def judge(result: Points, clean: Points = clean, second: Callable[[], Points] = second) -> dict[str, float]:
            return {own: chamfer_distance(result, clean), other: chamfer_distance(result, second())}

        for level in (0.0, *FAINT):
            make = partial(corrupted, Gaussian(level * unit), clean, [number, n, round(1e4 * level)], judge)
            trials.append(Trial(_harm_case(n, level), surface.name, n, make))
    scores = setting.measure("harm", trials)
    rows = []
    for n, level in product(setting.points, (0.0, *FAINT)):
        case = _harm_case(n, level)
        if not level:
            away = {m: over(scores[case, own, m], scores[case, other, INPUT]) for m in setting.methods}
            rows.append(Row(case, "CD to itself / input's to a second sampling", away))
        for quantity in (own, other) if level else (other,):
            rows.append(Row(case, quantity, relative(scores, setting.methods, case, quantity, INPUT), WORSE))
    return rows


def _harm_case(n: int, level: float) -> str:
    return f"{thousands(n)}, {f'{level:g} spacings' if level else 'clean'}"


def signed_bias(setting: Setting) -> list[Row]:
    """Mean signed distance from the surface over the noise; below 0 a shape shrinks. A sphere is known in closed form.

    On the sphere, noise s itself gives s^2: of the noise, that is s.
    """
    quantity = "bias / noise"
    trials = []
    for number, surface, n, clean in setting.clouds():
        for level in LEVELS:

            def judge(result: Points, level: float = level, pair: Any = (clean, surface.mesh)) -> dict[str, float]:
                there = Comparison(result, *pair)
                return {quantity: bias(there) / level} if there.surface.oriented else {}

            make = partial(corrupted, Gaussian(level), clean, [number, n, round(1e4 * level)], judge)
            trials.append(Trial(f"{thousands(n)}, {level:.0%}", surface.name, n, make))
    for n, level in product(setting.points, LEVELS):

        def judge_radius(result: Points, level: float = level) -> dict[str, float]:
            return {quantity: float(np.linalg.norm(result, axis=1).mean() - 1) / level}

        make = partial(corrupted, Gaussian(level), sphere(n), [n, round(1e4 * level)], judge_radius)
        trials.append(Trial(f"sphere {thousands(n)}, {level:.0%}", "sphere", n, make))
    scores = setting.measure("bias", trials)
    rows = []
    for kind, n, level in product(("", "sphere "), setting.points, LEVELS):
        case = f"{kind}{thousands(n)}, {level:.0%}"
        values = {name: scores[case, quantity, name] for name in (INPUT, *setting.methods)}
        rows.append(Row(case, quantity, values, BIAS, form="+.3f"))
    return rows


def other_noise(setting: Setting) -> list[Row]:
    """Chamfer distance under other noise over that under Gaussian noise: of the same level, and of the same variance.

    Level s of a Laplace is its scale (variance 2 s^2), of a ball its radius (s^2 / 5), of discrete noise its step
    (0.2 s^2), so only the second compares equally noisy clouds.
    """
    quantity = "CD"

    def named(n: int, sigma: float) -> str:
        return f"{thousands(n)}, Gaussian {sigma:.6f}"

    trials = []
    for number, surface, n, clean in setting.clouds():
        judge = partial(chamfer_to, clean)
        models: dict[str, Moving] = {}
        for level, kind in product(LEVELS, OTHERS):
            model = OTHERS[kind](level)
            models |= {f"{thousands(n)}, {kind} {level:.0%}": model}
            models |= {named(n, sigma): Gaussian(sigma) for sigma in (level, equivalent_sigma(model))}
        for case, model in models.items():
            make = partial(corrupted, model, clean, [number, n, round(1e4 * model.level)], judge)
            trials.append(Trial(case, surface.name, n, make))
    scores = setting.measure("noise", trials)
    rows = []
    everyone = (INPUT, *setting.methods)
    for n, kind, level in product(setting.points, OTHERS, LEVELS):
        case, variance = f"{thousands(n)}, {kind} {level:.0%}", equivalent_sigma(OTHERS[kind](level))
        same = {"level": level} if math.isclose(variance, level) else {"level": level, "variance": variance}
        for what, sigma in same.items():
            gaussian = named(n, sigma)
            values = {m: over(scores[case, quantity, m], scores[gaussian, quantity, m]) for m in everyone}
            title = what if len(same) > 1 else "level and variance"
            rows.append(Row(case, f"CD / Gaussian of same {title}", values, OTHER_NOISE, "mean"))
    return rows


Moving = Gaussian | AnisotropicGaussian | Laplace | UniformBall | Discrete
OTHERS: dict[str, Callable[[float], Moving]] = {
    "Laplace": Laplace,
    "anisotropic": AnisotropicGaussian,
    "uniform ball": UniformBall,
    "discrete": Discrete,
}


def equivalent_sigma(model: Moving) -> float:
    """`sqrt(trace(C) / 3)` for the covariance C of a model: the Gaussian that moves points as far, root mean square."""
    match model:
        case Gaussian(level) | AnisotropicGaussian(level):
            return level
        case Laplace(level):
            return math.sqrt(2) * level
        case UniformBall(level):
            return level / math.sqrt(5)
        case Discrete(level, probability):
            return math.sqrt(2 * probability) * level


def scanner(setting: Setting) -> list[Row]:
    """Four simulated range scans of a mesh (conf/noise/scanner.yaml): occlusion, uneven density, noise along the rays.

    Mean squared distance to the mesh, and Chamfer distance to a clean cloud, over the input's and over that of the same
    points put exactly onto the mesh. The scans do not cover the clean cloud: noise reaches into what they have not
    seen, and even the exact projection may score worse than the input.
    """
    trials = []
    for number, surface in enumerate(setting.surfaces):
        n = max(surface.clouds)
        for level in LEVELS:
            make = partial(_scan, surface, noise_model("scanner", level), [number, round(1e4 * level)])
            trials.append(Trial(f"scanner {level:.0%}", surface.name, n, make))
    scores = setting.measure("scanner", trials)
    rows = []
    for case in (f"scanner {level:.0%}" for level in LEVELS):
        for quantity, bar in (("point to face", WORSE), ("CD", None)):
            rows.append(
                Row(case, f"{quantity} / input's", relative(scores, setting.methods, case, quantity, INPUT), bar)
            )
        projected = {m: scores[case, "CD over that of the projection", m] for m in (INPUT, *setting.methods)}
        rows.append(Row(case, "CD / exact projection's", projected))
    return rows


def _scan(surface: Surface, model: NoiseModel, key: list[int]) -> Noisy:
    clean, normals = (part.astype(np.float64) for part in surface.clouds[max(surface.clouds)])
    noisy = model.apply(clean, np.random.default_rng(key), normals, surface.mesh).points
    projected = chamfer_distance(point_to_mesh(noisy, *mesh_of(surface)).closest, clean)

    def judge(result: Points) -> dict[str, float]:
        to_face = p2m(Comparison(result, clean, surface.mesh), part="point_to_face")
        distance = chamfer_distance(result, clean)
        return {"point to face": to_face, "CD": distance, "CD over that of the projection": distance / projected}

    return Noisy(noisy, judge)


def density(setting: Setting) -> list[Row]:
    """Clouds four times as dense at one end (+x) as at the other; Chamfer distance to the same rows without noise.

    Over that of the input, and over that of a cloud of as many points thinned evenly; and, over what it is in that
    cloud, the mean squared distance to the mesh of the points that come from the sparsest quarter of the extent.
    """
    levels, kinds = LEVELS[:2], ("4:1", "even")
    trials = []
    for number, surface in enumerate(setting.surfaces):
        dense = surface.clouds[max(surface.clouds)][0].astype(np.float64)
        rng = np.random.default_rng([number, len(dense)])
        uneven = dense[thinned_along_x(dense, rng)]
        even = dense[np.sort(rng.choice(len(dense), len(uneven), replace=False))]
        end, mesh = dense[:, 0].min() + 0.25 * np.ptp(dense[:, 0]), mesh_of(surface)
        for (kind, clean), level in product(zip(kinds, (uneven, even), strict=True), levels):

            def judge(result: Points, clean: Points = clean, end: float = end, mesh: Mesh = mesh) -> dict[str, float]:
                squared = point_to_mesh(result[clean[:, 0] < end], *mesh).squared
                return chamfer_to(clean, result) | {"sparse end": float(squared.mean())}

            make = partial(corrupted, Gaussian(level), clean, [number, len(clean), round(1e4 * level)], judge)
            trials.append(Trial(f"{kind}, {level:.0%}", surface.name, len(clean), make))
    scores = setting.measure("density", trials)
    rows = []
    for level in levels:
        case, control = (f"{kind}, {level:.0%}" for kind in kinds)
        rows.append(Row(case, "CD / input's", relative(scores, setting.methods, case, "CD", INPUT), WORSE))
        for quantity in ("CD", "sparse end"):
            everyone = (INPUT, *setting.methods)
            values = {m: over(scores[case, quantity, m], scores[control, quantity, m]) for m in everyone}
            rows.append(Row(case, f"{quantity} / evenly thinned", values))
    return rows


def thinned_along_x(points: Points, rng: np.random.Generator, ratio: float = DENSITY) -> NDArray[np.int64]:
    """Rows that are kept with a probability that rises linearly along x, from 1 / ratio to 1."""
    x = points[:, 0]
    return np.flatnonzero(rng.random(len(x)) < 1 / ratio + (1 - 1 / ratio) * (x - x.min()) / np.ptp(x))


def counts(setting: Setting) -> list[Row]:
    """Few points and many (these on two shapes at most): Chamfer distance over that of the input."""
    quantity = "CD / input's"
    trials = []
    for number, surface in enumerate(setting.surfaces):
        for n in (FEW, MANY) if number < SHAPES_OF_MANY else (FEW,):
            clean = cache(partial(_sampled, mesh_of(surface), n, [number, n]))
            for level in LEVELS:

                def make(
                    clean: Callable[[], Points] = clean, level: float = level, key: Sequence[int] = (number, n)
                ) -> Noisy:
                    return corrupted(Gaussian(level), clean(), [*key, round(1e4 * level)], partial(chamfer_to, clean()))

                trials.append(Trial(f"{thousands(n)}, {level:.0%}", surface.name, n, make))
    scores = setting.measure("counts", trials)
    cases = [f"{thousands(n)}, {level:.0%}" for n, level in product((FEW, MANY), LEVELS)]
    return [Row(case, quantity, relative(scores, setting.methods, case, "CD", INPUT), WORSE) for case in cases]


def _sampled(mesh: Mesh, n: int, key: list[int]) -> Points:
    return poisson_disk(*mesh, n, np.random.default_rng(key))[0]


def edges(setting: Setting) -> list[Row]:
    """Mean squared distance to the mesh in the band along sharp edges, over that in smooth areas.

    Of the method itself, and of that baseline which does best on the smooth areas of the shape (give --baselines).
    """
    trials = []
    for number, surface, n, clean in setting.clouds():
        for level in LEVELS:

            def judge(result: Points, pair: Any = (clean, surface.mesh)) -> dict[str, float]:
                there = Comparison(result, *pair)
                errors = {"edge": error_in(there, "edge"), "smooth": error_in(there, "smooth")}
                return {region: error for region, error in errors.items() if error is not None}

            make = partial(corrupted, Gaussian(level), clean, [number, n, round(1e4 * level)], judge)
            trials.append(Trial(f"{thousands(n)}, {level:.0%}", surface.name, n, make))
    scores = setting.measure("edges", trials, baselines=True)
    rows = []
    for n, level in product(setting.points, LEVELS):
        case = f"{thousands(n)}, {level:.0%}"
        own = {m: over(scores[case, "edge", m], scores[case, "smooth", m]) for m in (INPUT, *setting.methods)}
        rows.append(Row(case, "edge / own smooth", own))
        if setting.baselines:
            known = [scores[case, "smooth", name] for name in setting.baselines]
            best = {shape: float(np.nanmin([by_shape[shape] for by_shape in known])) for shape in known[0]}
            values = {m: over(scores[case, "edge", m], best) for m in (INPUT, *setting.methods)}
            rows.append(Row(case, "edge / best baseline's smooth", values, EDGE, "mean"))
    return rows


def plates(setting: Setting) -> list[Row]:
    """Two parallel plates, and a thin box: the share of points that end on the wrong side or near the mid-plane.

    `merged` are points of the two large faces that end beyond the mid-plane or within a quarter of the thickness of it;
    those near the rim do not count, which may rightly lie on a narrow side.
    What the noise itself has carried beyond the mid-plane nobody can tell from the other side: the bar, from a
    thickness of 4 spacings on. A spacing is 1 / sqrt(points per area).
    """
    merged, wrong = "merged", "of these on the wrong side"
    trials = []
    for kind, thickness, noise in product(("plates", "box"), THICKNESSES, PLATE_NOISES):
        make = partial(_noisy_plates, kind == "box", thickness, noise, (merged, wrong))
        trials.append(Trial(_plate_case(kind, thickness, noise), kind, 2 * SIDE**2, make))
    scores = setting.measure("plates", trials)
    rows = []
    for kind, thickness, noise in product(("plates", "box"), THICKNESSES, PLATE_NOISES):
        case = _plate_case(kind, thickness, noise)
        bar = scores[case, wrong, INPUT][kind] if thickness >= KEPT_APART else None
        for quantity in (merged, wrong):
            values = {name: scores[case, quantity, name] for name in (INPUT, *setting.methods)}
            rows.append(Row(case, quantity, values, bar, form=".2%"))
    return rows


def _plate_case(kind: str, thickness: float, noise: float) -> str:
    return f"{kind}, {thickness:g} thick, noise {noise:g}"


def _noisy_plates(closed: bool, thickness: float, noise: float, quantities: tuple[str, str]) -> Noisy:
    rng = np.random.default_rng([closed, round(100 * thickness), round(100 * noise)])
    clean, sheet = thin_box(thickness, rng, closed=closed)

    def judge(result: Points) -> dict[str, float]:
        return dict(zip(quantities, merged_shares(result, sheet, thickness), strict=True))

    return Noisy(clean + noise * rng.standard_normal(clean.shape), judge)


def thin_box(
    thickness: float, rng: np.random.Generator, *, closed: bool, side: float = SIDE
) -> tuple[Points, NDArray[np.int64]]:
    """A box about the origin, thin along z, with one point per unit of area.

    Args:
        thickness: along z.
        rng: the only source of randomness.
        closed: with its narrow sides, or else only the two plates.
        side: along x and y, more than `2 RIM`.

    Returns:
        points (n, 3), and the sheet (n,) of each: 1 above, -1 below, 0 on a narrow side and within `RIM` of one.
    """
    box = trimesh.creation.box((side, side, thickness))
    faces = np.asarray(box.faces)[closed | (np.abs(box.face_normals[:, 2]) > 0.5)]
    points, normals = poisson_disk(box.vertices, faces, round(2 * side**2 + closed * 4 * side * thickness), rng)
    inner = np.abs(points[:, :2]).max(axis=1) < side / 2 - RIM
    return points, np.rint(normals[:, 2]).astype(np.int64) * inner


def merged_shares(result: Points, sheet: NDArray[np.int64], thickness: float) -> tuple[float, float]:
    """Shares of the points of the two sheets: merged, and among all of them those beyond the mid-plane z = 0.

    With `h` the height above the mid-plane on the side of the point's own sheet, merged is `h < thickness / 4`.
    """
    height = (result[:, 2] * sheet)[sheet != 0]
    return float((height < thickness / 4).mean()), float((height < 0).mean())


def corrupted(
    model: NoiseModel, clean: Points, key: Sequence[int], judge: Callable[[Points], dict[str, float]]
) -> Noisy:
    """A clean cloud under noise that is seeded by `key`."""
    return Noisy(model(clean, np.random.default_rng(key)), judge)


def chamfer_to(clean: Points, result: Points) -> dict[str, float]:
    """As a judge."""
    return {"CD": chamfer_distance(result, clean)}


def over(numbers: ByShape, reference: ByShape) -> ByShape:
    """Quotients of each shape that both have."""
    return {shape: number / reference[shape] for shape, number in numbers.items() if shape in reference}


def relative(scores: Scores, methods: Iterable[str], case: str, quantity: str, to: str) -> dict[str, ByShape]:
    """What methods score in a case over what another one scores there."""
    return {name: over(scores[case, quantity, name], scores[case, quantity, to]) for name in methods}


def sphere(n: int) -> Points:
    """n evenly spread points of the unit sphere (Fibonacci lattice)."""
    i = np.arange(n) + 0.5
    z, azimuth = 1 - 2 * i / n, np.pi * (1 + 5**0.5) * i
    across = np.sqrt(1 - z**2)
    return np.stack([across * np.cos(azimuth), across * np.sin(azimuth), z], axis=1)


def mesh_of(surface: Surface) -> Mesh:
    """Of a surface that was sampled from one.

    Raises:
        UsageError: it is a cloud.
    """
    if surface.mesh is None:
        raise UsageError(f"{surface.name} is a cloud and has no mesh; give --meshes a folder of meshes only")
    return surface.mesh


def thousands(n: int) -> str:
    """10000 -> 10K."""
    return f"{n / 1000:g}K"


SECTIONS: dict[str, Callable[[Setting], list[Row]]] = {
    "harm": harm,
    "bias": signed_bias,
    "noise": other_noise,
    "scanner": scanner,
    "density": density,
    "counts": counts,
    "edges": edges,
    "plates": plates,
}


def table_of(rows: Sequence[Row]) -> Table:
    """A section as it is printed."""
    there = dict.fromkeys(method for row in rows for method in row.values)
    methods = sorted(there, key=lambda method: method != INPUT)
    table = Table(header_style="bold")
    for title in ("case", "quantity", "bar", "judged"):
        table.add_column(title, no_wrap=title != "quantity")
    for method in methods:
        table.add_column(method)
    case = ""
    for row in rows:
        bar = "" if row.bar is None else f"{row.bar:{row.form.lstrip('+')}}"
        cells = [row.cell(method) for method in methods]
        table.add_row("" if row.case == case else row.case, row.quantity, bar, row.judged if bar else "", *cells)
        case = row.case
    return table


def methods_of(names: Sequence[str]) -> dict[str, Method]:
    """Methods by the words they were asked for with.

    Raises:
        UsageError, ModelError: see `denoising_method`; or an oracle.
    """
    methods = {}
    for asked in names:
        name, *words = asked.split() or [""]
        methods[asked] = denoising_method(LEARNED if name == "auto" else name, words)
        if methods[asked].needs:
            raise UsageError(f"the method {name!r} needs the true mesh and is not blind; leave it out")
    return methods


def main(words: Sequence[str] | None = None) -> None:
    """Measure, print each section as it is done, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", nargs="+", default=["auto"], metavar="NAME", help="models, weights or methods")
    parser.add_argument("--baselines", nargs="+", default=[], metavar="NAME", help="methods that `edges` compares with")
    parser.add_argument("--meshes", type=Path, default=Path("data/meshes/val"), metavar="FOLDER")
    parser.add_argument(
        "--sections",
        nargs="+",
        default=list(SECTIONS),
        choices=SECTIONS,
        metavar="NAME",
        help=f"of {' '.join(SECTIONS)}; default: all",
    )
    parser.add_argument("--shapes", type=int, metavar="N", help="take the first so many shapes only")
    parser.add_argument("--points", type=int, nargs="+", default=list(RESOLUTIONS), choices=RESOLUTIONS)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number; anew after each section")
    options = parser.parse_args(words)
    console = Console() if sys.stdout.isatty() else Console(width=160)
    try:
        if options.shapes is not None and options.shapes < 1:
            raise UsageError(f"--shapes is {options.shapes}; give at least 1")
        if options.json:
            check_place(options.json, overwrite=True)
        methods, baselines = methods_of(options.model), methods_of(options.baselines)
        source = Folder(root=options.meshes, seed=0, resolutions=RESOLUTIONS, meshes=True, cache_dir="cache")
        surfaces = source.surfaces()[: options.shapes]
        setting = Setting(surfaces, options.points, methods, baselines)
        report: dict[str, Any] = {"environment": environment(), "model": options.model, "baselines": options.baselines}
        report |= {"shapes": [surface.name for surface in surfaces], "sections": {}}
        console.print(f"shapes: {', '.join(report['shapes'])}", highlight=False)
        for name in options.sections:
            started = time.perf_counter()
            rows = SECTIONS[name](setting)
            seconds = time.perf_counter() - started
            console.print(f"[bold]{name}[/bold]: {' '.join((SECTIONS[name].__doc__ or '').split())}", highlight=False)
            console.print(table_of(rows), highlight=False)
            console.print(f"{seconds:.0f} s\n", highlight=False)
            report["sections"][name] = {"seconds": seconds, "rows": [row.report() for row in rows]}
            if options.json:
                with replacing(options.json) as temporary:
                    temporary.write_text(json.dumps(without_nan(report), indent=1) + "\n", encoding="utf-8")
    except PcdenoiseError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
