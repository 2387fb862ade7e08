"""Page: facts -> one HTML file that needs no network, with plotly.js inlined once.

Everything that models or data say is escaped: jinja's autoescape is on, and no text reaches a script.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from importlib.resources import files

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from align.report.abstention import risk_coverage
from align.report.answers import answers
from align.report.collect import Facts
from align.report.gates import gates
from align.report.length import length
from align.report.overview import alarms, failure, overview
from align.report.provenance import data, lineage, models, pipeline, require_stages
from align.report.rankings import leaderboard, win_rates
from align.report.results import suites
from align.report.reward_models import reward_models
from align.report.section import Section
from align.report.tax import tax
from align.report.timing import cost, time
from align.report.training import curves, entropy, kl, overoptimisation

Builder = Callable[[Facts], Iterator[Section]]
# In the order of the page; a section yields nothing where its data is not there.
SECTIONS: tuple[Builder, ...] = (
    failure, overview, alarms, pipeline, gates, models, suites, risk_coverage, tax, win_rates, leaderboard,
    reward_models, overoptimisation, length, answers, curves, entropy, kl, time, cost, data, lineage,
)  # fmt: skip


def render(facts: Facts, now: datetime) -> str:
    """The whole page.

    Raises:
        ReportError: there is nothing to tell.
    """
    require_stages(facts)
    sections = [section for builder in SECTIONS for section in builder(facts)]
    has_charts = any(block.kind == "charts" for section in sections for block in section.blocks)
    return (
        _environment()
        .get_template("page.html.jinja")
        .render(
            facts=facts,
            sections=sections,
            has_charts=has_charts,
            written=f"Written {now:%Y-%m-%d %H:%M}",
            plotly=Markup(get_plotlyjs()) if has_charts else "",  # noqa: S704  (the library's own file)
            style=_own("page.css"),
            script=_own("page.js"),
        )
    )


def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("align.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _own(name: str) -> str:
    return (files("align.report") / "templates" / name).read_text(encoding="utf-8")
