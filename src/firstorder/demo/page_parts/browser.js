// Answers of the learner, computed here: gradient steps as graphs, run by onnxruntime-web.
const bytesIn = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const textOf = (id) => document.getElementById(id).textContent;
const networks = JSON.parse(textOf("networks"));

async function unpacked(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

const runtime = (async () => {
  const script = new Blob([bytesIn(textOf("runtime"))], { type: "text/javascript" });
  const ort = await import(URL.createObjectURL(script));
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = await unpacked(bytesIn(textOf("binary")));
  return ort;
})();

// Return a network's graphs and where its inner loop starts, made ready once.
async function ready(network) {
  if (network.ready) return network.ready;
  const ort = await runtime;
  const start = network.start.map(
    ({ shape, data }) => new ort.Tensor("float32", new Float32Array(bytesIn(data).buffer), shape),
  );
  const step = await ort.InferenceSession.create(bytesIn(network.step));
  const answer = await ort.InferenceSession.create(bytesIn(network.answer));
  return (network.ready = { ort, start, step, answer });
}

const given = (session, values) =>
  Object.fromEntries(session.inputNames.map((name) => [name, values[name]]));

// Take gradient steps on examples, rows of x with targets y; return the weights after each of `counts`.
async function adapt(network, batches, x, y, counts, shape) {
  const { ort, start, step } = await ready(network);
  const points = { 0: start[0] };
  let values = start;
  for (const [index, rows] of batches.slice(0, counts.at(-1)).entries()) {
    const inputs = Float32Array.from(rows.flatMap((row) => x[row]));
    const targets = y
      ? new ort.Tensor("float32", Float32Array.from(rows, (row) => y[row]), [rows.length, 1])
      : new ort.Tensor("int64", BigInt64Array.from(rows, BigInt), [rows.length]);
    const named = Object.fromEntries(values.map((value, i) => [`start_${i}`, value]));
    const batch = { x: new ort.Tensor("float32", inputs, [rows.length, ...shape]), y: targets };
    const result = await step.run(given(step, { ...named, ...batch }));
    values = step.outputNames.map((name) => result[name]);
    points[index + 1] = values[0];
  }
  return counts.map((count) => points[count]);
}

async function ask(network, phi, support, query, shape) {
  const { ort, answer } = await ready(network);
  const tensor = (rows) => new ort.Tensor("float32", Float32Array.from(rows.flat()), [rows.length, ...shape]);
  const values = { phi, support: tensor(support), query: tensor(query) };
  const result = await answer.run(given(answer, values));
  return [...result[answer.outputNames[0]].data];
}

const adapted = new Map(); // drawings of the classes -> the weights that they lead to

const answers = {
  async classify(support, query) {
    const { side, steps, most } = about.characters;
    if (support.length < 2) throw new Error(`draw 2 to ${most} characters, each in a box of its own`);
    const shape = [networks.channels, side, side];
    const scaled = (values) => Array(networks.channels).fill(values.map((v) => v / 255)).flat();
    const network = networks.characters[support.length - 2], images = support.map(scaled);
    const key = JSON.stringify(support);
    if (!adapted.has(key)) {
      adapted.clear();
      adapted.set(key, await adapt(network, network.batches[0], images, null, steps, shape));
    }
    const curve = [];
    for (const phi of adapted.get(key)) curve.push(await ask(network, phi, images, [scaled(query)], shape));
    return curve;
  },

  async fit(points) {
    const { steps, grid } = about.waves, network = networks.waves;
    const [x, y] = [points.map((point) => [point[0]]), points.map((point) => point[1])];
    const curves = [];
    const one = x.slice(0, 1); // of the shape that the graph has: a curve depends on the weights alone
    for (const phi of await adapt(network, network.batches[points.length - 1], x, y, steps, [1]))
      curves.push(await ask(network, phi, one, grid.map((value) => [value]), [1]));
    return curves;
  },
};
