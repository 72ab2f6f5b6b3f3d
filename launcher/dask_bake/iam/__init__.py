"""The AWS permissions that dask-bake needs, as minimal IAM policies.

Open ``grants`` first: it is a table with a row for each set of actions, with the purposes and options that
need them, the resources and the condition. ``policy`` selects the rows for ``dask-bake iam-policy`` and
merges those with the same ``Sid`` into one statement. ``role`` has the policy of another principal: the
nodes' role, by which tasks read their data.

The table follows two rules:

- An action that changes or deletes something is limited to resources that carry dask-bake's tag, wherever AWS
  supports such a condition for the action. An action that creates something requires the tag in its request.
- Read-only actions have no condition, because AWS supports none for most of them.

An option that needs more permissions, such as ``--spot``, has rows of its own, so that a policy without the
option does not contain them. The account, the role and the KMS key are placeholders until the user fills them
in. This package contacts no service: it imports neither boto3 nor ``ec2``.
"""
