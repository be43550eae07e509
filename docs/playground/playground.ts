/** The playground: classifies a picture in the page and shows classes, back end, and the time of each layer. */
import {
  compile,
  type ModelEntry,
  probabilities,
  readWeights,
  type Session,
  topK,
  type Weights,
  type WeightsRecord,
} from '@cnn/core';
import { imagenetLabels, transform } from '@cnn/image';
import { models as lenet } from '@cnn/lenet';
import { models as mobilenet } from '@cnn/mobilenet';
import { models as resnet } from '@cnn/resnet';
import { models as shufflenet } from '@cnn/shufflenet';
import { drawDigit } from '../../packages/cli/src/digits.js';
import { coalesced } from './coalesced.js';

/** The networks to choose from. The page includes the weights of the first, LeNet-5. */
const entries: readonly ModelEntry[] = [
  lenet.lenet5,
  mobilenet.mobilenet_v2,
  mobilenet.mobilenet_v3_small,
  resnet.resnet18,
  shufflenet.shufflenet_v2_x1_0,
];

const element = <E extends HTMLElement = HTMLElement>(id: string): E => document.getElementById(id) as E;
const canvas = element<HTMLCanvasElement>('picture');
const pen = canvas.getContext('2d', { willReadFrequently: true })!;
const modelChoice = element<HTMLSelectElement>('model');
const status = element('status');

/** The compiled network; undefined until its weights are loaded. */
let current:
  | { readonly entry: ModelEntry; readonly record: WeightsRecord; readonly session: Session }
  | undefined;

function say(text: string, isError = false): void {
  status.textContent = text;
  status.classList.toggle('error', isError);
}

/** Runs `work` and shows an error of it in the page, unless the signal is aborted. */
const attempt = (work: () => Promise<void>, signal?: AbortSignal): void =>
  void work().catch((error: unknown) => {
    if (!signal?.aborted) say(error instanceof Error ? error.message : String(error), true);
  });

/** Aborted when another network or another file of weights is chosen. */
let loading = new AbortController();

/** Ends the loading of what was chosen before, and returns the signal for what is chosen now. */
function beginLoading(): AbortSignal {
  loading.abort();
  loading = new AbortController();
  return loading.signal;
}

const recordOf = ({ weights }: ModelEntry): WeightsRecord => Object.values(weights)[0]!;

/** Returns the chosen model. */
const chosen = (): ModelEntry => entries.find(({ name }) => name === modelChoice.value)!;

/** Ends the current network, if there is one. */
async function endCurrent(): Promise<void> {
  const ended = current;
  current = undefined;
  await ended?.session.dispose();
}

/** Compiles a network, replaces the current one, and classifies the picture. */
async function use(entry: ModelEntry, weights: Weights, signal: AbortSignal): Promise<void> {
  const record = recordOf(entry);
  const { build, input } = entry;
  const session = await compile(build(record.options), { weights, input, signal });
  if (signal.aborted) return session.dispose();
  const ended = current;
  current = { entry, record, session };
  await ended?.session.dispose();
  await classify();
}

/** Prepares the page for the chosen network: loads its weights, or asks for a file of them. */
async function choose(signal: AbortSignal): Promise<void> {
  const entry = chosen();
  const digits = entry === lenet.lenet5;
  const [, , height, width] = entry.input as readonly [number, number, number, number];
  const kept = document.createElement('canvas');
  [kept.width, kept.height] = [canvas.width, canvas.height];
  kept.getContext('2d')!.drawImage(canvas, 0, 0);
  [canvas.width, canvas.height] = [width, height];
  pen.drawImage(kept, 0, 0, width, height);
  canvas.classList.toggle('drawable', digits);
  for (const id of ['samples', 'draw-hint']) element(id).hidden = !digits;
  element('weights').hidden = digits;
  await endCurrent();
  if (signal.aborted) return;
  element('classes').replaceChildren();
  element('layers').replaceChildren();
  element('why').hidden = true;
  if (digits) {
    say('Loading the weights…');
    await use(entry, await readWeights('lenet5.safetensors', { signal }), signal);
    return;
  }
  const { url } = recordOf(entry);
  const link = Object.assign(document.createElement('a'), { href: url, textContent: url.split('/').at(-1)! });
  element('weights-hint').replaceChildren('Download ', link, ' and choose it here: ');
  say('This network needs weights.');
}

/** Classifies the canvas as it is when the call starts; a pointer moves faster than networks run. */
const classify = coalesced(async () => {
  if (!current) return;
  const { entry, record, session } = current;
  const isCurrent = (): boolean => session === current?.session;
  const [, , size] = entry.input as readonly [number, number, number];
  requireReadableCanvas();
  // The canvas already has the input size of the network, so nothing is resized.
  const picture = pen.getImageData(0, 0, canvas.width, canvas.height);
  const input = transform(picture, { ...record.transform, resize: size, crop: size });
  try {
    const start = performance.now();
    const { data } = await session.run(input);
    const milliseconds = performance.now() - start;
    const { steps } = await session.profile(input);
    if (!isCurrent()) return;
    showClasses(data, record.categories === 'imagenet' ? imagenetLabels : record.categories);
    showLayers(steps);
    const threads = `${session.threads} thread${session.threads > 1 ? 's' : ''}`;
    element('why').hidden = !session.fallbackReason;
    element('reason').textContent = session.fallbackReason ?? '';
    say(`${entry.name} on ${session.backend}, ${threads}: ${milliseconds.toFixed(1)} ms.`);
  } catch (error) {
    // The run of a network that has been replaced meanwhile ends with an error.
    if (isCurrent()) throw error;
  }
});

/** Largest difference of pixels that are read back, of 255: browsers against fingerprinting change the lowest bits. */
const MAX_NOISE = 8;

/** Throws if the browser hides the pixels of canvases from pages: it gives random ones instead. */
function requireReadableCanvas(): void {
  const probe = Object.assign(document.createElement('canvas'), { width: 16, height: 16 });
  const probePen = probe.getContext('2d', { willReadFrequently: true })!;
  const written = new ImageData(16, 16);
  for (const i of written.data.keys()) written.data[i] = i % 4 === 3 ? 255 : (i * 37) % 256;
  probePen.putImageData(written, 0, 0);
  const { data } = probePen.getImageData(0, 0, 16, 16);
  if (data.some((value, i) => Math.abs(value - written.data[i]!) > MAX_NOISE))
    throw new Error(
      'The browser hides the pixels of the picture from this page, against fingerprinting. Allow it to read canvas data, by the icon in the address bar, and choose a sample again.',
    );
}

function showClasses(logits: Float32Array, labels: readonly string[]): void {
  const best = topK(probabilities(logits), 5);
  element('classes').replaceChildren(
    ...best.map(({ index, value: share }) => {
      const item = document.createElement('li');
      item.style.setProperty('--share', String(share));
      for (const text of [labels[index] ?? String(index), `${(share * 100).toFixed(1)} %`])
        item.append(Object.assign(document.createElement('span'), { textContent: text }));
      return item;
    }),
  );
}

function showLayers(steps: Awaited<ReturnType<Session['profile']>>['steps']): void {
  element('layers').replaceChildren(
    ...steps.map(({ path, op, algorithm, milliseconds, flops }) => {
      const row = document.createElement('tr');
      // Clocks of pages have steps of 5 µs in cross-origin isolated pages, else of 100 µs.
      const micros =
        milliseconds > 0 ? (milliseconds * 1000).toFixed(0) : crossOriginIsolated ? '< 5' : '< 100';
      const speed = milliseconds > 0 && flops > 0 ? (flops / milliseconds / 1e6).toFixed(1) : '';
      for (const text of [path, op, algorithm, micros, speed]) row.insertCell().textContent = text;
      for (const cell of [...row.cells].slice(3)) cell.className = 'number';
      return row;
    }),
  );
}

/** Draws a digit on a canvas of 32x32 pixels. */
function putDigit(target: CanvasRenderingContext2D, digit: number): void {
  const pixels = new ImageData(32, 32);
  for (const [i, value] of drawDigit(digit).entries())
    pixels.data.set([...Array(3).fill(value * 255), 255], i * 4);
  target.putImageData(pixels, 0, 0);
}

function clear(): void {
  pen.fillStyle = '#000';
  pen.fillRect(0, 0, canvas.width, canvas.height);
}

/** Draws the centre of a picture on the canvas. */
async function show(file: Blob): Promise<void> {
  // Upright by its EXIF orientation, as in `cnn classify`, and without the page's colour management.
  const bitmap = await createImageBitmap(file, {
    imageOrientation: 'from-image',
    colorSpaceConversion: 'none',
  }).catch(() => {
    throw new Error('The browser cannot read this file as a picture. Choose a JPEG or PNG file.');
  });
  const { width, height } = bitmap;
  const side = Math.min(width, height);
  // ImageNet networks are evaluated on the central 224 of 256 pixels.
  const cut = chosen() === lenet.lenet5 ? side : (side * 224) / 256;
  pen.imageSmoothingQuality = 'high';
  pen.drawImage(bitmap, (width - cut) / 2, (height - cut) / 2, cut, cut, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  await classify();
}

/** Draws a line to the pointer while its main button is pressed. */
function draw(event: PointerEvent): void {
  if (!canvas.classList.contains('drawable') || (event.buttons & 1) === 0) return;
  const { left, top, width } = canvas.getBoundingClientRect();
  const scale = canvas.width / width;
  const [x, y] = [(event.clientX - left) * scale, (event.clientY - top) * scale];
  if (event.type === 'pointerdown') {
    canvas.setPointerCapture(event.pointerId);
    pen.beginPath();
    pen.moveTo(x, y);
  }
  Object.assign(pen, { strokeStyle: '#fff', lineWidth: 2.6, lineCap: 'round', lineJoin: 'round' });
  pen.lineTo(x, y);
  pen.stroke();
  attempt(classify);
}

for (const { name } of entries) modelChoice.append(new Option(name));
for (let digit = 0; digit < 10; digit++) {
  const button = document.createElement('button');
  button.type = 'button';
  button.setAttribute('aria-label', `Sample ${digit}`);
  const sample = Object.assign(document.createElement('canvas'), { width: 32, height: 32 });
  putDigit(sample.getContext('2d')!, digit);
  button.append(sample);
  button.addEventListener('click', () => {
    putDigit(pen, digit);
    attempt(classify);
  });
  element('samples').append(button);
}
canvas.addEventListener('pointerdown', draw);
canvas.addEventListener('pointermove', draw);
element('clear').addEventListener('click', () => {
  clear();
  attempt(classify);
});
element('file').addEventListener('change', ({ target }) => {
  const [file] = (target as HTMLInputElement).files ?? [];
  if (file) attempt(() => show(file));
});
element('weights-file').addEventListener('change', ({ target }) => {
  const [file] = (target as HTMLInputElement).files ?? [];
  const entry = chosen();
  if (!file) return;
  const signal = beginLoading();
  attempt(async () => {
    say('Reading the weights…');
    const { rename } = recordOf(entry);
    await use(entry, await readWeights(file, { signal, ...(rename ? { rename } : {}) }), signal);
  }, signal);
});
function load(): void {
  const signal = beginLoading();
  attempt(() => choose(signal), signal);
}
modelChoice.addEventListener('change', load);
putDigit(pen, 3);
load();
