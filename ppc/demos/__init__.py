"""Whole computations on this machine, for people who want to see before they read: real processes, real data."""
