"""Validation of requests by EC2's rules, before moto sees them: moto accepts much that EC2 refuses.

Open ``parameters`` first: ids and enumerated values of any request. ``tags`` and ``security_groups`` validate
these resources. Every function refuses a request by raising ``Refusal`` with EC2's error code.

``parameters`` and ``tags`` are checked for every request, ``security_groups`` by the hooks of its operations.
The checks look nothing up: whether a resource exists is checked where it is used.
"""
