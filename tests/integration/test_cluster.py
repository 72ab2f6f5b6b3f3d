"""A running cluster: its nodes, SSH, tunnels, and computing."""

import itertools
import json
import re
import signal
import sys
import urllib.error
import urllib.request

import pytest
import yaml

from base_release import BASE, PYTHON
from dask_bake.local.settings import S3_DOMAIN


def test_a_launch_makes_two_run_instances_calls(cluster):
    """One for the head and one for all workers; polling does not depend on the number of nodes."""
    assert cluster["calls"].count("RunInstances") == 2
    assert set(cluster["calls"]) == {
        "DescribeImages",
        "DescribeSubnets",
        "DescribeInstanceTypes",
        "DescribeInstanceTypeOfferings",
        "DescribeSecurityGroups",
        "servicequotas:GetServiceQuota",
        "sts:GetCallerIdentity",
        "CreateSecurityGroup",
        "AuthorizeSecurityGroupIngress",
        "RunInstances",
        "DescribeInstances",
        "GetConsoleOutput",
    }


def test_the_client_on_the_head_sees_every_worker(cloud, cluster):
    """`Client()` needs no address there."""
    output = cloud.on_head("from distributed import Client; print(Client())", name="shared")

    assert "processes=4 threads=16" in output
    assert cluster["workers"] == cluster["workers_expected"] == 4


def test_ipython_starts_in_a_shell_on_the_head(cloud, cluster):
    """The environment is active in a login shell and in a bare command."""
    code = (
        "from distributed import Client; c = Client(); print(len(c.scheduler_info(n_workers=-1)['workers']))"
    )
    assert cloud.run("ssh", "--name", "shared", "--", "ipython", "-c", code).strip() == "4"
    assert (
        cloud.run("ssh", "--name", "shared", "--", "bash", "-lc", "which dask").strip()
        == "/opt/dask/bin/dask"
    )


def test_ssh_passes_on_output_and_exit_code(cloud, cluster):
    """Both streams and the exit code, without messages of ssh."""
    done = cloud.attempt("ssh", "--name", "shared", "--", "sh", "-c", "echo out; echo err >&2; exit 42")

    assert (done.returncode, done.stdout) == (42, "out\n")
    assert [line for line in done.stderr.splitlines() if "local cloud" not in line] == ["err"]


@pytest.mark.parametrize("node", [0, 1, 2])
def test_ssh_reaches_each_node_by_its_number(cloud, cluster, node):
    """0 is the head; the others are reached through it."""
    address = cluster["nodes"][node]["private_address"]
    assert address in cloud.run("ssh", "--name", "shared", str(node), "--", "hostname", "-I").split()


def test_cloud_init_accepts_the_user_data(cloud, cluster):
    """The image's `cloud-init schema` checks both roles; there is no secret and no command in them."""
    for node in ("0", "1"):
        words = ("ssh", "--name", "shared", node, "--", "sudo")
        text = cloud.run(*words, "cat", "/var/lib/cloud/instance/user-data.txt")
        judged = cloud.run(
            *words, "cloud-init", "schema", "--config-file", "/var/lib/cloud/instance/user-data.txt"
        )

        assert "Valid " in judged  # cloud-config of cloud-init 22.4, schema of 25.1
        assert set(yaml.safe_load(text)) == {"ssh_authorized_keys", "write_files"}
        assert "PRIVATE" not in text


ASK_METADATA = """
import urllib.request, urllib.error
def ask(path, **headers):
    request = urllib.request.Request("http://169.254.169.254/latest/" + path, **headers)
    try:
        return urllib.request.urlopen(request, timeout=2).read().decode()
    except urllib.error.HTTPError as error:
        return error.code
    except OSError as error:
        return type(error.reason).__name__ if hasattr(error, "reason") else str(error)
print(ask("meta-data/instance-id"))
token = ask("api/token", method="PUT", headers={"X-aws-ec2-metadata-token-ttl-seconds": "60"})
print(ask("meta-data/instance-id", headers={"X-aws-ec2-metadata-token": str(token)}))
"""


def test_metadata_requires_imdsv2_and_is_blocked_for_dask(cloud, cluster):
    """Status 401 without a token; the user that runs tasks cannot reach the address at all."""
    words = ("ssh", "--name", "shared", "1", "--")
    as_login_user = cloud.run(*words, "python", "-", text=ASK_METADATA).split()
    as_dask = cloud.run(*words, "sudo", "-u", "dask", "/opt/dask/bin/python", "-", text=ASK_METADATA).split()

    assert as_login_user == ["401", cluster["nodes"][1]["id"]]
    assert as_dask == ["PermissionError", "PermissionError"]


def a_browser():
    """Return an opener that keeps cookies."""
    return urllib.request.build_opener(urllib.request.HTTPCookieProcessor())


def test_the_dashboard_and_jupyter_answer_through_the_tunnel(cloud, cluster):
    """`dask-bake connect` prints the local addresses; Jupyter requires the head's token."""
    process = cloud.start("connect", "shared", "--json")
    try:
        lines = iter(process.stdout.readline, "")
        addresses = json.loads("".join(itertools.takewhile(lambda line: line != "}\n", lines)) + "}")
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(addresses["dashboard"].partition("?")[0], timeout=30)
        caught.value.close()
        with a_browser().open(addresses["dashboard"], timeout=30) as response:
            assert response.status == 200
        with urllib.request.urlopen(addresses["jupyter"], timeout=60) as response:
            assert response.status == 200
        with pytest.raises(urllib.error.HTTPError, match="403") as caught:
            urllib.request.urlopen(addresses["jupyter"].split("/lab")[0] + "/api/contents", timeout=30)
        caught.value.close()
    finally:
        process.terminate()
        process.communicate(timeout=30)


def test_ui_opens_the_dashboard_in_a_browser_until_ctrl_c(cloud, cluster, tmp_path):
    """`dask-bake ui` prints the address and opens the user's browser, here a script that records it."""
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "opened $1"\n')
    browser.chmod(0o755)
    process = cloud.start("ui", "shared", BROWSER=str(browser))
    try:
        printed = []
        while not (line := process.stdout.readline()).startswith("opened "):
            assert line, process.communicate(timeout=30)
            printed.append(line)
        with urllib.request.urlopen(line.split()[1]) as file:
            page = re.search(r"url=([^\"]+)", file.read().decode())[1]
        assert a_browser().open(page, timeout=30).status == 200
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
        assert process.returncode == 0
        assert any("Dashboard" in line and page in line for line in printed)
    finally:
        process.kill()
        process.communicate(timeout=30)


def test_ls_and_status_show_the_cluster(cloud, cluster):
    """As text and as JSON."""
    listed = cloud.json("ls")
    status = cloud.json("status", "shared")
    words = cloud.run("status", "shared")

    assert [one["name"] for one in listed] == ["shared"]
    assert [node["role"] for node in status["nodes"]] == ["head", "worker", "worker"]
    assert [node["workers"] for node in status["nodes"]] == [0, 2, 2]
    assert all(len(line) <= 80 for line in words.splitlines())
    assert all(node["private_address"] in words for node in status["nodes"])


def test_images_shows_the_cluster_that_uses_the_image(cloud, image, cluster):
    """By name."""
    (listed,) = [each for each in cloud.json("images") if each["id"] == image]
    assert listed["in_use_by"] == ["shared"]


def test_nodes_reach_s3_only(cloud, cluster):
    """The local cloud's S3 answers; other ports of the host and other networks do not."""
    code = f"""
import socket
def answers(host, port):
    try:
        socket.create_connection((host, port), timeout=3).close()
        return True
    except OSError:
        return False
gateway = socket.gethostbyname("{S3_DOMAIN}")
print(answers(gateway, 80), answers(gateway, 5666), answers("192.0.2.1", 80))
"""
    assert cloud.run("ssh", "--name", "shared", "1", "--", "python", "-", text=code).split() == [
        "True",
        "False",
        "False",
    ]


@pytest.mark.skipif(
    BASE.python_minor != PYTHON, reason="client and cluster need the same Python minor version"
)
def test_a_client_on_this_machine_computes_through_the_tunnel(cloud, cluster):
    """`connect()` returns a client; its tunnel closes with it."""
    import subprocess

    code = (
        "from dask_bake import connect\n"
        "client = connect('shared')\n"
        "print(client.submit(sum, range(100)).result())\n"
        "client.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=cloud.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "4950\n"), done.stderr
