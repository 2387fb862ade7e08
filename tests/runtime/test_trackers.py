"""TensorBoard shows one curve, however often a stage was resumed."""

from pathlib import Path

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from align.runtime.trackers import Trackers, rewind_events


def test_what_was_written_after_the_checkpoint_is_left_out(tmp_path: Path) -> None:
    rewind_events(tmp_path / "events", 3)
    for first, last, value in ((1, 5, 0.5), (4, 6, 1.5)):
        with Trackers(["tensorboard"], "sft", tmp_path / "events") as trackers:
            for step in range(first, last + 1):
                trackers.log({"loss": value}, step, "train")
        if first == 1:
            rewind_events(tmp_path / "events", 3)
    (folder,) = {path.parent for path in tmp_path.rglob("events.out*")}
    shown = EventAccumulator(str(folder)).Reload().Scalars("loss")
    assert [(point.step, point.value) for point in shown] == [
        *((step, 0.5) for step in (1, 2, 3)),
        *((step, 1.5) for step in (4, 5, 6)),
    ]
