"""Commands that look into a cluster, and bring things along: ``run``, ``cp``, ``logs``, ``ssh-config``.

Each finds the cluster, chooses its nodes, and leaves the work to the package ``access`` of the same name.
"""
