"use strict";
(() => {
  const root = document.documentElement;
  const css = (name) => getComputedStyle(root).getPropertyValue(name).trim();
  const plots = [...document.querySelectorAll(".plot")];

  // What every plot takes from the page: ink, grid, room. `narrow` screens have the legend below.
  const themed = (layout) => {
    const ink = css("--ink"), soft = css("--soft"), line = css("--line"), card = css("--card");
    const axis = { color: soft, gridcolor: line, zerolinecolor: line, linecolor: line, automargin: true, fixedrange: true };
    const axes = {};
    for (const key of ["xaxis", "yaxis"]) {
      const given = layout[key] || {};
      axes[key] = { ...axis, ...given, title: { ...(given.title || {}), font: { size: 12, color: soft }, standoff: 6 } };
    }
    return {
      ...layout, ...axes,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: "ui-sans-serif, system-ui, sans-serif", size: 12, color: ink },
      margin: { l: 46, r: 12, t: 10, b: 38 },
      legend: { orientation: "h", x: 0, y: 1.02, yanchor: "bottom", font: { size: 12, color: ink } },
      hoverlabel: { bgcolor: card, bordercolor: line, font: { color: ink } },
      autosize: true,
    };
  };

  const draw = () => Promise.all(plots.map((place) => {
    const figure = JSON.parse(place.dataset.figure);
    return Plotly.react(place, figure.data, themed(figure.layout), { displayModeBar: false, responsive: true });
  }));

  const dark = matchMedia("(prefers-color-scheme: dark)");
  document.getElementById("theme").addEventListener("click", () => {
    const now = root.dataset.theme || (dark.matches ? "dark" : "light");
    root.dataset.theme = now === "dark" ? "light" : "dark";
    draw();
  });
  dark.addEventListener("change", () => { if (!root.dataset.theme) draw(); });
  draw().then(() => { root.dataset.drawn = String(plots.length); });

  // Search: every word must stand somewhere in the prompt or an answer.
  const search = document.getElementById("search");
  if (search) {
    const PAGE = 10;
    const suite = document.getElementById("suite"), found = document.getElementById("found");
    const more = document.getElementById("more");
    const asked = [...document.querySelectorAll(".asked")];
    const texts = asked.map((item) => item.textContent.toLowerCase());
    let most = PAGE;
    const show = () => {
      const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
      let hits = 0;
      asked.forEach((item, place) => {
        const fits = (!suite || !suite.value || item.dataset.suite === suite.value)
          && words.every((word) => texts[place].includes(word));
        item.hidden = !fits || ++hits > most;
      });
      found.textContent = `${hits} of ${asked.length} prompts`;
      more.hidden = hits <= most;
    };
    const anew = () => { most = PAGE; show(); };
    search.addEventListener("input", anew);
    if (suite) suite.addEventListener("change", anew);
    more.addEventListener("click", () => { most += PAGE; show(); });
    show();
  }

  // The section on screen is marked in the list of sections.
  const links = new Map([...document.querySelectorAll("nav a")].map((link) => [link.hash.slice(1), link]));
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) {
        links.forEach((link) => link.classList.remove("here"));
        links.get(entry.target.id).classList.add("here");
      }
    }
  }, { rootMargin: "-20% 0px -70% 0px" });
  document.querySelectorAll("main section").forEach((section) => watcher.observe(section));
})();
