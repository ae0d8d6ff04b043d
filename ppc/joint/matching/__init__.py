"""Two parties match the rows of their files by key, without a coordinator: settings and plan, the run, the output."""

from ppc.joint.matching.output import write_matched
from ppc.joint.matching.run import Matching, match, prepare_passes
from ppc.joint.matching.settings import Settings, plan

__all__ = ["Matching", "Settings", "match", "plan", "prepare_passes", "write_matched"]
