"""Page: a preview -> one HTML file that needs nothing else; all text of the data is escaped."""

from jinja2 import Environment, PackageLoader, StrictUndefined

from align.preview.screen import heading
from align.preview.view import Preview


def page(preview: Preview) -> str:
    """The whole page."""
    environment = Environment(
        loader=PackageLoader("align.preview"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.jinja").render(preview=preview, heading=heading(preview))
