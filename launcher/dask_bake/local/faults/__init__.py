"""What goes wrong in the local cloud when somebody asks for it; begins in ``model``."""
