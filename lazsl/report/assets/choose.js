"use strict";
/* Choosing a class among many: a field to search in, and a list of what fits, for keyboard, pointer
   and screen reader (a combobox with a listbox). */

lazsl.choose = (() => {
  const MOST = 50;
  const { el, said, find } = lazsl;

  /* The numbers of names that have a text in them, those that begin with it first. */
  function matching(names, text) {
    const wanted = text.trim().toLowerCase();
    const begins = [];
    const has = [];
    names.forEach((name, number) => {
      const at = name.toLowerCase().indexOf(wanted);
      if (at === 0) begins.push(number);
      else if (at > 0) has.push(number);
    });
    const byName = (a, b) => names[a].localeCompare(names[b]);
    return [...begins.sort(byName), ...has.sort(byName)];
  }

  /* Make the field `name` (with a list `name`-list beside it) one to choose in; calls back with the
     number of the chosen name. */
  function choose(name, names, onchoose) {
    const field = find(name);
    const list = find(`${name}-list`);
    let numbers = [];
    let active = 0;

    function close() {
      list.hidden = true;
      field.setAttribute("aria-expanded", "false");
      field.removeAttribute("aria-activedescendant");
    }

    function take(number) {
      field.value = "";
      close();
      onchoose(number);
    }

    function draw() {
      const all = matching(names, field.value);
      numbers = all.slice(0, MOST);
      active = Math.min(Math.max(0, active), numbers.length - 1);
      list.replaceChildren(...numbers.map((number, at) =>
        el("li", {
          role: "option", id: `${name}-${at}`, "aria-selected": String(at === active),
          onpointerdown: (event) => { event.preventDefault(); take(number); },
        }, said(names[number]))));
      if (all.length > MOST) list.append(el("li", { class: "quiet", role: "presentation" }, `and ${lazsl.count(all.length - MOST)} more`));
      if (!all.length) list.append(el("li", { class: "quiet", role: "presentation" }, "no class has this in its name"));
      list.hidden = false;
      field.setAttribute("aria-expanded", "true");
      if (active < 0) return field.removeAttribute("aria-activedescendant");
      field.setAttribute("aria-activedescendant", `${name}-${active}`);
      list.children[active].scrollIntoView({ block: "nearest" });
    }

    field.addEventListener("focus", () => { active = 0; draw(); });
    field.addEventListener("input", (event) => { event.stopPropagation(); active = 0; draw(); });
    field.addEventListener("change", (event) => event.stopPropagation());
    field.addEventListener("blur", close);
    field.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        active += event.key === "ArrowDown" ? 1 : -1;
        draw();
      } else if (event.key === "Enter") {
        if (!list.hidden && active >= 0) take(numbers[active]);
      } else if (event.key === "Escape") {
        close();
        field.value = "";
        field.blur();
      } else return;
      event.preventDefault();
      event.stopPropagation();
    });
  }

  return choose;
})();
