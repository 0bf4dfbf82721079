"use strict";
// Elements, and how a value is shown: its numbers, or its range with a histogram and an image.
const $ = (id) => document.getElementById(id);

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name in made) made[name] = value;
    else made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function valueElement(summary) {
  if (!summary) return element("span", {}, "none");
  const whole = element("span", {}, element("code", {}, summary.numbers === undefined ? summary.text : numbersText(summary)));
  if (summary.finite === false) whole.append(element("b", { class: "bad" }, " not finite"));
  if (summary.histogram) {
    const most = Math.max(...summary.histogram);
    const bars = summary.histogram.map((count) => { const bar = element("i"); bar.style.height = `${Math.round((26 * count) / most)}px`; return bar; });
    const hist = element("span", { class: "hist", role: "img" }, ...bars);
    hist.setAttribute("aria-label", `histogram from ${summary.low} to ${summary.high}`);
    whole.append(hist);
  }
  if (summary.image) whole.append(imageElement(summary));
  return whole;
}

const numbersText = (summary) => (Array.isArray(summary.numbers) ? JSON.stringify(summary.numbers).replaceAll('"', "").replaceAll(",", ", ") : summary.numbers);

function imageElement(summary) {
  const height = summary.image.length, width = summary.image[0].length;
  const canvas = element("canvas", { width, height, role: "img" });
  canvas.setAttribute("aria-label", `image of the values, from ${summary.low} (black) to ${summary.high} (white)`);
  canvas.style.width = `${Math.max(48, 4 * width)}px`;
  const context = canvas.getContext("2d"), pixels = context.createImageData(width, height);
  summary.image.flat().forEach((gray, index) => pixels.data.set([gray, gray, gray, 255], 4 * index));
  context.putImageData(pixels, 0, 0);
  return canvas;
}
