"""What AWS has to permit, as a table and as a policy; begins in ``policy``."""
