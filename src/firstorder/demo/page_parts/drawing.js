// A box to draw in, in the proportions of Omniglot's drawings: 105 pixels a side, the pen 3 wide.
class Drawing {
  constructor(changed) {
    const side = Math.round(about.characters.side * 3.75);
    this.canvas = document.createElement("canvas");
    this.canvas.width = this.canvas.height = side;
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    Object.assign(this.context, { lineWidth: side / 35, lineCap: "round", lineJoin: "round" });
    this.changed = changed;
    this.clear();
    const at = (event) => [
      (event.offsetX * side) / this.canvas.clientWidth,
      (event.offsetY * side) / this.canvas.clientHeight,
    ];
    this.canvas.addEventListener("pointerdown", (event) => {
      this.canvas.setPointerCapture(event.pointerId);
      this.last = at(event);
    });
    this.canvas.addEventListener("pointermove", (event) => {
      if (this.last) this.lineTo(at(event));
    });
    for (const name of ["pointerup", "pointercancel"])
      this.canvas.addEventListener(name, () => (this.last = null));
  }

  clear() {
    this.context.fillStyle = "#fff";
    this.context.fillRect(0, 0, this.canvas.width, this.canvas.height);
    this.isEmpty = true;
    this.last = null;
  }

  lineTo(point) {
    this.context.beginPath();
    this.context.moveTo(...this.last);
    this.context.lineTo(...point);
    this.context.stroke();
    this.last = point;
    this.isEmpty = false;
    this.changed();
  }

  // Return grey values, row by row, as the network's images were made: the nearest pixel, or a mean.
  values() {
    const { side, nearest } = about.characters, size = this.canvas.width;
    const { data } = this.context.getImageData(0, 0, size, size);
    const values = [];
    for (let row = 0; row < side; row++)
      for (let column = 0; column < side; column++) {
        const [top, left] = [row, column].map((i) => Math.floor(((i + (nearest ? 0.5 : 0)) * size) / side));
        if (nearest) {
          values.push(data[4 * (top * size + left)] < 128 ? 0 : 255);
          continue;
        }
        const [bottom, right] = [row, column].map((i) => Math.ceil(((i + 1) * size) / side));
        let sum = 0;
        for (let y = top; y < bottom; y++)
          for (let x = left; x < right; x++) sum += data[4 * (y * size + x)];
        values.push(Math.round(sum / (bottom - top) / (right - left)));
      }
    return values;
  }
}
