"""Secure aggregation: pooled sums, and tests of pooled counts, among 2 to 50 sites of which some may drop out."""

from ppc.mpc.aggregate.aggregation import Aggregation, Sum
from ppc.mpc.aggregate.star import default_quorum

__all__ = ["Aggregation", "Sum", "default_quorum"]
