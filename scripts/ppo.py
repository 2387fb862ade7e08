"""Align a policy with PPO.

python scripts/ppo.py
python scripts/ppo.py stages.ppo.kl.coefficient=0.1 stages.ppo.policy.path=my/checkpoint
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.runner import run_from_config, run_script


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """Build the stage; what it needs must be there."""
    run_from_config(cfg, only="ppo")


if __name__ == "__main__":
    run_script(main)
