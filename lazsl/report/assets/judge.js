"use strict";
/* Judging: one image after the other, by keyboard. Answers are kept by the browser and downloaded as
   the file that `lazsl audit import` reads; an image without an answer is left out of it. */

(() => {
  const { el, said, find, count } = lazsl;
  const index = lazsl.index;
  const { names, attributes } = index;
  const report = lazsl.value("report");
  const NONE = "(none of these)";
  const HEADER = ["run", "sample", "image_id", "key", "label", "judged_label", "reviewer", "judged_at", "comment"];
  const PLACE = `lazsl-judged-${report.run}`;
  /* By image_id: { answer, at, comment }; the answer is the number of a class, "none" or "unsure".
     Every sample has answers of its own: one that was given because the image was chosen must not
     pass for one that chance asked for. */
  let answers = {};
  let rows = [];
  let at = 0;
  let image = null;
  let likely = [];

  const sample = () => {
    const name = lazsl.address().get("sample") || "";
    return Object.hasOwn(report.samples, name) ? name : "";
  };
  const place = () => (sample() ? `${PLACE}-${sample()}` : PLACE);
  const given = (row) => (Object.hasOwn(answers, index.id(row)) ? answers[index.id(row)] : null);
  const isJudged = (row) => given(row) !== null && given(row).answer !== null;

  /* The images to judge: a sample's, in its random order, or those that the address chooses. */
  async function chosen() {
    await index.all(() => {});
    if (sample()) return (await lazsl.load("samples"))[sample()];
    return index.select(lazsl.address());
  }

  function keep(row, change) {
    const before = given(row) || { answer: null, comment: "" };
    answers[index.id(row)] = { ...before, ...change, at: new Date().toISOString() };
    lazsl.keep(place(), answers);
    find("forgetful").hidden = !lazsl.isForgetful();
  }

  function answer(value) {
    if (!rows.length) return;
    keep(rows[at], { answer: value });
    const next = rows.findIndex((row, place) => place > at && !isJudged(row));
    const open = next >= 0 ? next : rows.findIndex((row) => !isJudged(row));
    find("last").textContent = `${spoken(value)}: ${index.facts(rows[at]).key}`;
    go(open >= 0 ? open : at);
  }

  const spoken = (value) => (value === "none" ? "none of the classes" : value === "unsure" ? "unsure"
    : value === image.guess ? "right" : names[value]);

  function go(place) {
    at = Math.min(Math.max(0, place), rows.length - 1);
    draw();
  }

  function progress() {
    const judged = rows.filter(isJudged).length;
    find("progress").textContent = `${count(judged)} of ${count(rows.length)} judged`;
    find("progress-bar").replaceChildren(lazsl.bar(rows.length ? judged / rows.length : 0));
    find("download").disabled = !judged;
    find("finished").hidden = !rows.length || judged < rows.length;
  }

  function draw() {
    progress();
    find("judging").hidden = !rows.length;
    find("nothing").hidden = Boolean(rows.length);
    if (!rows.length) return;
    const row = rows[at];
    image = index.facts(row);
    find("place").textContent = `${count(at + 1)} of ${count(rows.length)}`;
    const pictured = report.previews && !image.unpictured;
    if (pictured) find("photo").src = index.preview(image);
    find("photo").alt = image.key;
    find("photo").hidden = !pictured;
    find("blank").hidden = pictured;
    find("called").replaceChildren(image.abstained ? "The run abstained; nearest is" : "Is it", " ");
    find("label").replaceChildren(said(names[image.guess]));
    find("traits").replaceChildren(said((attributes[image.guess] || []).join("; ")));
    find("key").replaceChildren(el("a", { href: index.link(image, lazsl.address()) }, said(image.key)));
    find("comment").value = given(row)?.comment || "";
    for (const button of document.querySelectorAll("[data-answer]")) {
      button.setAttribute("aria-pressed", String(button.dataset.answer === pressed(given(row))));
    }
    find("other").textContent = pressed(given(row)) === "wrong" ? `It is ${names[given(row).answer]}` : "";
    find("previous").disabled = at === 0;
    find("next").disabled = at === rows.length - 1;
    offer(image);
    const upcoming = at + 1 < rows.length ? index.facts(rows[at + 1]) : null;
    if (upcoming && report.previews && !upcoming.unpictured) new Image().src = index.preview(upcoming);
  }

  const pressed = (judged) => (judged === null || judged.answer === null ? "" : judged.answer === image.guess ? "right"
    : typeof judged.answer === "number" ? "wrong" : judged.answer);

  /* The classes that the run held next likely, to be chosen by a number. */
  async function offer(of) {
    likely = [];
    find("likely").replaceChildren();
    const name = `images-${report.files[of.file]}`;
    const details = (await lazsl.load(name)).find((other) => other.id === of.id);
    if (image !== of || !details) return;
    if (report.files[of.file] !== report.files[index.facts(rows[Math.min(at + 1, rows.length - 1)]).file]) lazsl.forget(name);
    likely = details.classes.map((entry) => entry.class).filter((number) => number !== of.guess && number < attributes.length);
    find("likely").replaceChildren(...likely.map((number, place) =>
      el("li", {}, el("button", { type: "button", onclick: () => answer(number) },
        el("kbd", {}, String(place + 1)), " ", said(names[number])))));
  }

  /* The file that `lazsl audit import` reads. Nothing is told of an image that nobody was sure of. */
  function file() {
    const lines = rows.filter(isJudged).map((row) => {
      const { answer: value, at: when, comment } = given(row);
      const judged = value === "none" ? NONE : value === "unsure" ? "" : index.exactName(value);
      const of = index.facts(row);
      return [
        report.run, sample(), of.id, index.exactKey(row), of.abstained ? "" : index.exactName(of.guess), judged,
        find("reviewer").value.trim(), when, comment,
      ].map((text) => lazsl.guarded(text || ""));
    });
    return lazsl.csv([HEADER, ...lines]);
  }

  function about() {
    const total = sample() ? "" : String(index.filters(lazsl.address()));
    find("what").textContent = sample()
      ? `Sample ${sample()}, drawn at random: what you judge gives the accuracy of the run, with an interval.`
      : `${total ? "The images that you chose in the gallery" : "All images of this report"}: what you judge is kept as truth of these images. For the accuracy of the run, judge a sample drawn at random.`;
    find("samples").replaceChildren(...Object.entries(report.samples)
      .filter(([name]) => name !== sample())
      .map(([name, images]) => el("li", {}, el("a", { href: `#sample=${name}` }, `Sample ${name}`), ` (${lazsl.images(images)})`)));
    find("no-sample").hidden = Object.keys(report.samples).length > 0;
    find("command").textContent = `lazsl audit import ${fileName()}`;
  }

  const fileName = () => `judged-${sample() || report.run}.csv`;

  async function open() {
    if (!location.hash.slice(1) && Object.keys(report.samples).length) {
      history.replaceState(null, "", `#sample=${Object.keys(report.samples)[0]}`);
    }
    answers = lazsl.kept(place()) || {};
    about();
    rows = await chosen();
    const first = rows.findIndex((row) => !isJudged(row));
    at = first >= 0 ? first : 0;
    draw();
  }

  const KEYS = { r: "right", w: "wrong", n: "none", u: "unsure", ArrowLeft: "previous", ArrowRight: "next", c: "comment" };
  addEventListener("keydown", (event) => {
    if (event.altKey || event.ctrlKey || event.metaKey || event.target.matches("input, select, textarea")) return;
    if (!rows.length) return;
    const pressedKey = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    const place = Number(pressedKey) - 1;
    if (place >= 0 && place < likely.length) answer(likely[place]);
    else if (pressedKey === "Backspace") { keep(rows[at], { answer: null }); draw(); }
    else if (Object.hasOwn(KEYS, pressedKey)) {
      if (pressedKey === "c") find("comment").focus();
      else find(KEYS[pressedKey]).click();
    } else return;
    event.preventDefault();
  });
  find("right").addEventListener("click", () => answer(image.guess));
  find("none").addEventListener("click", () => answer("none"));
  find("unsure").addEventListener("click", () => answer("unsure"));
  find("wrong").addEventListener("click", () => find("class").focus());
  find("previous").addEventListener("click", () => go(at - 1));
  find("next").addEventListener("click", () => go(at + 1));
  find("comment").addEventListener("change", () => keep(rows[at], { comment: find("comment").value }));
  find("comment").addEventListener("keydown", (event) => { if (event.key === "Enter" || event.key === "Escape") find("comment").blur(); });
  find("reviewer").value = lazsl.kept("lazsl-reviewer") || "";
  find("reviewer").addEventListener("change", () => lazsl.keep("lazsl-reviewer", find("reviewer").value.trim()));
  find("download").addEventListener("click", () => lazsl.download(fileName(), file()));
  lazsl.choose("class", names.slice(0, attributes.length), (number) => { find("class").blur(); answer(number); });
  addEventListener("hashchange", () => open().catch(lazsl.trouble));
  open().catch(lazsl.trouble);
})();
