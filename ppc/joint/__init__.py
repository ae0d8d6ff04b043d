"""What parties compute together: jobs of steps, plans that say what each party will learn, and the runs of them."""

from ppc.joint.context import Context, Event
from ppc.joint.job import Job, Step
from ppc.joint.operator import EVERYONE, Cost, Disclosure, Operator, Params, PlanView
from ppc.joint.party import PartyResult, StepResult, run_party
from ppc.joint.plan import Plan, plan
from ppc.joint.simulate import outcomes, simulate

__all__ = [
    "EVERYONE",
    "Context",
    "Cost",
    "Disclosure",
    "Event",
    "Job",
    "Operator",
    "Params",
    "PartyResult",
    "Plan",
    "PlanView",
    "Step",
    "StepResult",
    "outcomes",
    "plan",
    "run_party",
    "simulate",
]
