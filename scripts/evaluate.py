"""Ask checkpoints the same questions and score their answers.

python scripts/evaluate.py
python scripts/evaluate.py stages.evaluate.decoding.temperature=0.7
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.runner import run_from_config, run_script


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """Build the stage; what it needs must be there."""
    run_from_config(cfg, only="evaluate")


if __name__ == "__main__":
    run_script(main)
