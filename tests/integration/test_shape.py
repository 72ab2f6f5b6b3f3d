"""Options of a launch reach processes and sessions on the nodes."""

import json

import pytest
import yaml

from local_nodes import launched

VARIABLES = {
    "PLAIN": "1",
    "SPACED": "two  words ",
    "QUOTED": 'it\'s "$HOME" `id` \\n \\\\ %h',
    "COMMENT": "a # b",
    "ACCENTED": "é 😀",
    "EMPTY": "",
}
PRELOAD = """# é
import json, os

def dask_setup(worker):
    worker.set_up = [os.path.basename(__file__), worker.name]
"""
OWN_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ6Xc1sWJ4o8kQkzqYq3bQdZ0xk5v1Y0q8b8mJ2m0aXy somebody"
EXTRA = f"""#cloud-config
# ü
ssh_authorized_keys: ["{OWN_KEY}"]
users: [{{name: bob}}]
write_files: [{{path: /etc/mine, content: "é 😀"}}]
runcmd: [[touch, /run/was-run]]
"""
SHAPE = (
    *("--nprocs", "2", "--nthreads", "3", "--memory-limit", "200MiB", "--username", "alice"),
    *("--worker-options", "--resources 'MINE=2 YOURS=3'"),
    *("--scheduler-options", "--idle-timeout '1 hour'"),
)
PRINT_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"


@pytest.fixture(scope="module")
def shaped(cloud, image, tmp_path_factory):
    """A head and a worker launched with many options."""
    folder = tmp_path_factory.mktemp("shape")
    (folder / "set_up.py").write_text(PRELOAD)
    (folder / "extra.yaml").write_text(EXTRA)
    variables = [word for key, value in VARIABLES.items() for word in ("--env", f"{key}={value}")]
    preloads = ("--preload", str(folder / "set_up.py"), "--preload", "tabnanny")
    extra = ("--user-data", str(folder / "extra.yaml"))
    yield from launched(cloud, image, "shaped", *SHAPE, *variables, *preloads, *extra)


def chosen(environment):
    """Return those of the launch's variables that are among these."""
    return {name: environment.get(name) for name in VARIABLES}


def test_threads_memory_and_options_reach_the_worker_processes(shaped):
    workers = shaped.compute("print(json.dumps(client.scheduler_info(n_workers=-1)['workers']))").values()
    limits = [(each["nthreads"], each["memory_limit"], each["resources"]) for each in workers]

    assert limits == [(3, 200 * 2**20, {"MINE": 2, "YOURS": 3})] * 2


def test_options_reach_the_scheduler(shaped):
    code = "print(json.dumps(client.run_on_scheduler(lambda dask_scheduler: dask_scheduler.idle_timeout)))"
    assert shaped.compute(code) == 3600


def test_preloads_are_loaded_by_each_worker_process(shaped):
    """A file of the launch, and a module of the image."""
    code = """
def loaded(dask_worker):
    import sys
    return [*dask_worker.set_up, "tabnanny" in sys.modules]
print(json.dumps(list(client.run(loaded).values())))
"""
    loaded = shaped.compute(code)

    assert [(name, module) for name, _, module in loaded] == [("set_up.py", True)] * 2
    assert len({worker for _, worker, _ in loaded}) == 2


def test_variables_reach_scheduler_and_workers(shaped):
    code = """
def environment():
    import os
    return dict(os.environ)
print(json.dumps([client.run_on_scheduler(environment), *client.run(environment).values()]))
"""
    assert [chosen(one) for one in shaped.compute(code)] == [VARIABLES] * 3


@pytest.mark.parametrize("node", ["0", "1"])
def test_variables_reach_every_session(shaped, node):
    """A bare command by ssh, a login shell, and one with sudo."""
    shells = (("python", "-"), ("bash", "-lc", "python -"), ("sudo", "-i", "python", "-"))
    environments = [json.loads(shaped.run(node, *shell, text=PRINT_ENVIRONMENT)) for shell in shells]

    assert [chosen(environment) for environment in environments] == [VARIABLES] * 3
    assert all(environment["PATH"].split(":")[0] == "/opt/dask/bin" for environment in environments)


START_KERNEL = """
import json, pathlib, urllib.request
token = open("/var/lib/dask-jupyter/token").read()
def ask(path, method):
    headers = {"Authorization": f"token {token}", "Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:8888/api/{path}", b"{}", headers, method=method)
    return json.load(urllib.request.urlopen(request, timeout=60))
ask("kernels", "POST")
commands = pathlib.Path("/proc").glob("[0-9]*/cmdline")
[kernel] = [path.parent for path in commands if b"ipykernel" in path.read_bytes()]
pairs = (kernel / "environ").read_text().split("\\0")
print(json.dumps([kernel.owner(), dict(pair.split("=", 1) for pair in pairs if pair)]))
"""


def test_jupyter_kernels_run_as_the_login_user_with_the_variables(shaped):
    """Only this user can read the token."""
    user, environment = json.loads(shaped.run("0", "python", "-", text=START_KERNEL))

    assert (user, environment["HOME"]) == ("alice", "/home/alice")
    assert chosen(environment) == VARIABLES
    token = shaped.run("0", "stat", "--format", "%U %a", "/var/lib/dask-jupyter/token")
    assert token == "alice 600\n"


@pytest.mark.parametrize("node", ["0", "1"])
def test_the_login_user_is_the_requested_one(shaped, node):
    """It has sudo; the image's own user has no key."""
    assert shaped.run(node, "whoami") == "alice\n"
    assert shaped.run(node, "sudo", "-n", "whoami") == "root\n"
    assert shaped.run(node, "sudo", "find", "/home", "-name", "authorized_keys") == (
        "/home/alice/.ssh/authorized_keys\n"
    )


@pytest.mark.parametrize("node", ["0", "1"])
def test_the_user_s_cloud_config_is_merged(shaped, node):
    """Keys, users, files and commands; cloud-init warns of nothing, and knows every key."""
    assert shaped.run(node, "cloud-init", "status", "--wait").strip() == "status: done"
    assert shaped.run(node, "cat", "/etc/mine") == "é 😀"
    assert shaped.run(node, "ls", "/run/was-run") == "/run/was-run\n"
    assert shaped.run(node, "id", "-un", "bob") == "bob\n"
    keys = shaped.run(node, "cat", "/home/alice/.ssh/authorized_keys").splitlines()
    assert len(keys) == 2
    assert OWN_KEY in keys
    merged = shaped.run(node, "sudo", "cat", "/var/lib/cloud/instance/cloud-config.txt")
    assert yaml.safe_load(merged)["users"] == ["default", {"name": "bob"}]
    schema = ("cloud-init", "schema", "--config-file", "/var/lib/cloud/instance/cloud-config.txt")
    assert "Valid " in shaped.run(node, "sudo", *schema)


@pytest.mark.parametrize("node", ["0", "1"])
def test_no_unit_fails(shaped, node):
    assert shaped.failed_units(node) == ""
