"""What a user asks for, on the command line and in the configuration, parsed and checked;
begins in ``launch``.
"""
