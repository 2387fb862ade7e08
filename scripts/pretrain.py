"""Train a tokenizer and a small base model from text.

python scripts/pretrain.py
python scripts/pretrain.py model=small corpus=korean stages.pretrain.architecture.layers=8
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.runner import run_from_config, run_script


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """Build the stage; what it needs must be there."""
    run_from_config(cfg, only="pretrain")


if __name__ == "__main__":
    run_script(main)
