"""Anonymity: measure it (`k_anonymity` … `delta_presence`), price it (`risk`), and make it (`Anonymizer`)."""

from ppc.desensitize.anonymity.anonymize import Anonymizer, anonymize
from ppc.desensitize.anonymity.measures import (
    alpha_k_anonymity,
    basic_beta_likeness,
    delta_disclosure,
    delta_presence,
    distinct_l_diversity,
    enhanced_beta_likeness,
    entropy_l_diversity,
    k_anonymity,
    k_map,
    recursive_l_diversity,
    t_closeness,
)
from ppc.desensitize.anonymity.recipe import read_hierarchies
from ppc.desensitize.anonymity.risk import Risk, risk
from ppc.desensitize.anonymity.summary import Summary, summarize
from ppc.desensitize.anonymity.utility import Utility, model_score

__all__ = [
    "Anonymizer",
    "Risk",
    "Summary",
    "Utility",
    "alpha_k_anonymity",
    "anonymize",
    "basic_beta_likeness",
    "delta_disclosure",
    "delta_presence",
    "distinct_l_diversity",
    "enhanced_beta_likeness",
    "entropy_l_diversity",
    "k_anonymity",
    "k_map",
    "model_score",
    "read_hierarchies",
    "recursive_l_diversity",
    "risk",
    "summarize",
    "t_closeness",
]
