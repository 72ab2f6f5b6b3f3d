"""What the image's units have in common."""

from image_scripts import LIBEXEC, PACKER


def test_jupyter_s_socket_starts_only_if_jupyter_is_installed():
    units = PACKER / "rootfs/etc/systemd/system"
    program = "/opt/dask/bin/jupyter-lab"

    assert f"ConditionPathExists={program}\n" in (units / "dask-jupyter.socket").read_text()
    started = f"ExecStart=/{LIBEXEC}/as-login-user {program} "
    assert started in (units / "dask-jupyter.service").read_text()


def test_no_unit_names_the_login_user():
    """A launch may choose another one than the image's."""
    units = PACKER / "rootfs/etc/systemd/system"
    users = {
        line for unit in units.glob("dask-*") for line in unit.read_text().splitlines() if "User=" in line
    }

    assert users == {"User=dask", "SocketUser=dask"}


def test_links_in_notebooks_lead_through_jupyterlab_unless_the_launch_has_others():
    """Assignments in files replace those of the unit."""
    lines = (PACKER / "rootfs/etc/systemd/system/dask-jupyter.service").read_text().splitlines()

    assert "Environment=DASK_DISTRIBUTED__DASHBOARD__LINK=/proxy/8787/status" in lines
    assert "EnvironmentFile=-/etc/dask-bake/launch.env" in lines
