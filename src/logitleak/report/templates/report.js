"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");
  const byId = (id) => document.getElementById(id);

  // Theme: automatic, light, dark. Kept for this visit only; the page stores nothing.
  const themes = [["", "Auto", "◐"], ["light", "Light", "○"], ["dark", "Dark", "●"]];
  let theme = 0;
  byId("theme").addEventListener("click", () => {
    theme = (theme + 1) % themes.length;
    const [value, word, sign] = themes[theme];
    if (value) root.dataset.theme = value; else delete root.dataset.theme;
    byId("theme").firstElementChild.textContent = sign;
    byId("theme").querySelector("[data-word]").textContent = word;
    byId("theme").setAttribute("aria-label", "Theme: " + (word === "Auto" ? "automatic" : word.toLowerCase()));
  });

  // Closed details would print as bare headings.
  let opened = [];
  addEventListener("beforeprint", () => {
    opened = [...document.querySelectorAll("details:not([open])")];
    for (const item of opened) item.open = true;
  });
  addEventListener("afterprint", () => { for (const item of opened) item.open = false; });

  const truth = byId("truth");
  truth?.addEventListener("click", () => {
    const visible = truth.getAttribute("aria-checked") !== "true";
    truth.setAttribute("aria-checked", String(visible));
    root.classList.toggle("no-truth", !visible);
  });

  const list = byId("cards");
  if (!list) return;
  const data = JSON.parse(byId("cards-data").textContent);
  const cards = [...list.children];
  const chosen = (id, otherwise) => (byId(id) ? byId(id).value : otherwise);
  const fact = (card) => {
    const judged = data[card.dataset.card].judged;
    const name = chosen("of", "");
    return Object.hasOwn(judged, name) ? judged[name] : {};
  };
  const ssim = (card, missing) => fact(card).ssim ?? missing;
  const byLabel = (a, b) => a.dataset.card - b.dataset.card;
  const orders = {
    label: byLabel,
    best: (a, b) => ssim(b, -2) - ssim(a, -2) || byLabel(a, b),
    worst: (a, b) => ssim(a, 2) - ssim(b, 2) || byLabel(a, b),
    success: (a, b) => Boolean(fact(b).success) - Boolean(fact(a).success) || ssim(b, -2) - ssim(a, -2) || byLabel(a, b),
    gain: (a, b) => (fact(b).gain ?? -3) - (fact(a).gain ?? -3) || byLabel(a, b),
  };
  const filters = {
    all: () => true,
    hit: (card) => fact(card).success === true,
    miss: (card) => fact(card).success === false,
    only: (card) => fact(card).only === true,
    close: (card) => fact(card).close === true,
  };

  function arrange() {
    const word = byId("find").value.trim().toLowerCase();
    const keep = filters[chosen("show", "all")];
    let shown = 0;
    for (const card of cards) {
      const { label, name } = data[card.dataset.card];
      const found = !word || String(label) === word || String(name ?? "").toLowerCase().includes(word);
      card.hidden = !(found && keep(card));
      shown += card.hidden ? 0 : 1;
    }
    // The nodes themselves move, so that reading order and tab order follow what is seen.
    list.append(...cards.sort(orders[chosen("sort", "label")]));
    byId("shown").textContent = shown + " of " + cards.length + " targets";
    byId("empty").hidden = shown > 0;
  }
  for (const id of ["sort", "of", "show"]) byId(id)?.addEventListener("change", arrange);
  byId("find").addEventListener("input", arrange);
})();
