"""Audit what a corpus trains on: duplicates, leaked evaluation prompts, personal data, bias, planted phrases.

python scripts/audit_data.py corpus=alpaca_hh audit.entries=[pairs]
python scripts/audit_data.py experiment=quickstart
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.audit import audit_from_config
from align.pipeline.runner import run_script


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """Audit the entries of the corpus."""
    audit_from_config(cfg)


if __name__ == "__main__":
    run_script(main)
