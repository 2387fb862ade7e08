"""Teach a base model to follow instructions.

python scripts/sft.py
python scripts/sft.py experiment=sft_qwen3_ultrachat hardware=1xh200
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.runner import run_from_config, run_script


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """Build the stage; what it needs must be there."""
    run_from_config(cfg, only="sft")


if __name__ == "__main__":
    run_script(main)
