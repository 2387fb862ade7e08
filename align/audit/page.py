"""Page: an audit -> one HTML file that needs no network, with plotly.js inlined once.

What data says is escaped: jinja's autoescape is on, and no text reaches a script.
"""

from importlib.resources import files
from typing import Any

import numpy as np
import plotly.graph_objects as go
from jinja2 import Environment, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

BARS = 60


def render(found: dict[str, Any]) -> str:
    """The whole page of one audit."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(files("align.audit").joinpath("page.html").read_text(encoding="utf-8"))
    return template.render(audit=found, figures=_figures(found), plotly=Markup(get_plotlyjs()))


def _figures(found: dict[str, Any]) -> dict[str, Markup]:
    figures = {"sources": Markup(""), "length": Markup(""), "noise": Markup("")}
    if "length" in found:
        figures["length"] = _lengths(found["length"]["differences"])
    if "disagreement" in found.get("label_noise", {}):
        figures["noise"] = _noise(found["label_noise"])
    if len(found["sources"]) > 1:
        names = [source["name"] for source in found["sources"]]
        shares = [100 * source["share"] for source in found["sources"]]
        figures["sources"] = _drawn(go.Figure(go.Bar(x=names, y=shares)), "source", "% of the rows")
    return figures


def _lengths(differences: list[int]) -> Markup:
    """Counted here, so that the page holds bars and not a number per pair."""
    low, high = np.quantile(differences, [0.005, 0.995])
    counts, edges = np.histogram(np.clip(differences, low, high), bins=BARS)
    bars = go.Bar(x=(edges[:-1] + edges[1:]) / 2, y=counts, width=np.diff(edges))
    figure = go.Figure(bars)
    figure.add_vline(x=0, line_width=1)
    return _drawn(figure, "characters by which the chosen answer is longer", "pairs")


def _noise(noise: dict[str, Any]) -> Markup:
    tenths = [f"{number + 1}" for number in range(len(noise["disagreement"]))]
    figure = go.Figure(go.Bar(x=tenths, y=[100 * share for share in noise["disagreement"]]))
    if noise["rate"] is not None:
        figure.add_hline(y=100 * noise["rate"]["value"], line_width=1)
    figure.add_hline(y=50, line_width=1, line_dash="dot")
    return _drawn(figure, "tenths of the pairs, the clearest first", "% of labels against the model")


def _drawn(figure: go.Figure, across: str, upward: str) -> Markup:
    figure.update_layout(
        template="plotly_white", height=320, margin={"l": 60, "r": 20, "t": 20, "b": 50}, bargap=0.05,
        xaxis_title=across, yaxis_title=upward, showlegend=False,
    )  # fmt: skip
    return Markup(figure.to_html(full_html=False, include_plotlyjs=False, config={"displayModeBar": False}))
