"""Owner of resources: the person who made them, as their tags say.

A cluster's owner is what its tags say: it protects from mistakes, not from people who may change tags.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from dask_bake.models.tags import Tag, Tags
from dask_bake.system.text import printable

PERSON = re.compile(
    r"arn:[a-z-]+:(?:iam|sts)::[0-9]{12}:(?:user|assumed-role|federated-user)/(?:.*/)?([^/]+)"
)
"""ARN of an identity that has a name; that of an account's root user has none."""
GENERATED_SESSION = re.compile(
    r"(?:botocore-session|AWSCLI-Session|aws-go-sdk|aws-sdk-[a-z]+)[-0-9]*|i-[0-9a-f]{8,17}|[0-9a-f]{32}"
)
"""Names of sessions that an SDK, an instance or a container chose: they name no person."""
FOREIGN_CHARACTER = re.compile(r"[^A-Za-z0-9+\-=._:/@ ]")
"""Characters that tags of some AWS services do not allow."""
LONGEST_USER, LONGEST_ARN = 64, 256


@dataclass(frozen=True)
class Owner:
    """The person who makes something.

    Args:
        user: name of the IAM user or of the role's session, else user and host of this machine; "" if
            nothing is known.
        arn: the caller's ARN; "" if it cannot be read.
    """

    user: str = ""
    arn: str = ""

    def owns(self, owners: Sequence[str]) -> bool:
        """Return whether a resource with these owners in its tags is this person's, and nobody else's."""
        return bool(self.user) and tuple(owners) == (self.user,)

    @property
    def tags(self) -> Tags:
        """The tags of everything that this person makes."""
        return tuple(
            (key, value) for key, value in ((Tag.OWNER, self.user), (Tag.OWNER_ARN, self.arn)) if value
        )


NOBODY = Owner()


def owner_of(arn: str, local_user: str) -> Owner:
    """Return the owner with that ARN, who is ``local_user`` (``anna@laptop``) on this machine."""
    named = PERSON.fullmatch(arn)
    user = local_user if named is None or GENERATED_SESSION.fullmatch(named[1]) else named[1]
    return Owner(_tag_value(user, LONGEST_USER), _tag_value(arn, LONGEST_ARN))


def tagged_owners(resources: Iterable[Tags]) -> tuple[str, ...]:
    """Return the different owners in the tags of resources; empty if no resource has the tag."""
    users = (dict(tags).get(Tag.OWNER, "") for tags in resources)
    return tuple(dict.fromkeys(user for user in users if user))


def shown(owners: Sequence[str]) -> str:
    """Return owners as tags have them, which anybody can write, in at most so many printable characters."""
    text = printable(", ".join(owners), keep="")
    return text if len(text) <= LONGEST_USER else f"{text[: LONGEST_USER - 1]}…"


def _tag_value(text: str, longest: int) -> str:
    return FOREIGN_CHARACTER.sub("_", text)[:longest]
