"use strict";
/* From a plan to lit pixels: where an attribute was found is told by how far showing a place
   explains why regions differ. The same as `explained` in lazsl/images/region_maps.py. */

lazsl.maps = (() => {
  const LONGEST = 160;
  const BORDER = 1 / 16;
  const SHARPNESS = 2;

  /* Anchors of a scale whose lightness grows evenly, from dark to bright. */
  const HEAT = [
    [8, 6, 22], [40, 17, 82], [86, 22, 118], [134, 38, 120], [183, 55, 108],
    [225, 85, 84], [246, 132, 66], [252, 187, 94], [252, 244, 178],
  ];
  /* Okabe and Ito's blue and vermilion, as in the pictures of lazsl explain. */
  const FOR = [0, 114, 178];
  const AGAINST = [213, 94, 0];
  const PEAK_CELLS = 96;
  const INSIDE = 0.15;
  const SHUFFLES = 99;
  const CHANCE = 0.05;

  function decode(text) {
    const binary = atob(text);
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    return bytes;
  }

  /* Similarities of a kept plan, region by region: regions x attributes numbers. */
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

  /* How well a side from `first` to `last` shows the middle of each of `parts` cells of `whole`. */
  function shown(first, last, whole, parts) {
    return Float64Array.from({ length: parts }, (_, i) => {
      const along = (((i + 0.5) * whole) / parts - first) / (last - first);
      return within(Math.min(along, 1 - along) / BORDER, 0, 1);
    });
  }

  /* The part of the values' variance (one value per box, four numbers each) that showing a place
     explains, negative where boxes that show it have less: across x down numbers. */
  function explained(boxes, values, [width, height], [across, down]) {
    const count = Math.max(1, values.length);
    const mean = values.reduce((sum, value) => sum + value, 0) / count;
    const apart = values.map((value) => value - mean);
    const spread = apart.reduce((sum, value) => sum + value * value, 0) / count;
    const [shows, squares, together] = [0, 1, 2].map(() => new Float64Array(across * down));
    for (let r = 0; r < values.length; r++) {
      const [left, top, right, bottom] = boxes.slice(4 * r, 4 * r + 4);
      const x = shown(left, right, width, across);
      const y = shown(top, bottom, height, down);
      for (let i = 0; i < down; i++) {
        if (!y[i]) continue;
        for (let j = 0; j < across; j++) {
          const show = x[j] * y[i];
          shows[i * across + j] += show;
          squares[i * across + j] += show * show;
          together[i * across + j] += show * apart[r];
        }
      }
    }
    return together.map((sum, cell) => {
      const variance = squares[cell] / count - (shows[cell] / count) ** 2;
      const product = sum / count;
      // What is below these is rounding.
      const possible = variance > 1e-9 && spread > 1e-18;
      return possible ? Math.sign(product) * product * product / (variance * spread) : 0;
    });
  }

  /* Values of one attribute as its map has them: `sharpened` in lazsl/explain/maps.py. */
  function sharpened(boxes, values, size) {
    const small = values.filter((_, r) => boxes[4 * r + 2] - boxes[4 * r] <= Math.min(...size) / 2);
    if (2 * small.length < values.length) return values;
    const count = Math.max(1, values.length);
    const mean = values.reduce((sum, value) => sum + value, 0) / count;
    const spread = Math.sqrt(values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / count);
    return values.map((value) => (spread > 1e-9 ? Math.exp((value - mean) / spread / SHARPNESS) : 1));
  }

  function heat(t) {
    const at = within(t, 0, 1) * (HEAT.length - 1);
    const below = Math.min(HEAT.length - 2, Math.floor(at));
    return HEAT[below].map((value, i) => value + (at - below) * (HEAT[below + 1][i] - value));
  }

  /* Red, green, blue and opacity of a value from 0 to 1: the picture shines where it was found. */
  const lit = (t) => [14, 15, 18, 0.65 * (1 - t)];

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

  /* A permutation of `count` numbers, the same as `permutation` in lazsl/explain/localised.py. */
  function permutation(draw, count) {
    const keys = Array.from({ length: count }, (_, i) => {
      let mixed = (Math.imul(draw, 2654435769) + i) >>> 0;
      mixed = Math.imul(mixed ^ (mixed >>> 16), 0x7feb352d) >>> 0;
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x846ca68b) >>> 0;
      return (mixed ^ (mixed >>> 16)) >>> 0;
    });
    return keys.map((_, i) => i).sort((a, b) => keys[a] - keys[b] || a - b);
  }

  /* What is left of the values when a line over the logarithm of the regions' sides is fitted. */
  function withoutSize(boxes, values) {
    const sides = values.map((_, r) => {
      const [left, top, right, bottom] = boxes.slice(4 * r, 4 * r + 4);
      return Math.log((right - left) * (bottom - top)) / 2;
    });
    const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
    const [middle, level] = [mean(sides), mean(values)];
    const spread = mean(sides.map((x) => (x - middle) ** 2));
    const slope = spread > 1e-12
      ? mean(sides.map((x, r) => (x - middle) * (values[r] - level))) / spread : 0;
    return values.map((value, r) => value - level - slope * (sides[r] - middle));
  }

  /* Whether the peak of a map is beyond chance: `localised` in lazsl/explain/localised.py. */
  function localised(boxes, values, size) {
    const scale = 24 / Math.max(...size);
    const cellsOf = size.map((side) => Math.max(1, Math.round(side * scale)));
    const left = sharpened(boxes, withoutSize(boxes, values), size);
    const peak = (some) => explained(boxes, some, size, cellsOf).reduce((a, b) => Math.max(a, b), -Infinity);
    const found = peak(left);
    let asHigh = 1;
    for (let draw = 1; draw <= SHUFFLES; draw++) {
      asHigh += peak(permutation(draw, left.length).map((r) => left[r])) >= found;
      if (asHigh / (SHUFFLES + 1) > CHANCE) return false;
    }
    return true;
  }

  /* Number of the region that shows an attribute best: of those around its strongest place, the one
     most like it. `region` in lazsl/explain/picture/scene.py. */
  function region(boxes, values, size) {
    const cellsOf = grid(size, PEAK_CELLS);
    const map = explained(boxes, sharpened(boxes, values, size), size, cellsOf);
    const peak = map.indexOf(map.reduce((a, b) => Math.max(a, b), -Infinity));
    const cell = [peak % cellsOf[0], Math.floor(peak / cellsOf[0])];
    const place = cell.map((number, side) => ((number + 0.5) * size[side]) / cellsOf[side]);
    const depth = (r) => Math.min(...place.map((along, side) => {
      const [first, last] = [boxes[4 * r + side], boxes[4 * r + side + 2]];
      return Math.min(along - first, last - along) / (last - first);
    }));
    const around = values.map((value, r) => (depth(r) >= INSIDE ? value : -Infinity));
    const most = Math.max(...around);
    return most > -Infinity ? around.indexOf(most) : values.indexOf(Math.max(...values));
  }

  return { localised, region, permutation, decode, cells, grid, explained, sharpened, paint, positive, signed, lit, contrasting, heat };
})();
