"""Denoisers that nobody trained: one method a file, one YAML a choice in conf/method/.

Each answers to `pcdenoise.denoisers.method.Method`. A `LocalMethod` sees the cloud in units of its spacing; the
parameters of a `TunedMethod` go by its noise.
"""
