"""Machines: the systemd-nspawn containers that instances are, and their life from boot to termination.

Open ``hypervisor`` first. EC2's operations set the goal of an instance (running, stopped, terminated); the
hypervisor boots, powers off or kills its machine in a thread of its own, and sets the state that EC2 shows
when the goal is reached. A machine can also end by itself, when the guest powers off: the instance is then
stopped or terminated as its shutdown behaviour says. A goal and the shown state change under one lock, so
that no request sees one without the other.

``slot`` holds an instance's machine and what it boots from: read-only layers of its image below a layer of
its own, which becomes part of an image when one is made of the instance. ``nspawn`` mounts, boots, kills and
cleans up one machine; it knows nothing of EC2. ``mapped_mount`` gives each machine users of its own, and
``cgroups`` a control group.
"""
