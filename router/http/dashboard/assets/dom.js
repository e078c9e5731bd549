// Elements, made and kept in step with data. Data become text nodes and attributes, never markup.

export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets the text only where it changed: a selection and a screen reader are left alone. */
export function setText(element, text) {
  const wanted = String(text);
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** One child of `parent` for each item, found again by its key: focus stays where it is. */
export function keyed(parent, items, keyOf, make, update) {
  const known = (parent.keyed ??= new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, child] of known) {
    if (!wanted.has(key)) {
      child.remove();
      known.delete(key);
    }
  }
  let before = null;
  for (const item of items) {
    const key = keyOf(item);
    let child = known.get(key);
    if (!child) known.set(key, (child = make(item)));
    update?.(child, item);
    const at = before ? before.nextSibling : parent.firstChild;
    if (at !== child) parent.insertBefore(child, at);
    before = child;
  }
}

/** A part of a view, under a heading that names it. */
export function panel(title, ...children) {
  const id = `h-${title.toLowerCase().replace(/[^a-z]+/g, "-")}`;
  const note = h("p", { class: "note" });
  const heading = h("header", { class: "panel-head" }, h("h2", { id }, title), note);
  const element = h("section", { class: "panel", "aria-labelledby": id }, heading, ...children);
  return Object.assign(element, { note });
}

/** A dialog of one subject: `ask(subject, fill)` shows what `fill` brings, or why it could not. */
export function dialog(id) {
  const title = h("h2", { id });
  const body = h("div", { class: "settings" });
  const close = h("button", { type: "button", class: "quiet-button", onclick: () => element.close() }, "Close");
  const element = h("dialog", { "aria-labelledby": id }, h("header", { class: "panel-head" }, title, close), body);
  return Object.assign(element, {
    async ask(subject, fill) {
      setText(title, subject);
      body.replaceChildren(h("p", { class: "note" }, "asking …"));
      element.showModal();
      try {
        body.replaceChildren(...(await fill()));
      } catch (error) {
        body.replaceChildren(h("p", { class: "error" }, error.message));
      }
    },
  });
}

/** A table whose head says what its columns are; numbers stand below each other. */
export function table(caption, columns) {
  const head = columns.map(([name, kind]) => h("th", { scope: "col", class: kind }, name));
  const body = h("tbody");
  const element = h(
    "table",
    {},
    h("caption", { class: "quiet" }, caption),
    h("thead", {}, h("tr", {}, head)),
    body,
  );
  const frame = h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, element);
  return { frame, body, cells: (make) => columns.map(([, kind], at) => make(at, kind)) };
}

/** A row of so many cells as the columns have, the first of which names it. */
export function row(columns) {
  return h(
    "tr",
    {},
    columns.map(([, kind], at) => (at === 0 ? h("th", { scope: "row", class: kind }) : h("td", { class: kind }))),
  );
}
