"""Machines that boot: nspawn containers in place of instances; begins in ``hypervisor``."""
