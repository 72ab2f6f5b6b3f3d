"""Temporary AWS credentials, as a client forwards them to its cluster."""

from dataclasses import dataclass, field
from datetime import UTC, datetime

MOMENT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class TemporaryCredentials:
    """Credentials that expire. No representation of them has the secrets."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expires: datetime

    @property
    def document(self) -> dict[str, str]:
        """The credentials as AWS SDKs read them in a container."""
        return {
            "AccessKeyId": self.access_key,
            "SecretAccessKey": self.secret_key,
            "Token": self.token,
            "Expiration": self.expires.astimezone(UTC).strftime(MOMENT),
        }
