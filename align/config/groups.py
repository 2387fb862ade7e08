"""Groups: a stage's own choice of a Hydra group by name, as `resources.ppo.parallel=zero3` makes it."""

from collections.abc import Iterator
from typing import Any

from hydra import compose
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from align.config.problem import Problem
from align.config.suggest import did_you_mean

GROUP = "parallel"


def choose_parallel(resources: Any) -> Iterator[Problem]:
    """Replace every `parallel: <name>` below `resources` by that option of the group; yield unknown names.

    Outside of a running command, where Hydra does not say which options there are, a name stays as it is.
    """
    named = resources.items() if isinstance(resources, dict) else ()
    for stage, entry in named:
        choice = entry.get(GROUP) if isinstance(entry, dict) else None
        if not isinstance(choice, str) or not GlobalHydra.instance().is_initialized():
            continue
        options = GlobalHydra.instance().config_loader().get_group_options(GROUP)
        if choice in options:
            try:
                entry[GROUP] = OmegaConf.to_container(compose(f"{GROUP}/{choice}")[GROUP], resolve=True)
            except OmegaConfBaseException as cause:  # such as an environment variable that is not set
                yield Problem(("resources", stage, GROUP), str(cause).splitlines()[0])
        else:
            known = f"no such option ({', '.join(options)}){did_you_mean(choice, options)}"
            yield Problem(("resources", stage, GROUP), known)
