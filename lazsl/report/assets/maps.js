"use strict";
/* From a plan to lit pixels. What a region adds to an attribute is spread over its box, its edges
   softened, and boxes add; lazsl/evidence.py says what is spread, and how soft edges are. */

lazsl.maps = (() => {
  const LONGEST = 160;
  const FADE = lazsl.value("report").taper / 2;

  /* Anchors of a scale whose lightness grows evenly, from dark to bright. */
  const HEAT = [
    [8, 6, 22], [40, 17, 82], [86, 22, 118], [134, 38, 120], [183, 55, 108],
    [225, 85, 84], [246, 132, 66], [252, 187, 94], [252, 244, 178],
  ];
  const AGAINST = [19, 130, 150];
  const FOR = [226, 116, 30];

  function decode(text) {
    const binary = atob(text);
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    return bytes;
  }

  /* Contributions of a kept plan, region by region: regions x attributes numbers. */
  function cells(plan) {
    const bytes = decode(plan.cells);
    const view = new DataView(bytes.buffer);
    return Float64Array.from(
      { length: bytes.length / 2 }, (_, i) => view.getInt16(2 * i, true) * plan.scale);
  }

  /* Cells of a map of an image, no finer than its pixels: [across, down]. */
  function grid([width, height], longest = LONGEST) {
    const scale = Math.min(1, longest / Math.max(width, height));
    return [Math.max(1, Math.round(width * scale)), Math.max(1, Math.round(height * scale))];
  }

  const within = (x, least, most) => Math.min(most, Math.max(least, x));

  /* The integral of Tukey's window from 0 to t, all of it being 1. */
  function gathered(t) {
    if (!FADE) return within(t, 0, 1);
    const rising = within(t, 0, FADE);
    const falling = within(t - (1 - FADE), 0, FADE);
    const waves = Math.sin(Math.PI * falling / FADE) - Math.sin(Math.PI * rising / FADE);
    return ((rising + falling) / 2 + within(t - FADE, 0, 1 - 2 * FADE) + waves * FADE / (2 * Math.PI))
      / (1 - FADE);
  }

  /* The part of a side from `first` to `last` that lies in each of `parts` cells of `whole`. */
  function along(first, last, whole, parts) {
    const found = new Float64Array(parts);
    const until = (edge) => gathered((edge - first) / (last - first));
    let before = until(0);
    for (let i = 0; i < parts; i++) {
      const after = until((whole * (i + 1)) / parts);
      found[i] = after - before;
      before = after;
    }
    return found;
  }

  /* Weights (one per box) spread over their boxes (four numbers each): across x down numbers. */
  function spread(boxes, weights, [width, height], [across, down]) {
    const map = new Float64Array(across * down);
    for (let r = 0; r < weights.length; r++) {
      const [left, top, right, bottom] = boxes.slice(4 * r, 4 * r + 4);
      const x = along(left, right, width, across);
      const y = along(top, bottom, height, down);
      for (let i = 0; i < down; i++) {
        const weight = weights[r] * y[i];
        if (!weight) continue;
        for (let j = 0; j < across; j++) map[i * across + j] += weight * x[j];
      }
    }
    return map;
  }

  function heat(t) {
    const at = within(t, 0, 1) * (HEAT.length - 1);
    const below = Math.min(HEAT.length - 2, Math.floor(at));
    return HEAT[below].map((value, i) => value + (at - below) * (HEAT[below + 1][i] - value));
  }

  /* Red, green, blue and opacity of a value from 0 to 1. */
  const lit = (t) => [...heat(t), 0.5 + 0.3 * t];

  /* The same of a value from -1 (against) to 1 (for); nothing at 0. */
  const contrasting = (t) => [...(t < 0 ? AGAINST : FOR), 0.85 * Math.abs(t)];

  /* Draw a map over the whole of a canvas, smoothly. */
  function paint(canvas, map, [across, down], colour) {
    const small = document.createElement("canvas");
    small.width = across;
    small.height = down;
    const pixels = new ImageData(across, down);
    map.forEach((value, i) => {
      const [red, green, blue, opacity] = colour(value);
      pixels.data.set([red, green, blue, 255 * opacity], 4 * i);
    });
    small.getContext("2d").putImageData(pixels, 0, 0);
    const context = canvas.getContext("2d");
    context.clearRect(0, 0, canvas.width, canvas.height);
    context.imageSmoothingEnabled = true;
    context.imageSmoothingQuality = "high";
    context.drawImage(small, 0, 0, canvas.width, canvas.height);
  }

  /* Values as parts of the greatest; what is below nothing is nothing. */
  function positive(map) {
    let most = 0;
    for (const value of map) most = Math.max(most, value);
    return map.map((value) => (most ? Math.max(0, value) / most : 0));
  }

  /* Values as parts of the largest, which keeps their signs. */
  function signed(map) {
    let most = 0;
    for (const value of map) most = Math.max(most, Math.abs(value));
    return map.map((value) => (most ? value / most : 0));
  }

  return { decode, cells, grid, spread, paint, positive, signed, lit, contrasting, heat };
})();
