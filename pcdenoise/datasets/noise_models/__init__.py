"""How a clean cloud becomes a noisy one: one model a file, one YAML a choice in conf/noise/.

A model called with clean points and a generator gives noisy points. All levels and other lengths are relative to the
unit sphere of the clean cloud (`Frame.unit_sphere`), as in the benchmark protocols; `NoiseModel.apply` is where they
are converted.
"""

from pcdenoise.datasets.noise_models.along_normal import AlongNormal
from pcdenoise.datasets.noise_models.catalogue import noise_config, noise_model, noise_names
from pcdenoise.datasets.noise_models.discrete import Discrete
from pcdenoise.datasets.noise_models.gaussian import AnisotropicGaussian, Gaussian
from pcdenoise.datasets.noise_models.laplace import Laplace
from pcdenoise.datasets.noise_models.mixture import Composition, Mixture
from pcdenoise.datasets.noise_models.model import Displacement, NoiseModel, NoisyPoints, Sample, add_noise
from pcdenoise.datasets.noise_models.outliers import ClusteredOutliers, UniformOutliers
from pcdenoise.datasets.noise_models.quantisation import Quantisation
from pcdenoise.datasets.noise_models.scanner import Scanner
from pcdenoise.datasets.noise_models.uniform_ball import UniformBall

__all__ = [
    "AlongNormal",
    "AnisotropicGaussian",
    "ClusteredOutliers",
    "Composition",
    "Discrete",
    "Displacement",
    "Gaussian",
    "Laplace",
    "Mixture",
    "NoiseModel",
    "NoisyPoints",
    "Quantisation",
    "Sample",
    "Scanner",
    "UniformBall",
    "UniformOutliers",
    "add_noise",
    "noise_config",
    "noise_model",
    "noise_names",
]
