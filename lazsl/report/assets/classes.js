"use strict";
/* All classes: how often each was given, how surely, how rightly. */

(() => {
  const MOST = 500;
  const { el, said, find, bar, count } = lazsl;
  const { names, attributes } = lazsl.value("labels");
  const hasTruth = lazsl.value("report").truth;
  const rows = lazsl.value("classes").map(([number, images, margin, correct, known]) => ({
    number, images, margin, correct, right: known ? correct / known : null,
  }));
  const most = Math.max(1, ...rows.map(({ images }) => images));
  const columns = [
    ["class", (a, b) => (names[a.number] < names[b.number] ? -1 : 1)],
    ["images", (a, b) => b.images - a.images],
    ["mean margin", (a, b) => (a.margin ?? 9) - (b.margin ?? 9)],
    ...(hasTruth ? [["of these right", (a, b) => (a.right ?? 9) - (b.right ?? 9)]] : []),
  ];
  let order = 1;
  let everything = false;

  const buttons = columns.map(([name], number) =>
    el("button", { type: "button", class: "sorter", onclick: () => { order = number; draw(); } }, name));
  const heads = buttons.map((button, number) =>
    el("th", { scope: "col", class: number ? "number" : null }, button));
  find("classes").tHead.rows[0].append(...heads);

  function draw() {
    const wanted = find("q").value.trim().toLowerCase();
    const has = (text) => text.toLowerCase().includes(wanted);
    const found = rows
      .filter(({ number }) => !wanted || has(names[number]) || attributes[number].some(has))
      .sort((a, b) => columns[order][1](a, b) || a.number - b.number);
    heads.forEach((head, number) => {
      if (number === order) head.setAttribute("aria-sort", order === 1 ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    });
    find("count").textContent = `${count(found.length)} ${found.length === 1 ? "class" : "classes"}`;
    find("all").hidden = everything || found.length <= MOST;
    const shown = everything ? found : found.slice(0, MOST);
    find("classes").tBodies[0].replaceChildren(...shown.map((row) =>
      el("tr", {},
        el("th", { scope: "row" },
          el("a", { href: `class.html#class=${row.number}` }, said(names[row.number])),
          el("span", { class: "quiet listing" }, said(attributes[row.number].join("; ")))),
        el("td", { class: "number with-bar" }, count(row.images), bar(row.images / most)),
        el("td", { class: "number" }, lazsl.score(row.margin)),
        hasTruth ? el("td", { class: "number" },
          row.right === null ? "–" : `${(100 * row.right).toFixed(0)}\u202f%`) : null)));
  }

  find("q").addEventListener("input", draw);
  find("q").form.addEventListener("submit", (event) => event.preventDefault());
  find("all").addEventListener("click", () => { everything = true; draw(); });
  draw();
})();
