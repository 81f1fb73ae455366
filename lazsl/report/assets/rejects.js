"use strict";
/* Rejects, page by page; each data file holds rejects of one reason. */

(() => {
  const { el, said, find, count, images } = lazsl;
  if (!find("reason")) return;
  const PAGE = 100;
  const files = lazsl.value("report").rejects;
  const turn = lazsl.pager((page) => {
    const address = lazsl.address();
    address.set("page", page + 1);
    location.hash = address;
    scrollTo(0, 0);
  });
  const totals = new Map();
  for (const [reason, rows] of files) totals.set(reason, (totals.get(reason) || 0) + rows);
  for (const [reason, rows] of totals) {
    find("reason").append(el("option", { value: reason }, `${reason} (${count(rows)})`));
  }

  async function draw() {
    const address = lazsl.address();
    const reason = totals.has(address.get("reason")) ? address.get("reason") : "";
    find("reason").value = reason;
    const chosen = files.map(([of, rows], number) => ({ of, rows, number }))
      .filter(({ of }) => !reason || of === reason);
    const total = chosen.reduce((sum, { rows }) => sum + rows, 0);
    const pages = Math.ceil(total / PAGE);
    const page = Math.min(Math.max(0, (Number(address.get("page")) || 1) - 1), pages - 1);
    const drawn = [];
    let start = 0;
    for (const { of, rows, number } of chosen) {
      const first = Math.max(page * PAGE, start);
      const last = Math.min((page + 1) * PAGE, start + rows);
      if (first < last) {
        const found = await lazsl.load(`rejects-${number}`);
        for (const row of found.slice(first - start, last - start)) drawn.push([of, ...row]);
      }
      start += rows;
    }
    find("count").textContent = images(total);
    turn(page, pages);
    find("rejects").tBodies[0].replaceChildren(...drawn.map(([of, key, detail, bytes, listed]) =>
      el("tr", {},
        el("th", { scope: "row", class: "path" }, said(key || "")),
        el("td", {}, el("span", { class: "reason" }, said(of)), " ", said(detail || ""),
          listed ? null : el("em", {}, " (no longer in the archive)")),
        el("td", { class: "number" }, bytes === null ? "–" : count(bytes)))));
  }

  find("reason").addEventListener("change", () => {
    location.hash = new URLSearchParams(find("reason").value ? { reason: find("reason").value } : {});
  });
  const again = () => draw().catch(lazsl.trouble);
  addEventListener("hashchange", again);
  again();
})();
