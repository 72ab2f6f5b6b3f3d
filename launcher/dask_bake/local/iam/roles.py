"""Instance profiles and the policies of roles, as moto's IAM has them."""

import json
from collections.abc import Iterator
from typing import Any

from dask_bake.local.iam.policies import Policy
from dask_bake.local.iam.sessions import MOMENT, Sessions
from dask_bake.local.moto.models import DEFAULT_ACCOUNT_ID, NoSuchEntity, iam_backends
from dask_bake.local.network.imds import ProfileMetadata


def _backend() -> Any:
    return iam_backends[DEFAULT_ACCOUNT_ID]["aws"]


def profile_metadata(sessions: Sessions, instance: Any) -> ProfileMetadata | None:
    """Return an instance's profile with its role's credentials; None without a profile."""
    attached = instance.iam_instance_profile
    if not attached:
        return None
    try:
        profile = _backend().get_instance_profile_by_arn(attached["Arn"])
    except NoSuchEntity:
        return None
    role = profile.roles[0].name if profile.roles else ""
    session = sessions.of_instance(instance.id, role) if role else None
    updated = (profile.create_date if session is None else session.began).strftime(MOMENT)
    return ProfileMetadata(
        arn=profile.arn,
        id=profile.id,
        updated=updated,
        role=role,
        credentials={} if session is None else session.document,
    )


def role_policies(role: str) -> tuple[Policy, ...]:
    """Return a role's inline and attached policies; none for a role that does not exist any more."""
    try:
        return tuple(_read_policies(role))
    except NoSuchEntity:
        return ()


def _read_policies(role: str) -> Iterator[Policy]:
    backend = _backend()
    documents = [backend.get_role_policy(role, name)[1] for name in backend.list_role_policies(role)]
    for attached in backend.get_role(role).managed_policies.values():
        documents += [version.document for version in attached.versions if version.is_default]
    for document in documents:
        yield json.loads(document) if isinstance(document, str) else document


def session_arn(role: str, name: str) -> str:
    """Return the ARN of a role's session."""
    return f"arn:aws:sts::{DEFAULT_ACCOUNT_ID}:assumed-role/{role}/{name}"
