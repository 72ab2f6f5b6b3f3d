"""Access of a role's session to S3: what its policies permit, and what is public."""

from collections.abc import Mapping
from typing import Any

from dask_bake.local.gateway.public_s3 import IsPublic, is_allowed
from dask_bake.local.iam.policies import decision
from dask_bake.local.iam.roles import role_policies, session_arn
from dask_bake.local.iam.s3_actions import s3_actions
from dask_bake.local.iam.sessions import Session
from dask_bake.local.signature import SignatureError


def check_access(environ: Mapping[str, Any], session: Session, is_public: IsPublic) -> None:
    """Check that the session's role may make the request.

    Raises:
        SignatureError: when it may not, with S3's message.
    """
    actions = s3_actions(environ)
    if not actions:
        raise SignatureError("AccessDenied", "Access Denied")
    policies = role_policies(session.role)
    for action in actions:
        decided = decision(policies, action.name, action.resource, action.context)
        if decided is False or not (decided or is_allowed(environ, is_public)):
            raise SignatureError("AccessDenied", _message(session, action.name, action.resource))


def _message(session: Session, action: str, resource: str) -> str:
    return (
        f"User: {session_arn(session.role, session.name)} is not authorized to perform: {action} on"
        f' resource: "{resource}" because no identity-based policy allows the {action} action'
    )
