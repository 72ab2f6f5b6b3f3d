"""RunInstances: checked, counted, placed and answered; begins in ``launch``."""
