"""Numba kernels over the raw buffers of Arrow arrays: arrays in, arrays out, no objects.

Every kernel takes the 32-bit offsets and the bytes of a string array (`off[i]..off[i+1]` is row i) and writes into
arrays that the caller made. The tests hold each against a plain Python twin.
"""
