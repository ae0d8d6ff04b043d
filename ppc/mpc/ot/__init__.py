"""Oblivious transfer and vector oblivious linear evaluation: what two parties need to make correlated randomness."""
