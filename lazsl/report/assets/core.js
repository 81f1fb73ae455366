"use strict";
/* What every page shares: the theme, data files, the address, and how text comes onto a page.

   Names, keys and attributes are never trusted: they enter a page as text, in an element with its
   own direction of writing, and are never the name of a property. */

const lazsl = (() => {
  const values = new Map();
  const loading = new Map();

  /* Called by every data file. */
  function register(name, value) {
    values.set(name, value);
  }

  /* A data file that the page loaded itself. */
  function value(name) {
    return values.get(name);
  }

  /* A promise of a data file's value. Pages on a disk may run scripts but may not read files, so a
     data file is a script. The name is one of ours: digits, digests and dashes. */
  function load(name) {
    if (values.has(name)) return Promise.resolve(values.get(name));
    if (!loading.has(name)) {
      loading.set(name, new Promise((resolve, reject) => {
        const script = document.createElement("script");
        script.src = `data/${name}.js`;
        script.onload = () => {
          script.remove();
          loading.delete(name);
          resolve(values.get(name));
        };
        script.onerror = () => {
          script.remove();
          loading.delete(name);
          reject(new Error(`data/${name}.js is missing; make the report again`));
        };
        document.head.append(script);
      }));
    }
    return loading.get(name);
  }

  /* Give back the memory of a data file. */
  function forget(name) {
    values.delete(name);
  }

  /* An element with attributes and children; strings become text. */
  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, given] of Object.entries(attributes || {})) {
      if (given === null || given === undefined || given === false) continue;
      if (name.startsWith("on")) node.addEventListener(name.slice(2), given);
      else node.setAttribute(name, given === true ? "" : given);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined));
    return node;
  }

  /* Somebody else's text, which may be of any script and direction. */
  function said(text) {
    return el("bdi", {}, text);
  }

  /* A bar of a part of a whole. */
  function bar(part, kind) {
    const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
    svg.setAttribute("class", `bar ${kind || ""}`);
    svg.setAttribute("viewBox", "0 0 100 10");
    svg.setAttribute("preserveAspectRatio", "none");
    svg.setAttribute("aria-hidden", "true");
    for (const [name, width] of [["back", 100], ["value", 100 * Math.min(1, Math.max(0, part))]]) {
      const rect = document.createElementNS(svg.namespaceURI, "rect");
      rect.setAttribute("class", name);
      rect.setAttribute("width", width.toFixed(2));
      rect.setAttribute("height", "10");
      svg.append(rect);
    }
    return svg;
  }

  const count = (n) => n.toLocaleString("en").replaceAll(",", "\u202f");
  const images = (n) => `${count(n)} ${n === 1 ? "image" : "images"}`;
  const score = (x) => (x === null || x === undefined ? "–" : x.toFixed(4));

  /* The address's part behind #, as names and values. */
  const address = () => new URLSearchParams(location.hash.slice(1));

  const find = (id) => document.getElementById(id);

  /* Say on the page what went wrong. */
  function trouble(error) {
    find("trouble").textContent = error.message;
    find("trouble").hidden = false;
  }

  /* Buttons that turn pages, and a field to write a page's number in: calls back with the new page
     number, from 0. */
  function pager(go) {
    let page = 0;
    let last = 0;
    const field = find("page-number");
    if (field) {
      field.addEventListener("change", () => {
        const wanted = Math.round(Number(field.value)) - 1;
        if (Number.isFinite(wanted)) go(Math.min(last, Math.max(0, wanted)));
      });
    }
    find("previous").addEventListener("click", () => go(page - 1));
    find("next").addEventListener("click", () => go(page + 1));
    return (current, pages) => {
      page = current;
      last = Math.max(0, pages - 1);
      find("pager").hidden = pages < 2;
      find("previous").disabled = current <= 0;
      find("next").disabled = current >= pages - 1;
      if (field && field !== document.activeElement) field.value = current + 1;
      if (field) field.max = Math.max(1, pages);
      find("page").textContent = field ? `of ${count(Math.max(1, pages))}`
        : `Page ${count(current + 1)} of ${count(Math.max(1, pages))}`;
    };
  }

  /* What this browser keeps under a name, as JSON; where it keeps nothing, the page itself does. */
  const inMemory = new Map();
  let forgetful = false;

  function kept(name) {
    try {
      return JSON.parse(localStorage.getItem(name)) || inMemory.get(name) || null;
    } catch {
      return inMemory.get(name) || null;
    }
  }

  function keep(name, value) {
    inMemory.set(name, value);
    try {
      localStorage.setItem(name, JSON.stringify(value));
    } catch {
      forgetful = true;
    }
  }

  const isForgetful = () => forgetful;

  /* A CSV file, all cells quoted, with the mark that spreadsheets tell UTF-8 by. */
  function csv(rows) {
    const cell = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`;
    return `\ufeff${rows.map((row) => row.map(cell).join(",")).join("\r\n")}\r\n`;
  }

  /* A text so that no spreadsheet takes it for a formula; `lazsl audit import` takes it back. */
  const FORMULA = /^[\t-\r\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000']*[=+\-@＝＋－＠]/u;
  const guarded = (text) => (FORMULA.test(text) ? `'${text}` : text);

  /* Hand a file to the person, who says where it is kept. */
  function download(name, text) {
    const url = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    const link = el("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 60000);
  }

  /* Dark or light: as the system has it, until a person says otherwise. */
  const root = document.documentElement;
  const remembered = (() => {
    try { return localStorage.getItem("lazsl-theme"); } catch { return null; }
  })();
  if (remembered === "dark" || remembered === "light") root.dataset.theme = remembered;
  document.addEventListener("DOMContentLoaded", () => {
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
    const button = find("theme");
    const tell = () => { button.textContent = isDark() ? "Light" : "Dark"; };
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      try { localStorage.setItem("lazsl-theme", root.dataset.theme); } catch { /* a private window */ }
      tell();
    });
    dark.addEventListener("change", tell);
    tell();
  });

  return {
    register, value, load, forget, el, said, bar, count, images, score, address, find, trouble, pager,
    kept, keep, isForgetful, csv, guarded, download,
  };
})();
