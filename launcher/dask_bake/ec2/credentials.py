"""Credentials of botocore sessions: every failure to find or to refresh them is a ``UsageError``.

botocore passes on whatever its parsers, caches and the user's credential helpers raise, at the first call or
at a later one. ``check_credentials`` makes a session's credentials translate that, and ``settings_errors``
does the same for the rest of the user's AWS settings.
"""

import getpass
import json
import os
import re
import shlex
import subprocess
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import Any

from botocore.credentials import ProcessProvider
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    ProfileNotFound,
    SSOError,
    TokenRetrievalError,
)
from botocore.exceptions import ConnectionError as AwsConnectionError
from botocore.parsers import ResponseParserError
from botocore.session import Session

from dask_bake.ec2.errors import THROTTLED, code_of, is_fault
from dask_bake.errors import BakeError, UsageError
from dask_bake.events import Note, Notify, ignore

HELPER_TIMEOUT = 300.0
"""Seconds for a ``credential_process``, which may ask the user to log in."""
SECRETS = re.compile(
    r"""(?P<name>[\w-]*(?:passw(?:or)?d|secret|token|key)[\w-]*["']?(?:\s*[:=]\s*["']?|\s+is\s+(?=\S*\d)))[^\s"',;]+"""
    r"""|(?<=://)[^/\s@]+@"""
    r"""|(?<![\w/.:-])(?=[^\s]*\d)[A-Za-z0-9+_=-][A-Za-z0-9+/_=-]{31,}""",
    re.IGNORECASE,
)
"""Named secrets, credentials in URLs, and long words such as session tokens, in a helper's own message."""
BOTOCORE_PREFIX = "Error when retrieving credentials from custom-process:"
NOTE_AFTER = 5.0
"""Seconds after which a note says that a helper is waited for."""
COMPLETION = "_DASK_BAKE_COMPLETE"
"""Variable by which a shell asks for completions: nobody expects a question then."""
LONGEST_REASON = 300
"""Characters of a helper's or botocore's own message."""


def check_credentials(
    session: Session,
    *,
    notify: Notify = ignore,
    helper_timeout: float = HELPER_TIMEOUT,
    note_after: float = NOTE_AFTER,
) -> None:
    """Make the session's credentials raise only ``UsageError``, or an error after which a retry may help.

    Helpers get a time limit, and a role's MFA code is asked for only where somebody can type it.
    """
    resolver: Any = session.get_component("credential_provider")
    start = partial(
        _Helper, seconds=helper_timeout, note_after=note_after, tell=partial(_note, session, notify)
    )
    limit = partial(_limited, session, start)
    resolver.providers = limit(session.profile or "default", resolver.providers)
    # botocore has no other way to set these two in its own chain of providers.
    role: Any = resolver.get_provider("assume-role")
    role._prompter = partial(_ask_for_code, session)  # noqa: SLF001
    role._profile_provider_builder = _Profiles(role._profile_provider_builder, limit)  # noqa: SLF001
    session.register_component("credential_provider", _CheckedResolver(resolver, session))


@contextmanager
def settings_errors(session: Session) -> Iterator[None]:
    """Translate what botocore raises about the user's AWS settings into a ``UsageError``."""
    try:
        yield
    except BakeError:
        raise
    except Exception as error:  # botocore does not wrap what its parsers raise
        raise _settings_error(session, error) from error


@contextmanager
def credential_errors(session: Session) -> Iterator[None]:
    """Translate what botocore raises while it finds or refreshes credentials into a ``UsageError``."""
    try:
        yield
    except BakeError:
        raise
    except Exception as error:  # whatever a helper, a cache or a file causes
        raise _credentials_error(session, error) from error


class _CheckedResolver:
    """botocore's ``CredentialResolver``, with ``_CheckedCredentials``."""

    def __init__(self, resolver: Any, session: Session) -> None:
        self._resolver = resolver
        self._session = session

    def load_credentials(self) -> "_CheckedCredentials | None":
        with credential_errors(self._session):
            found = self._resolver.load_credentials()
        return None if found is None else _CheckedCredentials(found, self._session)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resolver, name)


class _CheckedCredentials:
    """botocore's credentials, whose attributes may refresh them."""

    def __init__(self, credentials: Any, session: Session) -> None:
        self._credentials = credentials
        self._session = session
        self._timed_out: UsageError | None = None

    def get_frozen_credentials(self) -> Any:
        return self._refreshed(lambda: _checked(self._credentials.get_frozen_credentials()))

    def get_deferred_property(self, name: str) -> Callable[[], Any]:
        return lambda: self._refreshed(self._credentials.get_deferred_property(name))

    def __getattr__(self, name: str) -> Any:
        return self._refreshed(lambda: getattr(self._credentials, name))

    def _refreshed(self, call: Callable[[], Any]) -> Any:
        if (earlier := self._timed_out) is not None:  # a clean-up would wait for the helper at each call
            raise UsageError(earlier.message, hint=earlier.hint)
        try:
            return call()
        except BakeError:
            raise
        except Exception as error:  # whatever a helper, a cache or a file causes
            if _may_pass(error):
                raise
            translated = _credentials_error(self._session, error)
            if isinstance(error, subprocess.TimeoutExpired):
                self._timed_out = translated
            raise translated from error


def _checked(frozen: Any) -> Any:
    """Return the keys if they can be sent; a helper may print numbers, and environment variables anything."""
    access, secret, token = frozen[:3]
    if access and secret and all(_is_sendable(each) for each in (access, secret, token or "")):
        return frozen
    raise ValueError("a key is missing, or contains something other than ASCII text without spaces")


def _is_sendable(key: object) -> bool:
    return isinstance(key, str) and key.isascii() and key.isprintable() and " " not in key


class _Helper(subprocess.Popen[bytes]):
    """A ``credential_process`` that is killed after so many seconds.

    Args:
        note_after: seconds after which ``tell`` is called with the limit.
    """

    def __init__(
        self,
        command: list[str],
        *,
        seconds: float,
        note_after: float,
        tell: Callable[[float], None],
        **options: Any,
    ) -> None:
        self._seconds, self._note_after, self._tell = seconds, note_after, tell
        super().__init__(command, **options)

    def communicate(self, *arguments: Any, **options: Any) -> tuple[Any, Any]:
        """Return the output, within the time limit."""
        if self._note_after < self._seconds:
            with suppress(subprocess.TimeoutExpired):
                return super().communicate(*arguments, **{**options, "timeout": self._note_after})
            self._tell(self._seconds)
        try:
            return super().communicate(*arguments, **{"timeout": self._seconds, **options})
        except subprocess.TimeoutExpired:
            self.kill()
            self.wait()
            # Its children may hold the pipes open.
            for pipe in filter(None, (self.stdout, self.stderr)):
                pipe.close()
            raise


class _Profiles:
    """botocore's ``ProfileProviderBuilder``, for the profiles that a role names as its source."""

    def __init__(self, builder: Any, limit: Callable[[str, list[Any]], list[Any]]) -> None:
        self._builder = builder
        self._limit = limit

    def providers(self, profile_name: str, disable_env_vars: Any = None) -> list[Any]:
        return self._limit(profile_name, self._builder.providers(profile_name, bool(disable_env_vars)))


def _note(session: Session, notify: Notify, seconds: float) -> None:
    """Say that the helper is waited for; it may have opened a page in the browser."""
    helper = _helper_of(session) or "credential_process"
    limit = f"{seconds / 60:.0f} min" if seconds >= 60 else f"{seconds:.0f} s"
    notify(Note(f"Waiting for {helper}, the credential helper of {_owner(session)}, for at most {limit} …"))


def _limited(
    session: Session, start: Callable[..., _Helper], profile: str, providers: list[Any]
) -> list[Any]:
    """Return the providers of the profile, with a time limit for its helper."""
    limited = ProcessProvider(profile, lambda: session.full_config, start)
    return [limited if isinstance(each, ProcessProvider) else each for each in providers]


def _ask_for_code(session: Session, question: str) -> str:
    """Ask for an MFA code, by the ``getpass`` of the moment: Jupyter has its own."""
    if COMPLETION in os.environ:
        raise UsageError(f"{_owner(session)} needs an MFA code", hint="run a command that asks for it")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", getpass.GetPassWarning)
            return getpass.getpass(question)
    except (getpass.GetPassWarning, EOFError) as error:
        raise UsageError(
            f"{_owner(session)} needs an MFA code, and there is no terminal to type it in",
            hint="run the command in a terminal, or set the keys that aws sts get-session-token prints",
        ) from error


def _may_pass(error: BaseException) -> bool:
    """Return whether a retry may help: AWS did not respond, failed, or is throttling."""
    if isinstance(error, ClientError):
        return is_fault(error) or code_of(error) in THROTTLED
    return isinstance(error, AwsConnectionError | HTTPClientError | ResponseParserError)


def _settings_error(session: Session, error: Exception) -> UsageError:
    if isinstance(error, ProfileNotFound) and not session.profile:
        return UsageError("AWS_PROFILE is set, and empty", hint="unset AWS_PROFILE")
    if isinstance(error, ProfileNotFound):
        names = ", ".join(session.available_profiles)
        hint = f"there is {names}" if names else "aws configure sso, or aws configure, makes one"
        return UsageError(f"the AWS settings cannot be used: {error}", hint=hint)
    return UsageError(f"the AWS settings cannot be used: {_reason(error)}", hint="see aws configure list")


def _credentials_error(session: Session, error: Exception) -> UsageError:
    name, owner = session.profile or "default", _owner(session)
    if isinstance(error, SSOError | TokenRetrievalError) or (
        isinstance(error, KeyError) and _is_single_sign_on(session)
    ):
        # botocore raises KeyError for a cached token that is broken.
        why = "its token cannot be read" if isinstance(error, KeyError) else error
        return UsageError(
            f"the AWS profile {name} is not logged in: {why}", hint=f"aws sso login --profile {name}"
        )
    helper = _helper_of(session)
    if helper is not None and not isinstance(error, ClientError | SSOError):
        return UsageError(
            f"{owner} cannot be used: its credential_process {helper} {_helper_reason(error, helper)}",
            hint="run the program that credential_process names in a terminal, and correct what it says",
        )
    hint = "check the network and the proxy" if _may_pass(error) else "see aws sts get-caller-identity"
    return UsageError(f"{owner} cannot be used: {_reason(error)}", hint=hint)


def _owner(session: Session) -> str:
    return f"the AWS profile {session.profile}" if session.profile else "the AWS credentials"


def _is_single_sign_on(session: Session) -> bool:
    return bool({"sso_session", "sso_start_url"} & session.get_scoped_config().keys())


def _helper_of(session: Session) -> str | None:
    """Return the program of the profile's ``credential_process``, or of the profile that is its source."""
    profiles: dict[str, Any] = session.full_config.get("profiles", {})
    name, seen = session.profile or "default", set()
    while name in profiles and name not in seen:
        seen.add(name)
        command = profiles[name].get("credential_process")
        if command:
            # Arguments may be secret.
            try:
                return shlex.split(command)[0]
            except (ValueError, IndexError):
                return str(command).split(maxsplit=1)[0]
        name = profiles[name].get("source_profile", "")
    return None


def _helper_reason(error: Exception, helper: str) -> str:
    match error:
        case subprocess.TimeoutExpired():
            return f"did not end within {error.timeout:.0f} s"
        case json.JSONDecodeError() | UnicodeDecodeError() | AttributeError() | TypeError():
            return "did not print JSON as boto3 expects it"
        case FileNotFoundError() if error.filename == helper:
            return "does not exist"
        case OSError() if error.filename == helper:
            return f"cannot be started: {error.strerror}"
    said = _reason(error).removeprefix(BOTOCORE_PREFIX).strip()
    return f"failed: {SECRETS.sub(lambda found: (found['name'] or '') + '…', said)}" if said else "failed"


def _reason(error: Exception) -> str:
    """Return botocore's message; of an exception that is not meant for users, its class too."""
    match error:
        case OSError() if error.filename and error.strerror:
            text = f"{error.filename}: {error.strerror}"
        case BotoCoreError() | ClientError() | ValueError() | OSError() | RuntimeError():
            text = str(error)
        case _:
            text = f"boto3 fails with {type(error).__name__}: {error}"
    text = " ".join("".join(each if each.isprintable() else " " for each in text).split()).rstrip(".")
    return text if len(text) <= LONGEST_REASON else f"{text[:LONGEST_REASON]}…"
