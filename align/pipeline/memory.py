"""Memory: recognises that a stage ran out of it, and says which options to set."""

_SIGNS = ("out of memory", "can't allocate memory", "cannot allocate memory")


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether an error of any library means that a device or the host has no memory left."""
    return isinstance(problem, MemoryError) or any(sign in str(problem).lower() for sign in _SIGNS)


def memory_advice(stage: str, micro_batch: int | str, memory_gib: float) -> str:
    """What to set, cheapest first; none of it changes what is computed, so nothing else is built again."""
    now = f" (now {micro_batch})"
    return (
        f"If {stage} ran out of memory (a device has {memory_gib:g} GiB by hardware.memory_gib): "
        f"set resources.{stage}.micro_batch to a smaller number{now}, "
        f"resources.{stage}.activation_checkpointing=true, or resources.{stage}.parallel=zero2 or zero3 "
        "on several devices"
    )
