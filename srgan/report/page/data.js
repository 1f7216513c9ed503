// What the file holds, decoded when it is needed.

const overview = JSON.parse(document.getElementById("overview").textContent);
const LEVELS = 4095; // as srgan/report/thinning.py packs them
const opened = new Map();

async function inflated(id) {
  const text = atob(document.getElementById(id).textContent);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

let plotlyIsHere = null;

/** The plotting library, started when the first plot is drawn. */
function plotly() {
  plotlyIsHere ??= inflated("plotly").then((buffer) => {
    const script = document.createElement("script");
    script.textContent = new TextDecoder().decode(buffer);
    document.head.append(script);
    return window.Plotly;
  });
  return plotlyIsHere;
}

const indexOfRun = (key) => overview.runs.findIndex((run) => run.key === key);

/** A run's record, with `spectra`: layer name -> Float32Array, row after row of `times`, each as long as `k`. */
function openRun(index) {
  if (!opened.has(index))
    opened.set(
      index,
      inflated(`run-${index}`).then((buffer) => unpack(index, buffer)),
    );
  return opened.get(index);
}

function unpack(index, buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const run = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  run.index = index;
  run.name = run.key.split("/").pop();
  run.spectra = {};
  let at = 4 + length;
  for (const layer of run.layers) {
    const size = run.times.length * layer.k.length;
    run.spectra[layer.name] = unpackSpectra(new Uint8Array(buffer, at, 2 * size), run.times.length, layer.k.length);
    at += 2 * size;
  }
  return run;
}

function unpackSpectra(bytes, times, positions) {
  const size = times * positions;
  const values = new Float32Array(size);
  const steps = new Int32Array(positions);
  for (let i = 0; i < size; i++) {
    const zigzag = bytes[i] | (bytes[size + i] << 8);
    const k = i % positions;
    steps[k] += (zigzag >>> 1) ^ -(zigzag & 1);
    values[i] = (steps[k] / LEVELS) ** 2;
  }
  return values;
}

/** One layer's spectrum at the index of a time. */
function spectrumAt(run, layer, index) {
  const positions = layer.k.length;
  return Array.from(run.spectra[layer.name].subarray(index * positions, (index + 1) * positions));
}

/** Sample grids of a run as URLs of pictures, in the order of `run.samples.iterations`. */
function samplePictures(index) {
  const text = document.getElementById(`samples-${index}`).textContent;
  return text ? text.split("\n").map((line) => `data:image/webp;base64,${line}`) : [];
}

function lastSamplePicture(index) {
  const text = document.getElementById(`samples-${index}`).textContent;
  return text ? `data:image/webp;base64,${text.slice(text.lastIndexOf("\n") + 1)}` : null;
}

/** Index of the last of increasing `times` at or before `t`; the first where there is none before. */
function atOrBefore(times, t) {
  let index = 0;
  while (index + 1 < times.length && times[index + 1] <= t) index++;
  return index;
}
