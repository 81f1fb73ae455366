"use strict";
/* The overview's only moving part: the least certain images, which lead the index. */

(() => {
  const index = lazsl.index;
  const first = () => {
    const rows = [...Array(Math.min(8, index.images)).keys()];
    lazsl.find("least-certain").replaceChildren(...rows.map((row) => index.card(index.facts(row))));
  };
  if (index.images) index.chunk(0).then(first, lazsl.trouble);
})();
