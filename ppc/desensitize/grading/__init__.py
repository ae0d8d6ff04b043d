"""Grading: rule packs that say how sensitive a category of data is, each rule with the clause it rests on."""

from ppc.desensitize.grading.pack import Basis, Pack, Rule, available, chosen_packs, grade

__all__ = ["Basis", "Pack", "Rule", "available", "chosen_packs", "grade"]
