"""Modular arithmetic on eight numbers at a time, with AVX-512 IFMA, in numba."""
