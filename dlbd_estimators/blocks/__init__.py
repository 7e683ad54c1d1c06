"""Blocks of aligned rows, which kernels read, from NumPy, Dask or Zarr data."""
