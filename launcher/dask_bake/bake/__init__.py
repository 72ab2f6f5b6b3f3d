"""An image that is baked: found, or staged, built and proved; begins in ``bake``."""
