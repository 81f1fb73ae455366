"use strict";
/* One image: pointing at an attribute lights where it was found.

   A view is what the map shows: { plan, attribute } (attribute -1: the whole class), or
   { contrast: true }. The one that is pointed at comes before the one that was pressed. */

(() => {
  const KEPT_FILES = 8;
  const OPENS = /^(file|https?):\/\//;
  const { el, said, find, bar, score, count } = lazsl;
  const { names, attributes, ...index } = lazsl.index;
  const report = lazsl.value("report");
  const maps = lazsl.maps;
  const opened = [];
  let image = null;
  let plans = [];
  let rows = [];
  let pressed = null;
  let pointed = null;
  const pointing = new Map();
  const bestRegions = new Map();

  const texts = (rank) => {
    const number = image.classes[rank].class;
    return attributes[number] || [names[number]];
  };

  /* How similar every region is to what a view shows. */
  function values(view) {
    const { cells, columns } = plans[view.plan];
    return Array.from({ length: image.boxes.length / 4 }, (_, r) => {
      if (view.attribute >= 0) return cells[r * columns + view.attribute];
      let sum = 0;
      for (let j = 0; j < columns; j++) sum += cells[r * columns + j];
      return sum / columns;
    });
  }

  function difference() {
    const other = values({ plan: 1, attribute: -1 });
    return values({ plan: 0, attribute: -1 }).map((value, r) => value - other[r]);
  }

  function outline(context, box, thick) {
    const [left, top, right, bottom] = box;
    const x = (context.canvas.width / image.size[0]);
    const y = (context.canvas.height / image.size[1]);
    for (const [colour, width] of [["rgb(0 0 0 / 0.55)", thick + 2], ["white", thick]]) {
      context.strokeStyle = colour;
      context.lineWidth = width * devicePixelRatio;
      const inset = ((thick + 2) * devicePixelRatio) / 2;
      context.strokeRect(left * x + inset, top * y + inset, (right - left) * x - 2 * inset, (bottom - top) * y - 2 * inset);
    }
  }

  function show() {
    const view = pointed || pressed;
    const canvas = find("light");
    const frame = find("frame").getBoundingClientRect();
    canvas.width = Math.round(frame.width * devicePixelRatio);
    canvas.height = Math.round(frame.height * devicePixelRatio);
    const same = (a, b) => a && b && a.plan === b.plan && a.attribute === b.attribute && a.contrast === b.contrast;
    for (const button of document.querySelectorAll("[data-view]")) {
      const mine = JSON.parse(button.dataset.view);
      button.setAttribute("aria-pressed", String(Boolean(same(mine, pressed))));
      button.classList.toggle("shown", Boolean(same(mine, view)));
    }
    find("legend").classList.toggle("unused", !view);
    find("hint").hidden = Boolean(view) || !plans.length;
    find("lit").textContent = "";
    if (!view || !plans.length) return;
    const cellsOf = maps.grid(image.size);
    const places = (found) => maps.explained(image.boxes, found, image.size, cellsOf);
    const context = canvas.getContext("2d");
    const first = names[image.classes[0].class];
    if (view.contrast) {
      maps.paint(canvas, maps.signed(places(difference())), cellsOf, maps.contrasting);
      tell(`speaks for ${names[image.classes[1].class]}`, `for ${first}`, (t) => maps.contrasting(2 * t - 1));
      find("lit").textContent = `What speaks for ${first} rather than ${names[image.classes[1].class]}.`;
      return;
    }
    const similar = values(view);
    const { contributions, scores } = image.classes[view.plan];
    const total = view.attribute < 0 ? scores[0] : contributions[view.attribute];
    if (view.attribute >= 0 && !localised(view.plan, view.attribute)) {
      find("legend").classList.add("unused");
      find("lit").textContent = `${texts(view.plan)[view.attribute]}: not localised, no place stands out for it.`;
      return;
    }
    const mapped = view.attribute < 0 ? similar : maps.sharpened(image.boxes, similar, image.size);
    maps.paint(canvas, maps.positive(places(mapped)), cellsOf, maps.lit);
    outline(context, view.attribute < 0 ? regionBox(strongest(similar)) : shownBy(view.plan, view.attribute), 2);
    const what = view.attribute < 0 ? names[image.classes[view.plan].class] : texts(view.plan)[view.attribute];
    tell("elsewhere", "found here", maps.lit);
    find("lit").textContent = `${what}: ${total < 0 ? "takes away" : "contributes"} ${score(Math.abs(total))}; the region most like it there is outlined.`;
  }

  const strongest = (similar) => similar.indexOf(Math.max(...similar));
  const regionBox = (number) => image.boxes.slice(4 * number, 4 * number + 4);

  /* The box of the region that shows an attribute best, around the place where it was found. */
  function shownBy(plan, attribute) {
    const key = `${plan} ${attribute}`;
    if (!bestRegions.has(key)) {
      const similar = values({ plan, attribute });
      bestRegions.set(key, localised(plan, attribute) ? maps.region(image.boxes, similar, image.size) : strongest(similar));
    }
    return regionBox(bestRegions.get(key));
  }

  /* What that region shows: a piece of the preview. */
  function crop(plan, attribute) {
    const [left, top, right, bottom] = shownBy(plan, attribute);
    const [width, height] = image.size;
    const piece = el("span", { class: "crop", "aria-hidden": "true" });
    const part = (before, rest) => (rest > 0 ? (100 * before) / rest : 0);
    piece.style.backgroundImage = `url("${index.preview({ id: image.id, file: image.file })}")`;
    piece.style.backgroundSize = `${(100 * width) / (right - left)}% ${(100 * height) / (bottom - top)}%`;
    piece.style.backgroundPosition = `${part(left, width - right + left)}% ${part(top, height - bottom + top)}%`;
    piece.style.aspectRatio = `${right - left} / ${bottom - top}`;
    return piece;
  }

  function tell(least, most, colour) {
    find("least").textContent = least;
    find("most").textContent = most;
    maps.paint(find("ramp"), Float64Array.from({ length: 256 }, (_, i) => i / 255), [256, 1],
      (t) => [...colour(t).slice(0, 3), colour(t)[3]]);
  }

  /* Pointing, focusing and tapping all show; a tap or a press keeps it. */
  function showing(button, view) {
    button.dataset.view = JSON.stringify(view);
    const point = () => { pointed = view; show(); };
    const leave = () => { pointed = null; show(); };
    button.addEventListener("pointerenter", (event) => { if (event.pointerType === "mouse") point(); });
    button.addEventListener("pointerleave", leave);
    button.addEventListener("focus", () => { if (button.matches(":focus-visible")) point(); });
    button.addEventListener("blur", leave);
    button.addEventListener("click", () => {
      pressed = JSON.stringify(pressed) === JSON.stringify(view) ? null : view;
      pointed = null;
      show();
    });
    return button;
  }

  /* What an attribute is called, with its share, and what makes it doubtful. */
  function attribute(rank, number) {
    const { contributions } = image.classes[rank];
    /* Of all that speaks for or against the class, as explain has it. */
    const total = contributions.reduce((sum, one) => sum + Math.abs(one), 0);
    const contribution = contributions[number];
    const presence = image.presence[rank] ? image.presence[rank][number] : null;
    const share = total > 0 ? `${Math.round(100 * contribution / total)}\u202f%`.replace("-", "−") : score(contribution);
    const doubts = [
      presence !== null && presence < 0.5 ? `not seen (presence ${(100 * presence).toFixed(0)}\u202f%)` : null,
      plans[rank] && !localised(rank, number) ? "not localised" : null,
    ].filter((doubt) => doubt);
    const piece = plans[rank] && pictured() ? crop(rank, number) : null;
    const inside = [
      piece,
      el("span", { class: "text" }, said(texts(rank)[number])),
      el("span", { class: "number" }, share),
      doubts.length ? el("span", { class: "doubt" }, doubts.join(", ")) : null,
    ];
    const kind = `attribute ${rank ? "theirs" : "mine"}${piece ? " pictured" : ""}`;
    if (!plans[rank]) return el("span", { class: kind }, ...inside);
    return showing(el("button", { type: "button", class: kind }, ...inside), { plan: rank, attribute: number });
  }

  function localised(rank, number) {
    const key = `${rank} ${number}`;
    if (!pointing.has(key)) {
      pointing.set(key, maps.localised(image.boxes, values({ plan: rank, attribute: number }), image.size));
    }
    return pointing.get(key);
  }

  /* Attributes of the best two classes, like beside like; of one class where no plan is kept. */
  function table() {
    const alone = image.classes[0].contributions
      .map((contribution, number) => [number, -1, contribution])
      .sort((a, b) => b[2] - a[2] || a[0] - b[0]);
    const pairs = image.pairs.length ? image.pairs : alone;
    const most = Math.max(...pairs.map(([, , difference]) => Math.abs(difference)), 1e-9);
    return pairs.map(([mine, theirs, difference]) =>
      el("tr", {},
        el("td", {}, mine < 0 ? el("span", { class: "quiet" }, "nothing like it") : attribute(0, mine)),
        el("td", { class: "middle", title: score(difference) }, difference ? tilt(difference / most) : null),
        el("td", {}, theirs >= 0 ? attribute(1, theirs)
          : plans[1] ? el("span", { class: "quiet" }, "nothing like it") : null)));
  }

  /* A bar towards the class that a pair speaks for: the best one is on the left. */
  function tilt(part) {
    const one = bar(Math.abs(part), part > 0 ? "mine" : "rival");
    return el("span", { class: `tilt ${part > 0 ? "left" : "right"}` }, one);
  }

  function verdict(row) {
    const parts = [];
    const [best] = image.classes;
    const percent = (part) => el("span", { class: "number" }, `${(100 * part).toFixed(0)}\u202f%`);
    if (image.parent) {
      const [parent, chance] = image.parent;
      parts.push(el("em", {}, "Labelled ", said(parent), " (", percent(chance), "), a parent of this class, which is only its best guess."));
    } else if (image.abstained) {
      parts.push(el("em", {}, "The run abstained; this would have been its label."));
    }
    if (image.truth >= 0) {
      parts.push(image.truth === best.class
        ? el("span", { class: "mark right" }, "✓ right")
        : el("span", { class: "mark wrong" }, "✗ is ", said(names[image.truth])));
    }
    parts.push(el("span", {}, "score ", el("span", { class: "number" }, score(best.scores[0]))));
    if (image.margin !== null) {
      const margin = image.margin < 0.001 ? image.margin.toPrecision(2) : score(image.margin);
      parts.push(el("span", {}, "margin ", el("span", { class: "number" }, margin), `, ${index.certainty(image.surer)}${image.surer ? " of the images" : " of all images"}`));
    }
    if (image.confidence !== null) {
      parts.push(el("span", {}, "confidence ", percent(image.confidence)));
    }
    if (image.there !== null) parts.push(el("span", {}, "presence ", percent(image.there)));
    find("verdict").replaceChildren(...parts);
  }

  function draw() {
    const [best, second] = image.classes;
    const label = names[best.class];
    document.title = document.title.replace(/^.*? · /, () => `${label}: ${image.key} · `);
    find("label").replaceChildren(el("a", { href: `class.html#class=${best.class}` }, said(label)));
    verdict();
    find("because").hidden = !image.because;
    if (image.because) find("because").replaceChildren(said(image.because));
    find("why").replaceChildren("Because of");
    find("attributes").tBodies[0].replaceChildren(...table());
    find("why-not").replaceChildren(...(second
      ? ["Rather than ", el("a", { href: `class.html#class=${second.class}` }, said(names[second.class]))] : []));
    find("whole").hidden = !plans[0];
    find("contrast").hidden = !plans[1];
    photo();
    const methods = [0, 3, 2, 1];
    find("classes").tBodies[0].replaceChildren(...image.classes.map((one) =>
      el("tr", { class: one.class === image.truth ? "own" : null },
        el("th", { scope: "row" }, el("a", { href: `class.html#class=${one.class}` }, said(names[one.class])),
          one.class === image.truth ? el("span", { class: "tag" }, "truth") : null),
        ...methods.map((method) => el("td", { class: "number" }, score(one.scores[method]))))),
      el("tr", { class: "calls" }, el("th", { scope: "row" }, "would call it"),
        el("td", {}, said(label)),
        ...["crop_mean", "dclip", "clip"].map((method) => {
          const [number, value] = image.baselines[method];
          return el("td", { title: score(value) }, number < 0 ? "–" : said(names[number]));
        })));
    find("reviews-side").hidden = !image.answers.length;
    find("answers").replaceChildren(...image.answers.map(([who, number, comment]) =>
      el("li", {}, said(who), ": ", number < 0 ? el("em", {}, "none of the classes") : said(names[number]),
        comment ? el("span", { class: "quiet" }, " “", said(comment), "”") : null)));
    const facts = [
      ["file", image.key], ["where", image.uri],
      ["picture", `${image.size[0]} × ${image.size[1]} pixels, ${image.format || "unknown format"}`],
      ["bytes", image.bytes === null ? "–" : count(image.bytes)],
      ...(image.orientation > 1 ? [["turned upright", `EXIF orientation ${image.orientation}`]] : []),
      ["regions that spoke", `${image.kept}`],
    ];
    find("about").replaceChildren(...facts.map(([name, text]) =>
      el("div", {}, el("dt", {}, name), el("dd", { class: "path" }, said(text),
        name === "where" && OPENS.test(text) ? el("span", {}, " ", el("a", { href: text, target: "_blank", rel: "noreferrer" }, "open the original")) : null))));
    find("copied").textContent = "";
    find("image").hidden = false;
    pressed = opening();
    pointed = null;
    show();
  }

  /* What is lit before anything is pointed at: the attribute that decided, where it was found. */
  function opening() {
    const [first] = image.pairs;
    const there = first && plans[0] && first[0] >= 0 && first[2] > 0 && localised(0, first[0]);
    return there ? { plan: 0, attribute: first[0] } : null;
  }

  function copying(name, text) {
    find(name).addEventListener("click", () => {
      const done = (answer) => { find("copied").textContent = answer; };
      const refused = () => done(text());
      if (!navigator.clipboard) return refused();
      navigator.clipboard.writeText(text()).then(() => done("copied"), refused);
    });
  }

  const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

  const pictured = () => report.previews && image.missing === null;

  function photo() {
    const [width, height] = image.size;
    find("photo").hidden = !pictured();
    find("frame").classList.toggle("empty", !pictured());
    find("frame").style.aspectRatio = `${width} / ${height}`;
    find("frame").style.setProperty("--ratio", width / height);
    find("frame").querySelector(".blank")?.remove();
    if (pictured()) {
      find("photo").src = index.preview({ id: image.id, file: image.file });
      find("photo").alt = `${image.key}, called ${names[image.classes[0].class]}`;
    } else {
      find("frame").append(el("span", { class: "blank" }, report.previews
        ? `This image cannot be read now: ${image.missing}` : "This report was made without previews."));
    }
  }

  function unpack() {
    pointing.clear();
    bestRegions.clear();
    plans = image.plans.map((plan, rank) => ({ cells: maps.cells(plan), columns: image.classes[rank].contributions.length }));
  }

  /* Where previous and next lead, among the images that the address chooses. */
  function steps() {
    const address = lazsl.address();
    rows = index.select(address);
    const place = rows.indexOf(image.at);
    const known = index.isComplete() || !address.get("sort");
    find("back").href = `gallery.html#${index.filters(address)}`;
    find("place").textContent = place < 0 ? "" : `${count(place + 1)} of ${index.isComplete() ? count(rows.length) : "…"}`;
    for (const [name, at] of [["previous", place - 1], ["next", place + 1]]) {
      const there = known && place >= 0 && at >= 0 && at < rows.length;
      if (there) find(name).href = index.link(index.facts(rows[at]), address);
      else find(name).removeAttribute("href");
      find(name).setAttribute("aria-disabled", String(!there));
    }
  }

  async function row(address) {
    const id = address.get("id") || "";
    const at = Number(address.get("at"));
    if (address.has("at") && at >= 0 && at < index.images) {
      await index.chunk(Math.floor(at / index.CHUNK));
      const found = index.find(id);
      if (found >= 0) return found;
    }
    await index.all(() => {});
    const found = index.find(id);
    if (found < 0) throw new Error("This report has no page of that image; look for it in the gallery.");
    return found;
  }

  async function open() {
    const address = lazsl.address();
    const found = index.facts(await row(address));
    const name = `images-${report.files[found.file]}`;
    const images = await lazsl.load(name);
    if (lazsl.address().get("id") !== address.get("id")) return;
    if (opened.at(-1) !== name) opened.push(name);
    while (opened.length > KEPT_FILES) lazsl.forget(opened.shift());
    const details = images.find((one) => one.id === found.id);
    if (!details) throw new Error("The report does not fit together; make it again.");
    image = { ...details, at: found.at, file: found.file };
    unpack();
    find("trouble").hidden = true;
    draw();
    steps();
  }

  showing(find("whole"), { plan: 0, attribute: -1 });
  showing(find("contrast"), { contrast: true });
  copying("copy-key", () => image.key);
  copying("copy-command", () => `lazsl explain ${quoted(image.key)} --run ${report.run}`);
  addEventListener("hashchange", () => open().catch(lazsl.trouble));
  addEventListener("resize", () => { if (image) show(); });
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, select")) return;
    const name = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
    if (name && find(name).href) location.hash = new URL(find(name).href).hash;
    if (event.key === "Escape") { pressed = pointed = null; if (image) show(); }
  });
  open()
    .then(() => index.all(steps))
    .then(steps, lazsl.trouble);
})();
