"""Idempotency by client token: a repeated request repeats the response and does nothing."""

import hashlib
import json
from collections.abc import Callable

from werkzeug.wrappers import Response

from dask_bake.local.query_protocol import Refusal, Request


class ClientTokens:
    """The responses by operation, region, scope and token, for as long as the server runs."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, str, str], tuple[str, Response]] = {}

    def once(self, request: Request, act: Callable[[], Response], *, scope: str = "") -> Response:
        """Return the response of ``act``, or its earlier response to the same token and request.

        Tokens are unique within their scope: the region, or a zone of it.

        Raises:
            Refusal: when the token was used with other parameters.
        """
        token = request.parameters.get("ClientToken", "")
        key = (request.action, request.region, scope, token)
        digest = hashlib.sha256(json.dumps(sorted(request.parameters.items())).encode()).hexdigest()
        if key in self._answers:
            earlier, answer = self._answers[key]
            if earlier != digest:
                raise Refusal("IdempotentParameterMismatch", "The token was used with other parameters.")
            return answer
        answer = act()
        if token and answer.status_code == 200:
            self._answers[key] = (digest, answer)
        return answer
