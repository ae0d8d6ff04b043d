"""Correlated randomness: what parties spend in a protocol, and where it comes from."""
