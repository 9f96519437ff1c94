"""pcdenoise: clean noisy 3D point clouds."""

__version__ = "0.1.0"
