"""JupyterLab's server on a head: the Dask pane has the cluster, unless the user has configured other ones."""

import os
import sys

import dask.config

if os.environ.get("DASK_BAKE_CLUSTER") and not dask.config.get("labextension.initial", None):
    sys.path.append("/usr/libexec/dask-bake")
    dask.config.set(
        {
            "labextension.factory.module": "dask_bake_pane",
            "labextension.factory.class": "ThisCluster",
            "labextension.initial": [{"name": os.environ["DASK_BAKE_CLUSTER"]}],
        }
    )
