// The second tab: click points of a function, see the fits.
if (about.waves) {
  const plane = document.getElementById("plane"), said = document.getElementById("waves-said");
  const { steps, grid, most } = about.waves, square = [[-5, 5], [-5, 5]];
  const blues = ["#999999", "#9ecae1", "#4292c6", "#08306b"]; // as in Figure 1
  const ticks = [-5, 0, 5];
  let points = [];

  const show = (fits) => {
    const lines = fits.map((fit, i) => ({ points: grid.map((x, j) => [x, fit[j]]), color: blues[i] }));
    const { px, py } = plot(plane, lines, square, ticks.map((x) => [x, x]), ticks);
    for (const [x, y] of points) element(plane, "circle", { cx: px(x), cy: py(y), r: 5 });
  };
  const fit = latest((points) => answers.fit(points), show, said);

  plane.onclick = (event) => {
    if (points.length >= most) {
      said.textContent = `${most} points are as many as there may be: clear them first`;
      return;
    }
    const { width, height } = plane.getBoundingClientRect(), margin = 28;
    const x = -5 + (10 * (event.offsetX - margin)) / (width - margin - 8);
    const y = -5 + (10 * (height - margin - event.offsetY)) / (height - margin - 8);
    points.push([x, y]);
    fit(points);
  };
  document.getElementById("clear").onclick = () => {
    points = [];
    show([]);
    said.textContent = "";
  };
  steps.forEach((count, i) => {
    const label = document.createElement("span");
    label.style.color = blues[i];
    label.textContent = count === 0 ? "before" : count === 1 ? "1 step" : `${count} steps`;
    document.getElementById("legend").append(label);
  });
  document.addEventListener("shown", () => show([]));
}
