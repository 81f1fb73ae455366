"use strict";
/* One class: what carries it and where, its typical and odd images, and its rivals. */

(() => {
  const { el, said, find, bar, count, images } = lazsl;
  const { names, attributes } = lazsl.value("labels");
  const hasTruth = lazsl.value("report").truth;
  const maps = lazsl.maps;

  function tile(found, number) {
    const canvas = el("canvas", { width: 96, height: 96, "aria-hidden": "true" });
    const level = maps.decode(found.levels[number]);
    const values = Float64Array.from(level, (value) => value / 255);
    maps.paint(canvas, values, [found.grid, found.grid], (t) => [...maps.heat(t), 1]);
    return canvas;
  }

  function draw(number, value) {
    document.title = document.title.replace(/^.*? · /, () => `${names[number]} · `);
    find("name").replaceChildren(said(names[number]));
    const parts = [`${images(value.images)} called so`];
    if (value.known) parts.push(`${count(value.correct)} of ${count(value.known)} rightly`);
    if (value.in_truth) parts.push(`the archive has ${count(value.in_truth)}`);
    find("lede").textContent = `${parts.join("; ")}.`;
    find("carried-note").textContent = value.attributes.length
      ? "Mean contribution to the score where this was the best class, strongest first; the square shows "
        + "where in the image (all stretched to one shape) it was found on average. Lift: how much more "
        + "similar the attribute is there than where the class was only a rival. A map as bright everywhere "
        + "says that no place stands out."
      : "No image's best class, so nothing is known of its attributes.";
    find("legend").hidden = !value.maps;
    maps.paint(find("ramp"), Float64Array.from({ length: 256 }, (_, i) => i / 255), [256, 1], (t) => [...maps.heat(t), 1]);
    const most = Math.max(...value.attributes.map(([, contribution]) => contribution));
    const sorted = [...value.attributes].sort((a, b) => b[1] - a[1]);
    find("attributes").replaceChildren(...sorted.map(([attribute, contribution, , lift]) =>
      el("li", {},
        value.maps ? tile(value.maps, attribute) : null,
        el("div", {},
          el("strong", {}, said(attributes[number][attribute])),
          bar(contribution / most),
          el("span", { class: "meta number" }, `contributes ${lazsl.score(contribution)}`,
            lift === null ? "" : `, lift ${lift < 0 ? "−" : "+"}${Math.abs(lift).toFixed(3)}`)))));
    find("all").href = `gallery.html#label=${number}`;
    const cards = (name) => find(`${name}-cards`).replaceChildren(
      ...value[name].map((image) => lazsl.index.card({ judged: -1, because: null, ...image })));
    cards("typical");
    cards("odd");
    find("odd-side").hidden = !value.odd.length;
    if (!value.typical.length) {
      find("typical-cards").append(el("li", { class: "quiet" }, "No image was called so."));
    }
    const columns = [
      "rival", ...(hasTruth ? ["it was called so", "so was called it"] : []),
      "runner-up", "mean margin", "told apart by",
    ];
    find("rival-table").tHead.rows[0].replaceChildren(...columns.map((column) => {
      const text = ["rival", "told apart by"].includes(column);
      return el("th", { scope: "col", class: text ? null : "number" }, column);
    }));
    find("rival-table").tBodies[0].replaceChildren(...value.rivals.map((rival) => {
      const [mine, other] = rival.because;
      const known = rival.class < attributes.length;
      return el("tr", {},
        el("th", { scope: "row" }, known
          ? el("a", { href: `class.html#class=${rival.class}` }, said(names[rival.class]))
          : said(names[rival.class])),
        ...(hasTruth ? [[rival.taken, number, rival.class], [rival.lost, rival.class, number]].map(([n, label, is]) =>
          el("td", { class: "number" }, n ? el("a", { href: `gallery.html#label=${label}&is=${is}` }, count(n)) : "0")) : []),
        el("td", { class: "number" }, count(rival.runner_up)),
        el("td", { class: "number" }, lazsl.score(rival.margin)),
        el("td", {}, mine ? said(mine) : "–", " against ", other ? said(other) : "–"));
    }));
    if (!value.rivals.length) {
      find("rival-table").tBodies[0].append(el("tr", {}, el("td", { colspan: columns.length }, "Nothing.")));
    }
    find("class").hidden = false;
  }

  async function open() {
    const number = Number(lazsl.address().get("class"));
    if (!Number.isInteger(number) || number < 0 || number >= attributes.length) {
      throw new Error("There is no such class; choose one from the list of classes.");
    }
    draw(number, await lazsl.load(`class-${number}`));
  }

  addEventListener("hashchange", () => { open().catch(lazsl.trouble); scrollTo(0, 0); });
  open().catch(lazsl.trouble);
})();
