"""What 12-boot.sh takes out of the boot."""

from image_scripts import put, run_script

ROOT = "PARTUUID=1 / ext4 rw,discard,x-systemd.growfs 0 1\n"


def test_the_efi_partition_is_mounted_when_something_opens_it(tmp_path):
    """And the script changes nothing that it has changed before."""
    root = tmp_path / "image"
    fstab = put(root, "etc/fstab", f"# /boot/efi is there\n{ROOT}PARTUUID=2 /boot/efi vfat defaults 0 0\n")

    for _ in range(2):
        done = run_script("12-boot.sh", root)
        assert done.returncode == 0, done.stderr

    efi = "PARTUUID=2 /boot/efi vfat defaults,noauto,x-systemd.automount 0 0\n"
    assert fstab.read_text() == f"# /boot/efi is there\n{ROOT}{efi}"


def test_an_image_without_an_efi_partition_or_a_table_stays_as_it_is(tmp_path):
    root = tmp_path / "image"
    root.mkdir()

    assert run_script("12-boot.sh", root).returncode == 0

    fstab = put(root, "etc/fstab", ROOT)
    assert run_script("12-boot.sh", root).returncode == 0
    assert fstab.read_text() == ROOT
