"""What an EC2 request asks for, what answers look like, and how EC2 says no."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any, TypeAlias
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

from dask_bake.local.faults.model import Fault

NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


class Refusal(Exception):  # noqa: N818 - it is EC2's answer, not a defect
    """An error that EC2 answers with."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status

    def response(self) -> Response:
        """The error in EC2's XML."""
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
class Call:
    """An EC2 request; its parameters may be changed on the way to moto."""

    action: str
    region: str
    parameters: dict[str, str]
    faults: tuple[Fault, ...] = ()
    """What goes wrong with what the request makes."""

    @property
    def is_dry_run(self) -> bool:
        """Whether the request is only to be checked."""
        return self.parameters.get("DryRun") == "true"

    def answer(self, content: str = "<return>true</return>") -> Response:
        """Our own answer, around that XML."""
        body = (
            f'<{self.action}Response xmlns="{NAMESPACE}"><requestId>local</requestId>'
            f"{content}</{self.action}Response>"
        )
        return Response(body, mimetype="text/xml")

    def refuse_dry_run(self) -> None:
        """Say so if the request was only to be checked, which it was up to here."""
        if self.is_dry_run:
            raise Refusal("DryRunOperation", "Request would have succeeded, but DryRun flag is set.", 412)

    def ids(self, prefix: str) -> tuple[str, ...]:
        """The values of a numbered list parameter such as ``InstanceId.1``."""
        return tuple(value for key, value in self.parameters.items() if re.fullmatch(rf"{prefix}\.\d+", key))

    def take_tags(self, resource: str) -> dict[str, str]:
        """Remove the TagSpecifications of that kind of resource, and return their tags."""
        taken: dict[str, str] = {}
        kept: list[dict[str, str]] = []
        for specification in self._take_specifications():
            if specification["ResourceType"] == resource:
                taken |= _tags(specification)
            else:
                kept.append(specification)
        for number, specification in enumerate(kept, start=1):  # moto reads no further than a gap
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
    """Elements in EC2's XML; a list is one of ``item``."""
    return "".join(f"<{name}>{_inside(value)}</{name}>" for name, value in content.items())


def _inside(value: Content) -> str:
    if isinstance(value, str):
        return escape(value)
    if isinstance(value, Mapping):
        return items(value)
    return "".join(f"<item>{escape(one) if isinstance(one, str) else items(one)}</item>" for one in value)


@dataclass(frozen=True)
class Filters:
    """A Describe call's filters: each has a name, and values of which one must fit."""

    wanted: tuple[tuple[str, tuple[str, ...]], ...]

    def match(self, facts: Mapping[str, str], tags: Mapping[str, str]) -> bool:
        """Whether something with these facts and tags passes.

        Raises:
            Refusal: when EC2 has no such filter here.
        """
        return all(
            any(fnmatchcase(seen, value) for seen in _seen(name, facts, tags) for value in values)
            for name, values in self.wanted
        )


def _seen(name: str, facts: Mapping[str, str], tags: Mapping[str, str]) -> Sequence[str]:
    if name == "tag-key":
        return tuple(tags)
    if name.startswith("tag:"):
        return tuple(value for key, value in tags.items() if key == name.removeprefix("tag:"))
    if name not in facts:
        raise Refusal("InvalidParameterValue", f"The filter '{name}' is invalid")
    return (facts[name],)


def filters_of(call: Call) -> Filters:
    """The filters of a Describe call."""
    names = {
        match[1]: value
        for key, value in call.parameters.items()
        if (match := re.fullmatch(r"Filter\.(\d+)\.Name", key))
    }
    return Filters(tuple((name, call.ids(rf"Filter\.{number}\.Value")) for number, name in names.items()))


def _tags(specification: dict[str, str]) -> dict[str, str]:
    return {
        key: specification.get(name.removesuffix("Key") + "Value", "")
        for name, key in specification.items()
        if name.endswith(".Key")
    }


def read_request(environ: dict[str, Any], region: str) -> tuple[Call, bytes]:
    """The request and its body; parameters are in the body, as a form or as JSON, or in the address."""
    request = Request(environ)
    body = request.get_data()
    target = environ.get("HTTP_X_AMZ_TARGET", "")
    if target:
        said = json.loads(body or b"{}")
        return Call(
            target.rpartition(".")[2], region, {name: str(value) for name, value in said.items()}
        ), body
    text = body.decode(errors="replace") or environ.get("QUERY_STRING", "")
    parameters = dict(parse_qsl(text, keep_blank_values=True))
    return Call(parameters.get("Action", ""), region, parameters), body
