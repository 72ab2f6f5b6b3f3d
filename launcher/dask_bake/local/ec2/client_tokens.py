"""One answer for each client token, so that a request that is sent again does nothing again."""

import hashlib
import json
from collections.abc import Callable

from werkzeug.wrappers import Response

from dask_bake.local.query_protocol import Call, Refusal


class ClientTokens:
    """What was answered, by operation, region and token; forgotten when the server ends."""

    def __init__(self) -> None:
        self._answers: dict[tuple[str, str, str, str], tuple[str, Response]] = {}

    def once(self, call: Call, act: Callable[[], Response], *, scope: str = "") -> Response:
        """What ``act`` answers, or answered when the same token came with the same request.

        The token counts in its scope: the region, or a zone of it.

        Raises:
            Refusal: when the token was used for another request.
        """
        token = call.parameters.get("ClientToken", "")
        key = (call.action, call.region, scope, token)
        request = hashlib.sha256(json.dumps(sorted(call.parameters.items())).encode()).hexdigest()
        if key in self._answers:
            earlier, answer = self._answers[key]
            if earlier != request:
                raise Refusal("IdempotentParameterMismatch", "The token was used with other parameters.")
            return answer
        answer = act()
        if token and answer.status_code == 200:
            self._answers[key] = (request, answer)
        return answer
