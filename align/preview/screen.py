"""Screen: a preview -> coloured text in a terminal."""

from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from align.preview.pieces import Piece
from align.preview.view import Preview

LEARNT, TEMPLATE, PLAIN = "bold green", "cyan", "default"
COUNTS = str.maketrans("0123456789", "₀₁₂₃₄₅₆₇₈₉")


def show(preview: Preview, console: Console | None = None) -> None:
    """Print the rows: green is learnt, cyan the template's, every other token underlined."""
    out = console or Console(highlight=False)
    out.print(Text(heading(preview), style="bold"))
    out.print(Text.assemble(("learnt", LEARNT), "  ", ("template", TEMPLATE), "  read only"))
    for number, row in enumerate(preview.rows, start=1):
        out.print(Text(f"\n{number}. {row.place}", style="dim"))
        if row.left_out is not None:
            out.print(Text(f"left out: {row.left_out}", style="red"), soft_wrap=True)
        for part in row.parts:
            out.print(Text(f"{part.title}: {part.tokens} tokens, {part.trained} learnt", style="dim"))
            out.print(line_of(part.pieces))


def heading(preview: Preview) -> str:
    """What is shown, in one line."""
    bound = "no limit" if preview.limit is None else f"at most {preview.limit} tokens each"
    return (
        f"{preview.stage} ({preview.kind}): {len(preview.rows)} of {preview.total} rows, "
        f"tokens of {preview.tokenizer}, {bound}"
    )


def line_of(row: Sequence[Piece]) -> Text:
    """The pieces one after the other; a small number tells how many tokens spell one character."""
    text = Text()
    for number, piece in enumerate(row):
        style = LEARNT if piece.is_trained else TEMPLATE if piece.is_template else PLAIN
        shown = piece.text.replace("\n", "⏎\n")
        text.append(shown, style=f"{style} underline" if number % 2 else style)
        if len(piece.ids) > 1:
            text.append(str(len(piece.ids)).translate(COUNTS), style="dim")
    return text
