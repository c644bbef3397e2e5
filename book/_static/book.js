// Drawings answer: a point says what it is, a click enlarges, and print opens every fold.
// Without script they stand as they are, with the browser's own tooltips.
(() => {
  "use strict";

  const REACH = 12; // pixels from the middle of a point within which it is meant
  const STEPS = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity };

  const element = (tag, given) => Object.assign(document.createElement(tag), given);

  // The tip: one for the page, beside the point that it speaks of.

  const tip = element("div", { className: "point-tip", hidden: true, role: "status" });
  let pointed = null;

  function place() {
    if (!pointed) return;
    const at = pointed.getBoundingClientRect();
    const own = tip.getBoundingClientRect();
    const right = document.documentElement.clientWidth - own.width - 4;
    const left = at.left + (at.width - own.width) / 2;
    const above = at.top - own.height - 6;
    tip.style.left = `${Math.max(4, Math.min(left, right))}px`;
    tip.style.top = `${above < 4 ? at.bottom + 6 : above}px`;
  }

  function hide() {
    pointed?.classList.remove("pointed");
    pointed = null;
    tip.hidden = true;
  }

  function show(point) {
    if (point === pointed) return;
    hide();
    if (!point) return;
    pointed = point;
    point.classList.add("pointed");
    (point.closest("dialog") ?? document.body).append(tip);
    tip.hidden = false;
    tip.textContent = point.dataset.title;
    place();
  }

  // Points: found from the pointer, which need not hit them, and from the keyboard, one tab stop per drawing.

  function nearest(points, event) {
    let [found, least] = [null, REACH];
    for (const point of points) {
      const at = point.getBoundingClientRect();
      const away = Math.hypot(at.left + at.width / 2 - event.clientX, at.top + at.height / 2 - event.clientY);
      if (away <= least) [found, least] = [point, away];
    }
    return found;
  }

  function answer(drawing) {
    for (const title of drawing.querySelectorAll("g > title")) {
      title.parentNode.dataset.title = title.textContent;
      title.remove(); // else the browser would say it as well, later
    }
    const points = [...drawing.querySelectorAll("[data-title]")];
    if (!points.length) return points;
    let current = 0;
    drawing.setAttribute("tabindex", 0);
    drawing.setAttribute("role", "application");
    drawing.setAttribute("aria-roledescription", "map, arrow keys go from point to point");
    drawing.addEventListener("focus", () => drawing.matches(":focus-visible") && show(points[current]));
    drawing.addEventListener("blur", hide);
    drawing.addEventListener("pointermove", (event) => event.pointerType !== "touch" && show(nearest(points, event)));
    drawing.addEventListener("pointerleave", hide);
    drawing.addEventListener("keydown", (event) => {
      if (!(event.key in STEPS) || event.ctrlKey || event.altKey || event.metaKey) return;
      event.preventDefault();
      current = Math.max(0, Math.min(points.length - 1, current + STEPS[event.key]));
      points[current].scrollIntoView({ block: "nearest", inline: "nearest" });
      show(points[current]);
    });
    return points;
  }

  // The enlarged drawing: a copy in a dialog.

  const dialog = element("dialog", { className: "enlarged" });
  const sheet = element("div", { className: "enlarged-sheet", tabIndex: 0, role: "group" });
  dialog.append(element("button", { type: "button", className: "enlarged-close", textContent: "Close" }), sheet);
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("keydown", (event) => event.stopPropagation()); // Sphinx takes Escape for its own
  dialog.addEventListener("close", () => { hide(); sheet.replaceChildren(); });

  function enlarge(drawing, name) {
    hide();
    const copy = drawing.cloneNode(true);
    const box = drawing.getBoundingClientRect();
    copy.classList.remove("enlargeable");
    copy.removeAttribute("width");
    copy.removeAttribute("height");
    copy.style.setProperty("--ratio", box.width / box.height);
    const points = answer(copy);
    copy.addEventListener("click", (event) => {
      const point = nearest(points, event);
      if (point) { event.stopPropagation(); show(point); }
    });
    dialog.setAttribute("aria-label", name);
    sheet.setAttribute("aria-label", name);
    sheet.replaceChildren(copy);
    dialog.showModal();
  }

  function offer(drawing) {
    const link = drawing.closest("a");
    if (link && !link.classList.contains("image-reference")) return; // a badge that leads elsewhere
    const points = answer(drawing);
    const number = drawing.closest("figure")?.querySelector(".caption-number")?.textContent.trim();
    const alt = drawing.getAttribute("aria-label") ?? drawing.alt ?? "";
    const name = number ?? alt.split(/[.:;]/)[0];
    const button = element("button", { type: "button", className: "enlarge", textContent: "Enlarge" });
    button.setAttribute("aria-label", `Enlarge: ${name}`);
    button.addEventListener("click", () => enlarge(drawing, name));
    drawing.classList.add("enlargeable");
    drawing.addEventListener("click", (event) => {
      event.preventDefault();
      const point = nearest(points, event);
      if (point) show(point);
      else enlarge(drawing, name);
    });
    (link ?? drawing).after(button);
  }

  // Folds: open for print and for whoever follows a link into one.

  let opened = [];

  function unfold() {
    opened = [...document.querySelectorAll("main details:not([open])")];
    for (const fold of opened) fold.open = true;
  }

  function refold() {
    for (const fold of opened) fold.open = false;
    opened = [];
  }

  function reveal() {
    const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const folds = [];
    for (let fold = target?.closest("details"); fold; fold = fold.parentElement.closest("details")) folds.push(fold);
    if (folds.every((fold) => fold.open)) return;
    for (const fold of folds) fold.open = true;
    target.scrollIntoView();
  }

  document.addEventListener("DOMContentLoaded", () => {
    document.body.append(dialog, tip);
    document.querySelectorAll("svg.drawing, .bd-article img").forEach(offer);
    reveal();
  });
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && pointed) { event.preventDefault(); hide(); } // an enlarged drawing stays open
  }, true);
  document.addEventListener("scroll", place, { capture: true, passive: true });
  addEventListener("hashchange", reveal);
  addEventListener("beforeprint", unfold);
  addEventListener("afterprint", refold);
})();
