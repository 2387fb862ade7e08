"""Fetch every model and dataset that a run needs, for nodes without internet.

python scripts/fetch.py experiment=sft_qwen3_ultrachat
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.fetch import fetch_from_config
from align.pipeline.runner import run_script


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """Fetch what is not there yet."""
    fetch_from_config(cfg)


if __name__ == "__main__":
    run_script(main)
