"use strict";
/* What two runs call differently, and which attributes moved it. */

(() => {
  const { el, said, find, bar, count } = lazsl;
  if (!find("changes")) return;
  const PAGE = 24;
  const { changed: files, previews } = lazsl.value("report");
  const turn = lazsl.pager((page) => { current = page; draw(); find("moved").scrollIntoView(); });
  const rows = [];
  let current = 0;

  const label = (name) => (name === null ? el("em", {}, "abstained") : said(name));
  const isMended = (row) => row.truth !== null && row.label_after === row.truth;
  const isBroken = (row) => row.truth !== null && row.label_before === row.truth;
  const shows = { "": () => true, mended: isMended, broken: isBroken };

  function thumb(row) {
    if (row.file < 0 || !previews) return el("span", { class: "blank" }, "no preview");
    return el("img", { src: lazsl.index.preview({ id: row.image_id, file: row.file }), alt: row.key, loading: "lazy" });
  }

  function item(row) {
    const image = { id: row.image_id, at: row.position };
    const most = Math.max(...row.moved.map((m) => Math.abs((m.after || 0) - (m.before || 0))), 1e-9);
    const moves = row.moved.map((m) => {
      const change = (m.after || 0) - (m.before || 0);
      return el("tr", {},
        el("td", {}, said(m.attribute === null ? m.class : m.attribute),
          el("span", { class: "quiet" }, " of ", said(m.class))),
        el("td", {}, bar(Math.abs(change) / most, change < 0 ? "less" : "more")),
        el("td", { class: "number" }, `${change < 0 ? "−" : "+"}${Math.abs(change).toFixed(4)}`));
    });
    const verdict = isMended(row) ? el("span", { class: "mark right" }, "✓ became right")
      : isBroken(row) ? el("span", { class: "mark wrong" }, "✗ became wrong")
        : row.truth !== null ? el("span", { class: "quiet" }, "still wrong: is ", said(row.truth)) : null;
    const photo = el("span", { class: "thumb" }, thumb(row));
    return el("li", { class: "change" },
      row.file < 0 ? photo : el("a", { href: lazsl.index.link(image) }, photo),
      el("div", {},
        el("h3", {}, label(row.label_before), el("span", { "aria-label": " became " }, " → "), label(row.label_after)),
        el("p", { class: "meta" }, verdict, el("span", { class: "path" }, said(row.key))),
        moves.length
          ? el("table", { class: "moves" },
            el("thead", { class: "hidden" }, el("tr", {},
              ...["attribute", "movement", "change"].map((name) => el("th", { scope: "col" }, name)))),
            el("tbody", {}, ...moves))
          : el("p", { class: "quiet" }, "No attribute that both runs kept for this image moved.")));
  }

  function draw() {
    const found = rows.filter(shows[find("change").value]);
    const pages = Math.ceil(found.length / PAGE);
    current = Math.min(Math.max(0, current), Math.max(0, pages - 1));
    find("count").textContent = `${count(found.length)} ${found.length === 1 ? "change" : "changes"}`;
    turn(current, pages);
    find("changes").replaceChildren(...found.slice(current * PAGE, (current + 1) * PAGE).map(item));
  }

  async function open() {
    for (let number = 0; number < files.length; number++) {
      rows.push(...await lazsl.load(`changed-${number}`));
      if (number === 0 || number === files.length - 1) draw();
    }
  }

  find("change").addEventListener("change", () => { current = 0; draw(); });
  open().catch(lazsl.trouble);
})();
