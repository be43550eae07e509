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

/** Runs `work` and shows an error of it in the page. */
const attempt = (work: () => Promise<void>): void =>
  void work().catch((error: unknown) => say(error instanceof Error ? error.message : String(error), true));

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
async function use(entry: ModelEntry, weights: Weights): Promise<void> {
  const record = recordOf(entry);
  const { build, input } = entry;
  const session = await compile(build(record.options), { weights, input });
  await endCurrent();
  // Another network may have been chosen while this one was loaded.
  if (entry !== chosen()) return session.dispose();
  current = { entry, record, session };
  await classify();
}

/** Prepares the page for the chosen network: loads its weights, or asks for a file of them. */
async function choose(): Promise<void> {
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
  element('classes').replaceChildren();
  element('layers').replaceChildren();
  element('why').hidden = true;
  if (digits) {
    say('Loading the weights…');
    const answer = await fetch('lenet5.safetensors');
    if (!answer.ok) throw new Error(`The weights could not be loaded (${answer.status}).`);
    await use(entry, await readWeights(new Uint8Array(await answer.arrayBuffer())));
    return;
  }
  const { url } = recordOf(entry);
  const link = Object.assign(document.createElement('a'), { href: url, textContent: url.split('/').at(-1)! });
  element('weights-hint').replaceChildren('Download ', link, ' and choose it here: ');
  say('This network needs weights.');
}

/** Number of calls of {@link classify}. */
let requests = 0;

/** Classifies the canvas. Of overlapping calls, only the last shows its result. */
async function classify(): Promise<void> {
  if (!current) return;
  const request = ++requests;
  const { entry, record, session } = current;
  const [, , size] = entry.input as readonly [number, number, number];
  // The canvas already has the input size of the network, so nothing is resized.
  const picture = pen.getImageData(0, 0, canvas.width, canvas.height);
  const input = transform(picture, { ...record.transform, resize: size, crop: size });
  const start = performance.now();
  const { data } = await session.run(input);
  const milliseconds = performance.now() - start;
  const isSuperseded = (): boolean => request !== requests || session !== current?.session;
  if (isSuperseded()) return;
  const { steps } = await session.profile(input);
  if (isSuperseded()) return;
  showClasses(data, record.categories === 'imagenet' ? imagenetLabels : record.categories);
  showLayers(steps);
  const threads = `${session.threads} thread${session.threads > 1 ? 's' : ''}`;
  element('why').hidden = !session.fallbackReason;
  element('reason').textContent = session.fallbackReason ?? '';
  say(`${entry.name} on ${session.backend}, ${threads}: ${milliseconds.toFixed(1)} ms.`);
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
  if (file)
    attempt(async () => {
      say('Reading the weights…');
      const { rename } = recordOf(entry);
      await use(entry, await readWeights(file, rename ? { rename } : {}));
    });
});
modelChoice.addEventListener('change', () => attempt(choose));
putDigit(pen, 3);
attempt(choose);
