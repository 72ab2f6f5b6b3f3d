"""EC2's query protocol: requests, responses, errors and filters."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request as HttpRequest
from werkzeug.wrappers import Response

from dask_bake.local.faults.model import Fault

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


class Refusal(Exception):  # noqa: N818 - it is a response, not a defect
    """An EC2 error response."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def response(self) -> Response:
        """Return the error in EC2's XML."""
        body = (
            f"<Response><Errors><Error><Code>{escape(self.code)}</Code><Message>{escape(self.message)}</Message>"
            "</Error></Errors><RequestID>local</RequestID></Response>"
        )
        return Response(body, status=self.status, mimetype="text/xml")


def error_response(service: str, code: str, status: int, message: str) -> Response:
    """Return an error in the format of the service's protocol."""
    if service == "ec2":
        return Refusal(code, message, status).response()
    if service in ("iam", "sts"):
        body = (
            f"<ErrorResponse><Error><Code>{escape(code)}</Code><Message>{escape(message)}</Message></Error>"
        )
        return Response(f"{body}</ErrorResponse>", status=status, mimetype="text/xml")
    problem = json.dumps({"__type": code, "message": message})
    return Response(problem, status=status, mimetype="application/x-amz-json-1.1")


@dataclass
class Request:
    """An EC2 request; operations may change its parameters before moto reads them."""

    action: str
    region: str
    parameters: dict[str, str]
    faults: tuple[Fault, ...] = ()
    """Faults of the instances that the request launches."""

    @property
    def is_dry_run(self) -> bool:
        """Return whether the request is a dry run."""
        return self.parameters.get("DryRun") == "true"

    def answer(self, content: str = "<return>true</return>") -> Response:
        """Return a response with that XML as its content."""
        body = (
            f'<{self.action}Response xmlns="{NAMESPACE}"><requestId>local</requestId>'
            f"{content}</{self.action}Response>"
        )
        return Response(body, mimetype="text/xml")

    def end_dry_run(self) -> None:
        """End a dry run, whose checks have passed, with EC2's DryRunOperation error."""
        if self.is_dry_run:
            raise Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)

    def ids(self, prefix: str) -> tuple[str, ...]:
        """Return the values of a numbered list parameter such as ``InstanceId.1``."""
        return tuple(value for key, value in self.parameters.items() if re.fullmatch(rf"{prefix}\.\d+", key))

    def take_tags(self, resource: str) -> dict[str, str]:
        """Remove the TagSpecifications of a resource type, and return their tags."""
        taken: dict[str, str] = {}
        kept: list[dict[str, str]] = []
        for specification in self._take_specifications():
            if specification["ResourceType"] == resource:
                taken |= _tags(specification)
            else:
                kept.append(specification)
        for number, specification in enumerate(kept, start=1):  # moto stops reading at a gap
            for name, value in specification.items():
                self.parameters[f"TagSpecification.{number}.{name}"] = value
        return taken

    def _take_specifications(self) -> list[dict[str, str]]:
        found: dict[int, dict[str, str]] = {}
        for key in tuple(self.parameters):
            match = re.fullmatch(r"TagSpecification\.(\d+)\.(.+)", key)
            if match:
                found.setdefault(int(match[1]), {"ResourceType": ""})[match[2]] = self.parameters.pop(key)
        return [found[number] for number in sorted(found)]


Content: TypeAlias = "str | Mapping[str, Content] | Sequence[str | Mapping[str, Content]]"


def items(content: Mapping[str, Content]) -> str:
    """Return the content as elements of EC2's XML; a list becomes ``item`` elements."""
    return "".join(f"<{name}>{_inside(value)}</{name}>" for name, value in content.items())


def _inside(value: Content) -> str:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return items(value)
    return "".join(f"<item>{escape(one) if isinstance(one, str) else items(one)}</item>" for one in value)


@dataclass(frozen=True)
class Filters:
    """The filters of a Describe request: names, each with values of which one must match."""

    wanted: tuple[tuple[str, tuple[str, ...]], ...]

    def match(self, properties: Mapping[str, str], tags: Mapping[str, str]) -> bool:
        """Return whether a resource with these properties and tags matches.

        Raises:
            Refusal: when the resource has no such filter.
        """
        return all(
            any(fnmatchcase(found, value) for found in _values(name, properties, tags) for value in values)
            for name, values in self.wanted
        )


def _values(name: str, properties: Mapping[str, str], tags: Mapping[str, str]) -> Sequence[str]:
    if name == "tag-key":
        return tuple(tags)
    if name.startswith("tag:"):
        return tuple(value for key, value in tags.items() if key == name.removeprefix("tag:"))
    if name not in properties:
        raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")
    return (properties[name],)


def filters_of(request: Request) -> Filters:
    """Return the filters of a Describe request."""
    names = {
        match[1]: value
        for key, value in request.parameters.items()
        if (match := re.fullmatch(r"Filter\.(\d+)\.Name", key))
    }
    return Filters(tuple((name, request.ids(rf"Filter\.{number}\.Value")) for number, name in names.items()))


def _tags(specification: dict[str, str]) -> dict[str, str]:
    return {
        key: specification.get(name.removesuffix("Key") + "Value", "")
        for name, key in specification.items()
        if name.endswith(".Key")
    }


def read_request(environ: dict[str, Any], region: str) -> tuple[Request, bytes]:
    """Read a request and its body; parameters are in the body, as a form or as JSON, or in the URL."""
    http = HttpRequest(environ)
    body = http.get_data()
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        content = json.loads(body or b"{}")
        return Request(
            target.rpartition(".")[2], region, {name: str(value) for name, value in content.items()}
        ), body
    text = body.decode(errors="replace") or environ.get("QUERY_STRING", "")
    parameters = dict(parse_qsl(text, keep_blank_values=True))
    return Request(parameters.get("Action", ""), region, parameters), body
