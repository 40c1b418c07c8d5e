"use strict";
// The page is whole without this: it adds sorting, filtering, rows that open in place, and the choice of a theme.
(() => {
  const byId = (id) => document.getElementById(id);
  const table = byId("rows"), sheet = byId("sheet"), tools = byId("tools"), proof = byId("proof");
  const heads = [...table.tHead.rows[0].cells];
  const blocks = [...table.tBodies];
  const lines = blocks.flatMap((block) => [...block.rows]);

  // Theme: the system's, light, dark.
  const themes = { system: "light dark", light: "light", dark: "dark" };
  const theme = byId("theme");
  const wear = (name) => {
    document.documentElement.style.colorScheme = themes[name];
    theme.textContent = `Theme: ${name}`;
    theme.dataset.name = name;
  };
  const remembered = () => {
    try { return localStorage.getItem("fusionlab-theme"); } catch { return null; } // a browser may refuse a file
  };
  wear(remembered() in themes ? remembered() : "system");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const names = Object.keys(themes);
    wear(names[(names.indexOf(theme.dataset.name) + 1) % names.length]);
    try { localStorage.setItem("fusionlab-theme", theme.dataset.name); } catch { /* it is chosen for this visit only */ }
  });

  // Evidence: a row's block moves from the end of the page to below its line, and back.
  const homes = new Map();
  for (const box of proof ? proof.querySelectorAll("details.row") : []) {
    homes.set(box.querySelector(".evidence").id, box);
    box.hidden = true;
  }
  if (proof && !byId("others")) proof.hidden = true;
  const linkOf = (id) => table.querySelector(`a.open[href="#${id}"]`);
  const isOpen = (link) => link.getAttribute("aria-expanded") === "true";
  const close = (link) => {
    if (!isOpen(link)) return;
    const id = link.hash.slice(1), detail = link.closest("tr").nextElementSibling;
    homes.get(id).append(byId(id));
    detail.remove();
    link.setAttribute("aria-expanded", "false");
  };
  const open = (link) => {
    const id = link.hash.slice(1);
    if (!homes.has(id) || isOpen(link)) return;
    for (const other of table.querySelectorAll(`a.open[href="#${id}"]`)) close(other);
    const detail = document.createElement("tr"), cell = detail.insertCell();
    detail.className = "detail";
    cell.colSpan = heads.length;
    cell.append(byId(id));
    link.closest("tr").after(detail);
    link.setAttribute("aria-expanded", "true");
    fit();
  };
  const toggle = (link) => (isOpen(link) ? close(link) : open(link));
  for (const link of table.querySelectorAll("a.open")) {
    link.setAttribute("role", "button");
    link.setAttribute("aria-expanded", "false");
  }
  const reveal = (id) => {
    const link = /^row-\d+$/.test(id) && linkOf(id);
    if (!link) return false;
    open(link);
    link.scrollIntoView({ block: "center" });
    link.focus();
    return true;
  };
  document.addEventListener("click", (event) => {
    const link = event.target.closest('a[href^="#row-"]');
    if (link) {
      if (link.matches("a.open")) toggle(link);
      else if (!reveal(link.hash.slice(1))) return;
      event.preventDefault();
    } else if (!event.target.closest("a, button, input, select, summary, .detail") && getSelection().isCollapsed) {
      const own = event.target.closest("#rows tbody tr")?.querySelector("a.open");
      if (own) toggle(own);
    }
  });
  table.addEventListener("keydown", (event) => {
    const link = event.target.closest("a.open");
    if (link && event.key === " ") { event.preventDefault(); toggle(link); }
    if (event.key === "Escape") {
      const own = link ?? event.target.closest("tr.detail")?.previousElementSibling.querySelector("a.open");
      if (own && isOpen(own)) { close(own); own.focus(); }
    }
  });

  // Sorting: baselines and fusions together, so that one sees which fusions lie below the control. Ceilings stay below.
  const body = table.querySelector("tbody.sorts");
  const first = body ? [...body.rows] : [];
  const order = new Map(first.map((line, at) => [line, at]));
  const text = (cell) => (cell.querySelector("a.open, b") ?? cell).textContent.trim();
  const number = (shown) => {
    const found = /^([-+]?[\d.]+)(M?)(?:\/(\d+))?/.exec(shown.replace("−", "-"));
    return found ? (Number(found[1]) * (found[2] ? 1e6 : 1)) / Number(found[3] ?? 1) : NaN;
  };
  const key = (line, at, numeric) => {
    const cell = line.cells[at];
    if (!cell || cell.colSpan > 1 || cell.classList.contains("failed") || text(cell) === "–") return null;
    if (cell.dataset.v !== undefined) return Number(cell.dataset.v);
    const own = numeric ? number(text(cell)) : text(cell);
    return Number.isNaN(own) ? null : own;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true }));
  const sort = (head, at, way) => {
    const numeric = head.classList.contains("num");
    const keys = new Map(first.map((line) => [line, key(line, at, numeric)]));
    const sorted = way === "none" ? first : [...first].sort((a, b) => {
      const one = keys.get(a), other = keys.get(b);
      if (one === null || other === null) return (one === null) - (other === null) || order.get(a) - order.get(b);
      return (way === "ascending" ? 1 : -1) * compare(one, other) || order.get(a) - order.get(b);
    });
    const details = new Map(first.map((line) => {
      const next = line.nextElementSibling;
      return [line, next?.classList.contains("detail") ? next : null];
    }));
    for (const line of sorted) body.append(...[line, details.get(line)].filter(Boolean));
    body.classList.toggle("sorted", way !== "none");
    for (const other of heads) other.removeAttribute("aria-sort");
    if (way !== "none") head.setAttribute("aria-sort", way);
  };
  heads.forEach((head, at) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const ways = head.classList.contains("num") ? ["descending", "ascending"] : ["ascending", "descending"];
    button.addEventListener("click", () => {
      const now = ways.indexOf(head.getAttribute("aria-sort"));
      sort(head, at, ["descending", "ascending", "none"].includes(ways[now + 1]) ? ways[now + 1] : "none");
    });
  });

  // Filtering: words that a row must have, and the values of axes.
  const words = new Map(lines.map((line) => [line, line.textContent.toLowerCase()]));
  const filter = byId("filter"), selects = [];
  heads.forEach((head, at) => {
    if (!head.dataset.axis) return;
    const values = new Map();
    for (const line of first) {
      const cell = line.cells[at];
      if (cell?.dataset.v !== undefined && text(cell) !== "–") values.set(text(cell), Number(cell.dataset.v));
    }
    if (values.size < 2 || values.size > 40) return;
    const select = document.createElement("select"), label = document.createElement("label");
    select.add(new Option("all", ""));
    for (const [name] of [...values].sort((a, b) => a[1] - b[1])) select.add(new Option(name, `=${name}`));
    label.append(`${head.textContent} `, select);
    byId("axes").append(label);
    selects.push([select, at]);
    select.addEventListener("change", narrow);
  });
  function narrow() {
    const wanted = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    let seen = 0;
    for (const line of lines) {
      const fits = wanted.every((word) => words.get(line).includes(word)) &&
        selects.every(([select, at]) => !select.value || (line.cells[at] && `=${text(line.cells[at])}` === select.value));
      const link = line.querySelector("a.open");
      if (!fits && link) close(link);
      line.hidden = !fits;
      seen += fits;
    }
    byId("count").textContent = `${seen} of ${lines.length} rows`;
  }
  filter.addEventListener("input", narrow);
  tools.hidden = false;
  narrow();

  // Columns: those without room are shown on demand; a cell over several columns spans those that are seen.
  const wider = byId("wider"), paper = byId("paper");
  const isSeen = (cell) => getComputedStyle(cell).display !== "none";
  function fit() {
    const seen = heads.map(isSeen);
    for (const cell of table.querySelectorAll("tbody td[colspan]")) {
      const before = [...cell.parentElement.cells].slice(0, cell.cellIndex).filter(isSeen).length;
      cell.colSpan = Math.max(1, seen.filter(Boolean).length - before);
    }
    const away = heads.filter((head, at) => !seen[at] && (paper?.checked || !head.classList.contains("foreign"))).length;
    const all = sheet.classList.contains("all");
    wider.hidden = !away && !all;
    wider.textContent = all ? "Fewer columns" : `All columns (${away} more)`;
    wider.setAttribute("aria-pressed", String(all));
  }
  wider.addEventListener("click", () => {
    const all = sheet.classList.toggle("all");
    if (all) sheet.tabIndex = 0; else sheet.removeAttribute("tabindex"); // it may scroll now, also by keys
    fit();
  });
  paper?.addEventListener("change", fit);
  new ResizeObserver(fit).observe(sheet);
  fit();

  reveal(location.hash.slice(1));
  addEventListener("hashchange", () => reveal(location.hash.slice(1)));
})();
