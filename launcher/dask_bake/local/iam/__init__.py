"""Roles, instance profiles and session credentials; what they permit in S3.

Open ``sessions`` first: credentials that expire, of a role or of the account itself. ``roles`` reads moto's
instance profiles and policies, for the metadata service and for the gateway. ``policies`` evaluates a role's
policies, and ``s3_actions`` has the actions and resources of a request to S3.

Decisions:

- The key pair of the local cloud is the account's root user: it may do everything, and so may its sessions
  in S3.
- Sessions reach S3 alone. IAM and STS are for the key pair.
- Of a statement's conditions ``s3:prefix`` is known. A statement with another condition permits nothing, and
  denies as if it had none.
"""
