"""What an EC2 request asks for, and how EC2 says no."""

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl
from xml.sax.saxutils import escape

from werkzeug.wrappers import Request, Response

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


@dataclass
class Call:
    """An EC2 request; its parameters may be changed on the way to moto."""

    action: str
    region: str
    parameters: dict[str, str]

    def answer(self, content: str = "<return>true</return>") -> Response:
        """Our own answer, around that XML."""
        body = (
            f'<{self.action}Response xmlns="{NAMESPACE}"><requestId>local</requestId>'
            f"{content}</{self.action}Response>"
        )
        return Response(body, mimetype="text/xml")

    def refuse_dry_run(self) -> None:
        """Say so if the request was only to be checked, which it was up to here."""
        if self.parameters.get("DryRun") == "true":
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


def _tags(specification: dict[str, str]) -> dict[str, str]:
    return {
        key: specification.get(name.removesuffix("Key") + "Value", "")
        for name, key in specification.items()
        if name.endswith(".Key")
    }


DESCRIPTION = re.compile(r"[\w .:/()#,@\[\]+=&;{}!$*-]{0,255}", re.ASCII)
"""What EC2 takes as the description of a group or a rule (API reference, IpRange.Description)."""


def check_descriptions(call: Call) -> None:
    """Raises where EC2 would refuse a description."""
    for name, value in call.parameters.items():
        if name.endswith("Description") and not DESCRIPTION.fullmatch(value):
            allowed = "a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*"
            raise Refusal(
                "InvalidParameterValue",
                f"Invalid description '{value}': at most 255 characters of the set {allowed}",
            )


def read_call(environ: dict[str, Any], region: str) -> Call:
    """The request, whose parameters EC2 takes in the body or in the address."""
    request = Request(environ)
    text = request.get_data(as_text=True) or environ.get("QUERY_STRING", "")
    parameters = dict(parse_qsl(text, keep_blank_values=True))
    return Call(parameters.get("Action", ""), region, parameters)
