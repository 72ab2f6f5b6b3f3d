"""EC2's query protocol: parameters of requests, filters, XML of responses."""

import io
import json
from xml.etree import ElementTree as ET

import pytest

from dask_bake.local.query_protocol import (
    Filters,
    Refusal,
    Request,
    error_response,
    filters_of,
    items,
    read_request,
)

TWO_TAGS = {
    "TagSpecification.1.ResourceType": "instance",
    "TagSpecification.1.Tag.1.Key": "a",
    "TagSpecification.1.Tag.1.Value": "1",
    "TagSpecification.1.Tag.2.Key": "b",
    "TagSpecification.2.ResourceType": "volume",
    "TagSpecification.2.Tag.1.Key": "c",
    "TagSpecification.2.Tag.1.Value": "3",
}


def environ(body: bytes = b"", **more: str) -> dict[str, object]:
    return {
        "wsgi.input": io.BytesIO(body),
        "CONTENT_LENGTH": str(len(body)),
        "REQUEST_METHOD": "POST",
        **more,
    }


@pytest.mark.parametrize(
    "request_environ",
    [
        environ(b"Action=DescribeTags&A=1%202&B="),
        environ(QUERY_STRING="Action=DescribeTags&A=1%202&B="),
    ],
    ids=["body", "URL"],
)
def test_parameters_are_in_the_body_or_the_url(request_environ):
    request, _ = read_request(request_environ, "us-east-1")

    assert (request.action, request.region) == ("DescribeTags", "us-east-1")
    assert request.parameters == {"Action": "DescribeTags", "A": "1 2", "B": ""}


def test_a_json_request_has_its_action_in_a_header():
    body = json.dumps({"QuotaCode": "L-1", "Count": 2}).encode()
    request, read = read_request(environ(body, HTTP_X_AMZ_TARGET="Quotas.GetServiceQuota"), "us-east-1")

    assert (request.action, request.parameters) == ("GetServiceQuota", {"QuotaCode": "L-1", "Count": "2"})
    assert read == body


def test_the_tags_of_one_resource_type_are_taken_and_the_others_numbered_without_a_gap():
    request = Request("RunInstances", "us-east-1", {"MinCount": "1", **TWO_TAGS})

    assert request.take_tags("instance") == {"a": "1", "b": ""}
    assert request.parameters == {
        "MinCount": "1",
        "TagSpecification.1.ResourceType": "volume",
        "TagSpecification.1.Tag.1.Key": "c",
        "TagSpecification.1.Tag.1.Value": "3",
    }


def test_a_list_parameter_has_only_its_numbered_values():
    parameters = {"InstanceId.1": "i-1", "InstanceId.2": "i-2", "InstanceId.1.Name": "x", "OtherId.1": "y"}

    assert Request("", "", parameters).ids("InstanceId") == ("i-1", "i-2")


@pytest.mark.parametrize(
    ("wanted", "matches"),
    [
        ({"state": ("running",)}, True),
        ({"state": ("stopped", "run*")}, True),
        ({"state": ("stopped",)}, False),
        ({"state": ("running",), "tag:role": ("head",)}, False),
        ({"tag:role": ("work?r",)}, True),
        ({"tag-key": ("role",)}, True),
        ({"tag:none": ("*",)}, False),
        ({}, True),
    ],
)
def test_a_resource_matches_if_each_filter_has_a_value_that_does(wanted, matches):
    filters = Filters(tuple(wanted.items()))

    assert filters.match({"state": "running"}, {"role": "worker"}) is matches


def test_a_filter_that_the_resource_does_not_have_is_refused():
    with pytest.raises(Refusal, match="The filter 'colour' is invalid"):
        Filters((("colour", ("red",)),)).match({"state": "running"}, {})


def test_the_filters_of_a_request_keep_their_values_apart():
    parameters = {
        "Filter.1.Name": "state",
        "Filter.1.Value.1": "running",
        "Filter.1.Value.2": "stopped",
        "Filter.11.Name": "tag:role",
        "Filter.11.Value.1": "head",
    }

    assert filters_of(Request("", "", parameters)).wanted == (
        ("state", ("running", "stopped")),
        ("tag:role", ("head",)),
    )


def test_a_response_is_xml_whatever_its_values_are():
    content = items({"name": "<&>", "tagSet": [{"key": "a", "value": "1"}, "plain"], "none": []})
    root = ET.fromstring(f"<root>{content}</root>")

    assert root.findtext("name") == "<&>"
    assert [each.findtext("key") or each.text for each in root.findall("tagSet/item")] == ["a", "plain"]


@pytest.mark.parametrize("service", ["ec2", "sts"])
def test_an_error_is_in_the_xml_of_its_service(service):
    response = error_response(service, "Denied", 403, "not <you>")
    root = ET.fromstring(response.get_data())

    assert (response.status_code, root.find(".//Code").text, root.find(".//Message").text) == (
        403,
        "Denied",
        "not <you>",
    )


def test_a_dry_run_ends_with_an_error_that_says_it_would_have_succeeded():
    with pytest.raises(Refusal) as caught:
        Request("RunInstances", "us-east-1", {"DryRun": "true"}).end_dry_run()

    assert (caught.value.code, caught.value.status) == ("DryRunOperation", 412)
    Request("RunInstances", "us-east-1", {"DryRun": "false"}).end_dry_run()
