"""Session credentials: a key pair with a token, which expires."""

import hmac
import secrets
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from dask_bake.errors import UsageError
from dask_bake.local.credentials import Credentials, new_key_pair
from dask_bake.local.signature import SignatureError

ROLE_LIFETIME = timedelta(hours=6)
"""The lifetime of the credentials of an instance's role."""
REMEMBERED = 10_000
"""The number of sessions that are known; of older ones, it is unknown that they have expired."""
LONGEST_LIFETIME = 43_200
MOMENT = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class Session:
    """Credentials of a role's session, or of one of the account's root user."""

    credentials: Credentials
    token: str = field(repr=False)
    began: datetime
    ends: datetime
    role: str = ""
    """The name of the role; empty for the root user."""
    name: str = ""
    """The session's name: the id of the instance that has the role."""

    @property
    def document(self) -> Mapping[str, str]:
        """The credentials as the metadata service has them."""
        return {
            "Code": "Success",
            "LastUpdated": self.began.strftime(MOMENT),
            "Type": "AWS-HMAC",
            "AccessKeyId": self.credentials.access_key,
            "SecretAccessKey": self.credentials.secret_key,
            "Token": self.token,
            "Expiration": self.ends.strftime(MOMENT),
        }

    def check(self, token: str, now: datetime) -> None:
        """Check the token of a request.

        Raises:
            SignatureError: when it is not the session's, or has expired.
        """
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            raise SignatureError(
                "InvalidToken", "The provided token is malformed or otherwise invalid.", status=400
            )
        if now >= self.ends:
            raise SignatureError("ExpiredToken", "The provided token has expired.", status=400)


class Sessions:
    """All sessions of a local cloud."""

    def __init__(self, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self.lifetime: timedelta | None = None
        """The lifetime of all new sessions, whatever is asked for; None for that."""
        self._now = now
        self._known: dict[str, Session] = {}
        self._of_instances: dict[tuple[str, str], Session] = {}
        self._lock = threading.Lock()

    def set_lifetime(self, seconds: object) -> None:
        """Set the lifetime of all sessions that are made from now on; None for what is asked for.

        Raises:
            UsageError: when it is no possible number of seconds.
        """
        is_number = isinstance(seconds, int) and not isinstance(seconds, bool)
        if seconds is not None and not (is_number and 1 <= int(str(seconds)) <= LONGEST_LIFETIME):
            raise UsageError(
                f"{seconds!r} is no lifetime of credentials", hint=f"give 1 to {LONGEST_LIFETIME} seconds"
            )
        with self._lock:
            self.lifetime = None if seconds is None else timedelta(seconds=int(str(seconds)))
            self._of_instances.clear()

    def start(self, lifetime: timedelta, *, role: str = "", name: str = "") -> Session:
        """Start a session of the role, or of the root user."""
        with self._lock:
            return self._start(lifetime, role, name)

    def _start(self, lifetime: timedelta, role: str, name: str) -> Session:
        now = self._now().replace(microsecond=0)
        ends = now + (self.lifetime or lifetime)
        made = Session(new_key_pair(), secrets.token_urlsafe(200), now, ends, role, name)
        self._known[made.credentials.access_key] = made
        for access_key in tuple(self._known)[:-REMEMBERED]:
            del self._known[access_key]
        return made

    def of_instance(self, instance_id: str, role: str) -> Session:
        """Return the credentials of an instance's role, the same until half of their lifetime is over."""
        with self._lock:
            found = self._of_instances.get((instance_id, role))
            if found is None or self._now() - found.began >= (found.ends - found.began) / 2:
                found = self._start(ROLE_LIFETIME, role, instance_id)
                self._of_instances[instance_id, role] = found
                for each in tuple(self._of_instances)[:-REMEMBERED]:
                    del self._of_instances[each]
            return found

    def find(self, access_key: str) -> Session | None:
        """Return the session with that access key, also one that has expired."""
        with self._lock:
            return self._known.get(access_key)
