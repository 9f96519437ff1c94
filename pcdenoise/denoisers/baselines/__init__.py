"""Denoisers that nobody trained: one method a file, one YAML a choice in conf/method/.

Each answers to `pcdenoise.denoisers.method.Method`. Those that smooth are `Baseline`s: they see the cloud in units of
its spacing, and their parameters go by its noise.
"""
