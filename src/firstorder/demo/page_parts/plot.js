// Okabe and Ito's colours, as in the figures.
const COLORS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000"];
const colorOf = (index) => COLORS[index % COLORS.length];

function element(svg, name, attributes, text = "") {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  svg.append(made);
  return made;
}

// Draw lines [{points: [[x, y], ...], color}] over a plane, [[left, right], [bottom, top]]; return the
// functions that take x and y to pixels.
function plot(svg, lines, [[left, right], [bottom, top]], xTicks, yTicks) {
  const { width, height } = svg.getBoundingClientRect(), margin = 28;
  const px = (x) => margin + ((x - left) / (right - left)) * (width - margin - 8);
  const py = (y) => height - margin - ((y - bottom) / (top - bottom)) * (height - margin - 8);
  svg.replaceChildren();
  for (const [x, text] of xTicks) {
    element(svg, "line", { x1: px(x), x2: px(x), y1: py(bottom), y2: py(top), stroke: "#eee" });
    element(svg, "text", { x: px(x), y: height - 8, "text-anchor": "middle" }, text);
  }
  for (const y of yTicks) {
    element(svg, "line", { x1: px(left), x2: px(right), y1: py(y), y2: py(y), stroke: "#eee" });
    element(svg, "text", { x: margin - 4, y: py(y) + 4, "text-anchor": "end" }, y);
  }
  for (const { points, color } of lines) {
    const path = points.map(([x, y]) => `${px(x)},${py(y)}`).join(" ");
    element(svg, "polyline", { points: path, fill: "none", stroke: color, "stroke-width": 2 });
  }
  return { px, py };
}
