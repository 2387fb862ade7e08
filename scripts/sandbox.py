"""Write the embedded sandbox as files and show what is in them.

python scripts/sandbox.py
python scripts/sandbox.py corpus=sandbox_ko seed=1 paths.outputs=/path/to/folder
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.generate import generate_from_config
from align.pipeline.runner import run_script


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """Write what the corpus generates."""
    generate_from_config(cfg)


if __name__ == "__main__":
    run_script(main)
