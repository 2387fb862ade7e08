"""Show the first rows of a stage as its model will see them: tokens, loss mask, template.

python scripts/preview_data.py run.only=sft
python scripts/preview_data.py experiment=sft_qwen3_ultrachat run.only=sft run.preview_rows=10
"""

import hydra
from omegaconf import DictConfig

from align.pipeline.runner import run_script
from align.preview.command import preview_from_config


@hydra.main(version_base="1.3", config_path="../conf", config_name="align")
def main(cfg: DictConfig) -> None:
    """In the terminal, and as one page per stage below outputs/previews."""
    preview_from_config(cfg)


if __name__ == "__main__":
    run_script(main)
