// The first tab: boxes for the classes, a box for the question, bars and the adaptation curve.
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const boxes = [];
let asked = []; // the numbers of the boxes that are drawn in

const classify = latest(
  (support, query) => answers.classify(support, query),
  (curve, milliseconds) => {
    document.body.dataset.milliseconds = milliseconds.toFixed(0);
    showBars(curve.at(-1));
    const { steps } = about.characters;
    const lines = asked.map((box, index) => ({
      points: curve.map((row, count) => [count, row[index]]), color: colorOf(box),
    }));
    const plane = [[0, steps.length - 1], [0, 1]];
    plot(document.getElementById("curve"), lines, plane, steps.map((n, i) => [i, n]), [0, 0.5, 1]);
  },
  document.getElementById("characters-said"),
);

function showBars(chances) {
  const best = chances.indexOf(Math.max(...chances));
  const rows = asked.map((box, index) => {
    const row = document.createElement("li"), bar = document.createElement("div");
    const output = document.createElement("output");
    row.className = index === best ? "best" : "";
    bar.style = `width: ${100 * chances[index]}%; background: ${colorOf(box)}`;
    output.textContent = `${(100 * chances[index]).toFixed(1)} %`;
    row.append(LETTERS[box], bar, output);
    return row;
  });
  document.getElementById("bars").replaceChildren(...rows);
}

function askAgain() {
  if (query.isEmpty) return;
  asked = [...boxes.keys()].filter((box) => !boxes[box].isEmpty);
  classify(asked.map((box) => boxes[box].values()), query.values());
}

function figure(drawing, name) {
  const made = document.createElement("figure"), caption = document.createElement("figcaption");
  const clear = document.createElement("button");
  clear.textContent = "clear";
  clear.onclick = () => {
    drawing.clear();
    askAgain();
  };
  caption.append(name, clear);
  made.append(caption, drawing.canvas);
  return made;
}

function addBox() {
  const drawing = new Drawing(askAgain), name = LETTERS[boxes.length];
  boxes.push(drawing);
  document.getElementById("classes").append(figure(drawing, name));
  document.getElementById("more").hidden = boxes.length >= about.characters.most;
}

const query = new Drawing(askAgain);
document.getElementById("query").append(figure(query, ""));
document.getElementById("more").onclick = addBox;
for (let i = 0; i < 3; i++) addBox();
