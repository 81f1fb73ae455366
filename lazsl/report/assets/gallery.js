"use strict";
/* The gallery: filters and the page are in the address, so that any view can be kept and sent. */

(() => {
  const PAGE = 48;
  const { el, find, count, images } = lazsl;
  const index = lazsl.index;
  const report = lazsl.value("report");
  const form = find("filters");
  const fields = [...form.querySelectorAll("input, select")];
  const turn = lazsl.pager((page) => {
    const address = lazsl.address();
    address.set("page", page + 1);
    location.hash = address;
    find("main").focus();
    scrollTo(0, 0);
  });
  let shown = "";

  index.names
    .slice(0, index.attributes.length)
    .map((name, number) => [name, number])
    .sort(([a], [b]) => a.localeCompare(b))
    .forEach(([name, number]) => find("label").append(el("option", { value: number }, name)));
  find("truth-field").hidden = !report.truth;
  find("abstained-field").hidden = !report.abstained;
  find("judged-field").hidden = !report.reviewed;
  find("more").open = matchMedia("(min-width: 48rem)").matches;

  function fill() {
    const address = lazsl.address();
    for (const field of fields) {
      if (field !== document.activeElement) field.value = address.get(field.name) || "";
    }
  }

  function draw() {
    const address = lazsl.address();
    const rows = index.select(address);
    const pages = Math.ceil(rows.length / PAGE);
    const page = Math.min(Math.max(0, (Number(address.get("page")) || 1) - 1), Math.max(0, pages - 1));
    const here = rows.slice(page * PAGE, (page + 1) * PAGE);
    const some = String(index.filters(address)) ? ` of ${count(index.images)}` : "";
    find("count").textContent = index.isComplete()
      ? `${count(rows.length)}${some} ${rows.length === 1 && !some ? "image" : "images"}`
      : `${images(rows.length)} so far; still loading`;
    turn(page, pages);
    // Later files of the index leave most pages as they are: then nothing must flicker.
    const wanted = `${index.filters(address)} ${here}`;
    if (wanted === shown) return;
    shown = wanted;
    find("cards").replaceChildren(...here.map((row) => index.card(index.facts(row), address)));
  }

  function change() {
    const address = new URLSearchParams();
    for (const field of fields) if (field.value) address.set(field.name, field.value);
    history.replaceState(null, "", `#${address}`);
    draw();
  }

  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(change, 120);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); change(); });
  form.addEventListener("reset", () => setTimeout(change));
  addEventListener("hashchange", () => { fill(); draw(); });
  fill();
  index.all(draw).then(draw, lazsl.trouble);
})();
