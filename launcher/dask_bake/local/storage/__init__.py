"""Images and snapshots on disk, and the Debian tree that they begin with; begins in ``image_store``."""
