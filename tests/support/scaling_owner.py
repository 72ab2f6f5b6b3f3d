"""The owner of a cluster in a pretended cloud, who changes its size."""

from dask_bake import clouds
from dask_bake.clusters.inventory import find
from dask_bake.commands import launch as launch_command
from dask_bake.commands import scale as scale_command
from dask_bake.ec2 import api
from dask_bake.ec2.retry import RetryPolicy
from dask_bake.models.cluster import Cluster
from dask_bake.options.launch import LaunchOptions
from dask_bake.scaling.scale import Scaling
from dask_bake.view.terminal import Terminal
from fake_local_cloud import DEBIAN
from fakes import AllRegistered, Ec2WithHostKey, FakeClock
from isolation import KEY_PAIR
from scaling_fakes import FakeRetirement


class Owner:
    """The owner of a cluster at a terminal."""

    def __init__(self, cloud) -> None:
        self.cloud = cloud
        self.terminal, self.clock = Terminal(), FakeClock()
        self.there = clouds.local_cloud(cloud.url, KEY_PAIR, None)
        retries = RetryPolicy(self.terminal.notify, self.clock, self.clock.sleep, jitter=lambda: 1.0)
        self.edge = Ec2WithHostKey(api.connect(self.there, self.terminal.notify, retries=retries))
        self.retirement = FakeRetirement()

    def launch(self, **options) -> None:
        chosen = {"count": 3, "nprocs": 2, "ami": DEBIAN.id, "allow_mismatch": True, **options}
        launch_command.run(
            LaunchOptions(**chosen),
            self.there,
            self.edge,
            self.terminal,
            dry_run=False,
            json_output=True,
            make_connection=lambda *_: AllRegistered(self.edge),
        )
        self.retirement.tasks = {node.private_address: 0 for node in self.cluster.workers}
        self.cloud.forget_requests()

    @property
    def cluster(self) -> Cluster:
        return find(self.edge, self.there, "dask")

    @property
    def numbers(self) -> list[int]:
        """Numbers of the nodes that are up."""
        return [node.index for node in self.cluster.nodes if node.is_up]

    def scale(self, count: int, *, connection=AllRegistered, **options) -> int:
        return scale_command.run(
            scale_command.ScaleOptions(count, json_output=True, **options),
            self.there,
            self.edge,
            self.terminal,
            make_connection=lambda *_: connection(self.edge),
            make_retirement=lambda *_: self.retirement,
        )

    def scaling(self, count: int, connection=AllRegistered, **options) -> Scaling:
        """Return a change of size on a clock that only ``sleep`` moves."""
        return Scaling(
            "dask",
            count,
            self.there,
            self.edge,
            self.terminal.notify,
            clock=self.clock,
            sleep=self.clock.sleep,
            make_connection=lambda *_: connection(self.edge),
            make_retirement=lambda *_: self.retirement,
            **options,
        )
