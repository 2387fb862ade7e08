"""Every defect of earlier PPO code that is known in public is named by the test that would see it again."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
DEFECTS = {
    "trl": """
        234 334 351 454 469 583 758 827 925 1161 1180 1483 1535 1674 1857 1979 2012 2022 2033 2122 2175 2250
        2273 2281 2375 2387 2451 2496 2518 2529 2530 2540 2571 2596 2617 2654 2657 3093 3595 3678 3750 3858
        3961 5303 5338 5608 5645 6800 6802 6805 6809
        """,
    "trlx": "508",
    "ms-swift": "2289",
    "LLaMA-Factory": "664",
    "DeepSpeedExamples": "672",
    "ROLL": "447",
    "miles": "1827",
}


def test_every_defect_is_named_by_a_test() -> None:
    texts = (path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py") if path != Path(__file__))
    named = {found for text in texts for found in re.findall(r"[\w-]+#\d+", text)}
    known = {f"{project}#{number}" for project, numbers in DEFECTS.items() for number in numbers.split()}
    assert not known - named
