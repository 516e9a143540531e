"""Where the runs of a launch find cache, data and plug-ins: on this machine, or on each node of a cluster."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from study.launch.cluster import code_folder, refuse_impossible
from study.launch.prepare import prepare_data
from study.launch.summary import LaunchOptions
from study.plan import Plan, PlannedRun
from trainables.datasets.storage import cache_folder
from trainables.ledger import Ledger
from trainables.ledger.lease import DRIVER_KEY, read_driver
from trainables.ledger.places import is_address
from trainables.shipped import DATA_VARIABLE, PLUGINS, travelling

if TYPE_CHECKING:
    from study.launch.node_check import Question


def places(plan: Plan, options: LaunchOptions) -> dict[str, Any]:
    """What a run's session says of places. A cache that nobody chose is each node's own."""
    if options.address is None:
        plugins = [str(path) for path in plan.spec.plugins]
        return {"cache": str(options.cache), "plugins": plugins, "data": None, "nodes": "one"}
    return {
        "cache": None if options.cache == cache_folder().resolve() else str(options.cache),
        "plugins": [f"{PLUGINS}/{path.name}" for path in plan.spec.plugins],
        "data": environment(options, "").get(DATA_VARIABLE),
        "nodes": "many",
    }


def environment(options: LaunchOptions, results: str) -> dict[str, str]:
    """Variables that workers of a cluster lack; those of a private Ray inherit them. Not for any file: has secrets."""
    return {} if options.address is None else travelling(os.environ, object_store=is_address(results))


@dataclass(frozen=True)
class Setting:
    """Where a launch takes place.

    Attributes:
        ledger: of the launch; options: how it was asked for.
        scratch: its folder, where the code for a cluster lies.
        session: what its runs are told.
    """

    ledger: Ledger
    options: LaunchOptions
    scratch: Path
    session: Mapping[str, Any]


def make_ready(runs: Sequence[PlannedRun], setting: Setting, *, tell: Callable[[str], None]) -> None:
    """Refuses what can never be trained, and gets the data ready on this machine, or on every node of a cluster.

    Args:
        tell: gets lines for the user.

    Raises:
        ResourceError: a trial asks for more than there is.
        DataError: images or weights that cannot be used.
        ClusterError: nodes that cannot do the work.
    """
    sizes = {run.resources for run in runs}
    refuse_impossible(sizes)
    if setting.options.address is None:
        prepare_data(runs, cache=setting.options.cache)
    else:
        from study.launch.nodes import require_nodes

        require_nodes(_question(runs, setting), sizes=sizes, tell=tell)


def _question(runs: Sequence[PlannedRun], setting: Setting) -> "Question":
    from study.launch.node_check import Question, fingerprint
    from study.launch.nodes import distinct

    code, shard = code_folder(setting.scratch), setting.options.shard
    lease = shard.key if shard else DRIVER_KEY
    driver = read_driver(setting.ledger, lease)
    return Question(
        code=fingerprint(code) if code.exists() else "",
        results=setting.ledger.location,
        lease=lease,
        token=driver.token if driver else "",
        session=setting.session,
        runs=distinct(runs),
        environment=environment(setting.options, setting.ledger.location),
    )
