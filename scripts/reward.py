"""Train a reward model on preference pairs.

python scripts/reward.py
python scripts/reward.py stages.reward.trainer.learning_rate=1e-5
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.runner import run_from_config, run_script


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """Build the stage; what it needs must be there."""
    run_from_config(cfg, only="reward")


if __name__ == "__main__":
    run_script(main)
