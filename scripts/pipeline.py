"""Run a whole pipeline: every stage that is not there yet, in the order they need one another.

python scripts/pipeline.py
python scripts/pipeline.py run.dry_run=true
python scripts/pipeline.py -m stages.dpo.trainer.beta=0.05,0.1,0.5
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.runner import run_from_config, run_script


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """Build every stage."""
    run_from_config(cfg)


if __name__ == "__main__":
    run_script(main)
