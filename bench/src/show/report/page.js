// Shows the values nearest to the pointer. The page works without this script.
"use strict";
const tip = document.getElementById("tip");
for (const figure of document.querySelectorAll("figure.plot")) {
  const data = figure.querySelector("script");
  const drawing = figure.querySelector(".drawing");
  const guide = figure.querySelector(".guide");
  if (data === null) continue;
  const lines = JSON.parse(data.textContent);
  const nearest = (line, x) => {
    let best = null;
    for (const point of line.points) {
      if (best === null || Math.abs(best[0] - x) > Math.abs(point[0] - x)) best = point;
    }
    return best;
  };
  const hide = () => {
    tip.hidden = true;
    guide.setAttribute("d", "");
  };
  const show = (event) => {
    const box = drawing.getBoundingClientRect();
    const view = drawing.viewBox.baseVal;
    const x = (event.clientX - box.left) * view.width / box.width;
    let found = [];
    let at = null;
    for (const line of lines) {
      const point = nearest(line, x);
      if (point === null) continue;
      if (at === null || Math.abs(at[0] - x) > Math.abs(point[0] - x)) at = point;
      found.push([line, point]);
    }
    if (at === null) return hide();
    // Lines with the same name are parts of one line: show the nearer part.
    const names = new Map();
    for (const [line, point] of found) {
      const off = Math.abs(point[0] - at[0]);
      if (off > view.width / 40) continue;
      const other = names.get(line.name);
      if (other === undefined || other.off > off) names.set(line.name, { line, point, off });
    }
    tip.replaceChildren();
    const head = document.createElement("b");
    head.textContent = at[2];
    tip.append(head);
    for (const { line, point } of names.values()) {
      const row = document.createElement("div");
      const swatch = document.createElement("span");
      swatch.className = "swatch c" + line.color;
      const value = document.createElement("i");
      value.textContent = point[3];
      row.append(swatch, line.name, value);
      tip.append(row);
    }
    guide.setAttribute("d", "M" + at[0] + " 12V" + (view.height - 30));
    tip.hidden = false;
    const right = event.clientX + 16 + tip.offsetWidth > window.innerWidth;
    tip.style.left = (right ? event.clientX - 16 - tip.offsetWidth : event.clientX + 16) + "px";
    const low = event.clientY + 16 + tip.offsetHeight > window.innerHeight;
    tip.style.top = (low ? event.clientY - 16 - tip.offsetHeight : event.clientY + 16) + "px";
  };
  drawing.addEventListener("pointermove", show);
  drawing.addEventListener("pointerleave", hide);
}
