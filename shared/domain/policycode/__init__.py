"""Policies as code: declared in the rules, checked against Azure's limits, compared, applied.

Pure: bodies in, bodies out. `shared/ensure.py` makes the plan and carries it out on request; Azure
takes about 50 policy edits a day per vault, so a run may stop and is continued the next day.
Shortening what is kept is refused unless the caller names the policy.
"""

from shared.domain.policycode.body import from_body, to_body
from shared.domain.policycode.check import problems
from shared.domain.policycode.plan import Create, Keep, Plan, Refuse, Update, plan

__all__ = [
    "Create",
    "Keep",
    "Plan",
    "Refuse",
    "Update",
    "from_body",
    "plan",
    "problems",
    "to_body",
]
