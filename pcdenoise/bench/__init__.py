"""Benchmarks: every method on every noisy cloud, what it costs, and tables of the result.

`scenes` makes the noisy clouds, `entrants` the methods, `runner` brings them together and writes one `log.Record` a
cell; `summary` turns records into tables, `formats` and `page` turn tables into files.
"""
