"""Kernels that Dask places: where they run, and what becomes of them when a machine goes."""
