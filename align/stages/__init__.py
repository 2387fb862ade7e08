"""The stages there are. A new one is a file in this package and its name in the union below."""

from typing import Annotated

from pydantic import Field

from align.stages.dpo import Dpo
from align.stages.evaluate import Evaluate
from align.stages.ppo import Ppo
from align.stages.pretrain import Pretrain
from align.stages.reward import Reward
from align.stages.sft import Sft

AnyStage = Annotated[Pretrain | Sft | Reward | Dpo | Ppo | Evaluate, Field(discriminator="kind")]
