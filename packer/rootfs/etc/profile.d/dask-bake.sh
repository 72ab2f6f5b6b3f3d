# The environment is active in every login shell.
PATH="/opt/dask/bin:$PATH"
export PATH
