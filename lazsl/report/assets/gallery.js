"use strict";
/* The gallery: filters and the page are in the address, so that any view can be kept and sent. */

(() => {
  const PAGE = 48;
  const { el, said, find, count, images } = lazsl;
  const index = lazsl.index;
  const { names } = index;
  const report = lazsl.value("report");
  const form = find("filters");
  const fields = [...form.querySelectorAll("[name]")];
  const turn = lazsl.pager((page) => {
    const address = lazsl.address();
    address.set("page", page + 1);
    location.hash = address;
    find("main").focus();
    scrollTo(0, 0);
  });
  let shown = "";
  let rows = [];

  find("truth-field").hidden = !report.truth;
  find("abstained-field").hidden = !report.abstained;
  find("judged-field").hidden = !report.reviewed;
  find("more").open = matchMedia("(min-width: 48rem)").matches;

  /* The classes that an address names: those given as labels, and those that are the truth. */
  const classes = (address, name) =>
    (address.get(name) || "").split(",").filter((text) => text && Object.hasOwn(names, text)).map(Number);

  function set(name, value) {
    const address = index.filters(lazsl.address());
    if (value) address.set(name, value);
    else address.delete(name);
    history.replaceState(null, "", `#${address}`);
    fill();
    draw();
  }

  function chip(name, number, what) {
    const without = () => classes(lazsl.address(), name).filter((other) => other !== number).join(",");
    return el("li", {}, el("button", {
      type: "button", "aria-label": `Remove ${what}${names[number]}`, onclick: () => set(name, without()),
    }, what, said(names[number]), el("span", { "aria-hidden": "true" }, " ×")));
  }

  function fill() {
    const address = lazsl.address();
    for (const field of fields) {
      if (field !== document.activeElement) field.value = address.get(field.name) || "";
    }
    const chips = [
      ...classes(address, "label").map((number) => chip("label", number, "")),
      ...classes(address, "is").map((number) => chip("is", number, "truth: ")),
    ];
    find("chips").replaceChildren(...chips);
    find("chips").hidden = !chips.length;
  }

  function card(row, address) {
    const item = index.card(index.facts(row), address);
    const id = index.id(row);
    const box = el("input", { type: "checkbox", "aria-label": `Pick ${index.facts(row).key}` });
    box.checked = index.picked.has(id);
    box.addEventListener("change", () => {
      index.pick(id, box.checked);
      if (address.get("picked")) draw();
    });
    item.append(el("label", { class: "pick" }, box, " pick"));
    return item;
  }

  function draw() {
    const address = lazsl.address();
    rows = index.select(address);
    const pages = Math.ceil(rows.length / PAGE);
    const page = Math.min(Math.max(0, (Number(address.get("page")) || 1) - 1), Math.max(0, pages - 1));
    const here = rows.slice(page * PAGE, (page + 1) * PAGE);
    const some = String(index.filters(address)) ? ` of ${count(index.images)}` : "";
    find("count").textContent = index.isComplete()
      ? `${count(rows.length)}${some} ${rows.length === 1 && !some ? "image" : "images"}`
      : `${images(rows.length)} so far; still loading`;
    turn(page, pages);
    find("empty").hidden = rows.length > 0 || !index.isComplete() || !some;
    find("actions").hidden = !rows.length || !index.isComplete();
    find("judge").href = `judge.html#${some ? index.filters(address) : "all=yes"}`;
    // Later files of the index leave most pages as they are: then nothing must flicker.
    const wanted = `${index.filters(address)} ${here}`;
    if (wanted === shown) return;
    shown = wanted;
    find("cards").replaceChildren(...here.map((row) => card(row, address)));
  }

  function change() {
    const address = new URLSearchParams();
    const before = lazsl.address();
    for (const name of ["label", "is"]) if (before.get(name)) address.set(name, before.get(name));
    for (const field of fields) if (field.value) address.set(field.name, field.value);
    history.replaceState(null, "", `#${address}`);
    draw();
  }

  function clear() {
    for (const field of fields) field.value = "";
    history.replaceState(null, "", "#");
    fill();
    draw();
  }

  let waiting = 0;
  form.addEventListener("input", () => {
    clearTimeout(waiting);
    waiting = setTimeout(change, 120);
  });
  form.addEventListener("submit", (event) => { event.preventDefault(); change(); });
  form.addEventListener("reset", (event) => { event.preventDefault(); clear(); });
  find("clear").addEventListener("click", () => { clear(); find("q").focus(); });
  find("keys").addEventListener("click", () =>
    lazsl.download(`keys-${report.run}.csv`, lazsl.csv([["key"], ...rows.map((row) => [index.exactKey(row)])])));
  lazsl.choose("label", names.slice(0, index.attributes.length), (number) =>
    set("label", [...new Set([...classes(lazsl.address(), "label"), number])].join(",")));
  addEventListener("hashchange", () => { fill(); draw(); });
  fill();
  index.all(draw).then(draw, lazsl.trouble);
})();
