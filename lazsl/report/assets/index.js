"use strict";
/* The index of all images, in files that are loaded one after the other, least certain first. */

lazsl.index = (() => {
  const { run, images, chunks, files, previews } = lazsl.value("report");
  const { names, attributes, exact } = lazsl.value("labels");
  const CHUNK = 5000;
  const ABSTAINED = 1;
  const UNPICTURED = 2;
  const FILTERS = ["q", "label", "is", "truth", "abstained", "judged", "picked", "from", "to", "sort"];
  const PICKED = `lazsl-picked-${run}`;

  const guess = new Int32Array(images);
  const truth = new Int32Array(images);
  const judged = new Int32Array(images);
  const flags = new Uint8Array(images);
  const score = new Int32Array(images);
  const margin = new Int32Array(images);
  const surer = new Int16Array(images);
  const strongest = new Int16Array(3 * images);
  const file = new Int32Array(images);
  const keys = new Array(images);
  const ids = new Array(chunks);
  const exactKeys = new Map();
  const present = new Uint8Array(chunks);

  async function chunk(number) {
    if (present[number]) return;
    const name = `index-${number}`;
    const columns = await lazsl.load(name);
    if (present[number]) return;
    const first = number * CHUNK;
    guess.set(columns.guess, first);
    truth.set(columns.truth, first);
    judged.set(columns.judged, first);
    flags.set(columns.flags, first);
    score.set(columns.score, first);
    margin.set(columns.margin, first);
    surer.set(columns.surer, first);
    for (const [i, text] of Object.entries(columns.exact)) exactKeys.set(first + Number(i), decodeURIComponent(text));
    strongest.set(columns.strongest, 3 * first);
    file.set(columns.file, first);
    columns.keys.forEach((key, i) => { keys[first + i] = key; });
    ids[number] = columns.ids;
    present[number] = 1;
    lazsl.forget(name);
  }

  /* Load every file, three at a time, and call back after each. */
  async function all(onprogress) {
    let next = 0;
    const one = async () => {
      while (next < chunks) {
        await chunk(next++);
        onprogress();
      }
    };
    if (chunks) {
      await chunk(next++);
      onprogress();
    }
    await Promise.all([one(), one(), one()]);
  }

  const isComplete = () => present.every((there) => there);

  function id(row) {
    const number = Math.floor(row / CHUNK);
    return ids[number].slice(32 * (row - number * CHUNK), 32 * (row - number * CHUNK + 1));
  }

  /* The row of an image_id among those that are loaded; -1 for none. */
  function find(wanted) {
    for (let number = 0; number < chunks; number++) {
      if (!present[number]) continue;
      for (let at = ids[number].indexOf(wanted); at >= 0; at = ids[number].indexOf(wanted, at + 1)) {
        if (at % 32 === 0) return number * CHUNK + at / 32;
      }
    }
    return -1;
  }

  /* What a page shows with controls written out, as the archive and the label set have it. */
  const exactKey = (row) => exactKeys.get(row) ?? keys[row];
  const exactName = (number) => (Object.hasOwn(exact, number) ? decodeURIComponent(exact[number]) : names[number]);

  /* The images that a person picked by hand: a set of image_ids, kept by the browser. */
  const picked = new Set(lazsl.kept(PICKED) || []);
  function pick(image, wanted) {
    if (wanted) picked.add(image);
    else picked.delete(image);
    lazsl.keep(PICKED, [...picked]);
  }

  const isAbstained = (row) => Boolean(flags[row] & ABSTAINED);
  const isRight = (row) => !isAbstained(row) && truth[row] >= 0 && truth[row] === guess[row];
  const isWrong = (row) => !isAbstained(row) && truth[row] >= 0 && truth[row] !== guess[row];

  function searching(text) {
    const wanted = text.trim().toLowerCase();
    if (!wanted) return () => true;
    const has = (other) => other.toLowerCase().includes(wanted);
    const classes = new Set();
    names.forEach((name, number) => { if (has(name)) classes.add(number); });
    const spoken = attributes.map((texts) => {
      const found = new Set();
      texts.forEach((attribute, number) => { if (has(attribute)) found.add(number); });
      return found.size ? found : null;
    });
    return (row) => {
      if (classes.has(guess[row]) || has(keys[row])) return true;
      const found = spoken[guess[row]];
      if (!found) return false;
      for (let i = 3 * row; i < 3 * row + 3; i++) if (found.has(strongest[i])) return true;
      return false;
    };
  }

  /* The loaded rows that pass the filters of an address, in its order. */
  function select(address) {
    const given = (name) => address.get(name) || "";
    const tests = [];
    if (given("q")) tests.push(searching(given("q")));
    for (const [name, column] of [["label", guess], ["is", truth]]) {
      const wanted = new Set(given(name).split(",").filter((text) => text).map(Number));
      if (wanted.size) tests.push((row) => wanted.has(column[row]));
    }
    if (given("picked") === "yes") tests.push((row) => picked.has(id(row)));
    const byTruth = { right: isRight, wrong: isWrong, unknown: (row) => truth[row] < 0 };
    if (Object.hasOwn(byTruth, given("truth"))) tests.push(byTruth[given("truth")]);
    if (given("abstained") === "yes") tests.push(isAbstained);
    if (given("abstained") === "no") tests.push((row) => !isAbstained(row));
    const byReview = {
      yes: (row) => judged[row] >= 0,
      no: (row) => judged[row] < 0,
      right: (row) => judged[row] >= 0 && judged[row] - 1 === guess[row],
      wrong: (row) => judged[row] >= 0 && judged[row] - 1 !== guess[row],
    };
    if (Object.hasOwn(byReview, given("judged"))) tests.push(byReview[given("judged")]);
    for (const [name, sign] of [["from", 1], ["to", -1]]) {
      const limit = Math.round(Number(given(name)) * 1e5);
      if (given(name) && Number.isFinite(limit)) {
        tests.push((row) => margin[row] >= 0 && sign * (margin[row] - limit) >= 0);
      }
    }
    const rows = [];
    for (let number = 0; number < chunks; number++) {
      if (!present[number]) continue;
      const last = Math.min(images, (number + 1) * CHUNK);
      for (let row = number * CHUNK; row < last; row++) {
        if (tests.every((test) => test(row))) rows.push(row);
      }
    }
    const orders = {
      certain: (a, b) => margin[b] - margin[a] || a - b,
      score: (a, b) => score[a] - score[b] || a - b,
      key: (a, b) => (keys[a] < keys[b] ? -1 : keys[a] > keys[b] ? 1 : a - b),
      label: (a, b) => guess[a] - guess[b] || a - b,
      strong: (a, b) => score[b] - score[a] || a - b,
    };
    if (Object.hasOwn(orders, given("sort"))) rows.sort(orders[given("sort")]);
    return rows;
  }

  /* Of an address, what chooses and sorts images. */
  function filters(address) {
    const kept = new URLSearchParams();
    for (const name of FILTERS) if (address.get(name)) kept.set(name, address.get(name));
    return kept;
  }

  /* Where the page of an image is, among the images that an address chooses. */
  function link(image, address) {
    const where = filters(address || new URLSearchParams());
    where.set("at", image.at);
    where.set("id", image.id);
    return `image.html#${where}`;
  }

  const preview = (image) => `previews/${files[image.file].split("-")[0]}/${image.id}.webp`;

  const facts = (row) => ({
    id: id(row),
    at: row,
    file: file[row],
    key: keys[row],
    guess: guess[row],
    truth: truth[row],
    judged: judged[row],
    margin: margin[row] < 0 ? null : margin[row] / 1e5,
    surer: surer[row] < 0 ? null : surer[row] / 1000,
    abstained: isAbstained(row),
    unpictured: Boolean(flags[row] & UNPICTURED),
    because: strongest[3 * row] < 0 ? null : attributes[guess[row]][strongest[3 * row]],
  });

  /* ✓ or ✗ against the truth, in words for those who hear the page. */
  function mark(image) {
    if (image.truth < 0 || image.abstained) return null;
    const right = image.truth === image.guess;
    return lazsl.el("span", { class: right ? "mark right" : "mark wrong" },
      lazsl.el("span", { "aria-hidden": "true" }, right ? "✓" : "✗"),
      lazsl.el("span", { class: "hidden" }, right ? "right" : "wrong"));
  }

  /* How certain a label is, as a person reads it: a margin alone says nothing. */
  function certainty(surer) {
    const percent = 100 * surer;
    if (!percent) return "least sure";
    return `surer than ${percent > 0 && percent < 1 ? percent.toFixed(1) : Math.floor(percent)}\u202f%`;
  }

  function picture(image) {
    if (!previews || image.unpictured) {
      return lazsl.el("span", { class: "blank" }, previews ? "cannot be read now" : "no preview");
    }
    return lazsl.el("img", { src: preview(image), alt: image.key, loading: "lazy", decoding: "async" });
  }

  /* One image as an item of a list: a specimen and its label. */
  function card(image, address) {
    const { el, said } = lazsl;
    const label = el("span", { class: "name" }, said(names[image.guess]));
    if (image.abstained) label.prepend(el("em", {}, "abstained"), ", perhaps ");
    const wrong = image.truth >= 0 && image.truth !== image.guess;
    return el("li", { class: "card" },
      el("a", { href: link(image, address) },
        el("span", { class: "thumb" }, picture(image)),
        el("span", { class: "caption" },
          label,
          wrong ? el("span", { class: "quiet" }, "is ", said(names[image.truth])) : null,
          image.because ? el("span", { class: "because" }, said(image.because)) : null,
          el("span", { class: "meta" },
            mark(image),
            image.margin === null ? el("span", {}, "no margin")
              : el("span", { class: "number", title: `margin ${image.margin.toFixed(5)}` }, certainty(image.surer)),
            image.judged >= 0 ? el("span", { class: "tag" }, "reviewed") : null),
          el("span", { class: "path" }, said(image.key)))));
  }

  return {
    run, images, names, attributes, chunk, all, isComplete, find, id, select, filters, link, preview, facts, card,
    mark, certainty, exactKey, exactName, picked, pick, CHUNK,
  };
})();
