/**
 * Draws the two pictures of ARCHITECTURE.md, `docs/rooms.svg` and `docs/flow.svg`:
 * `node scripts/script.mjs scripts/architecturePictures.ts`.
 */
import { writeFile } from 'node:fs/promises';

/** Box with a title and a line of small text. Sizes in pixels. */
interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly title: string;
  readonly text?: string;
  readonly fill: string;
}

const HEIGHT = 52;
const colours = {
  package: '#e7f0fb',
  core: '#eaf5ea',
  backend: '#fdf1dc',
  data: '#f3f3f3',
  result: '#f6e9f7',
};

const escaped = (text: string): string =>
  text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');

const line = (x: number, y: number, text: string, attributes: string): string =>
  `<text x="${x}" y="${y}" ${attributes}>${escaped(text)}</text>`;

function box({ x, y, width, title, text, fill }: Box): string {
  const middle = x + width / 2;
  return [
    `<rect x="${x}" y="${y}" width="${width}" height="${HEIGHT}" rx="8" fill="${fill}" stroke="#8a94a3"/>`,
    line(middle, y + (text ? 22 : 31), title, 'class="title" text-anchor="middle"'),
    ...(text ? [line(middle, y + 40, text, 'class="text" text-anchor="middle"')] : []),
  ].join('\n');
}

const arrow = (x1: number, y1: number, x2: number, y2: number): string =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#5b6573" stroke-width="1.5" marker-end="url(#arrow)"/>`;

const picture = (width: number, height: number, title: string, parts: readonly string[]): string =>
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${title}">
<style>
text { font-family: system-ui, sans-serif; fill: #1f2733 }
.title { font-size: 14px; font-weight: 600 }
.text { font-size: 11.5px }
.lane { font-size: 13px; font-weight: 600; fill: #5b6573 }
</style>
<defs><marker id="arrow" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" orient="auto"><path d="M0 0L10 5L0 10z" fill="#5b6573"/></marker></defs>
<rect width="${width}" height="${height}" rx="12" fill="#ffffff"/>
${parts.join('\n')}
</svg>
`;

/** A row of boxes of equal width, and its name above it. */
function row(
  y: number,
  name: string,
  fill: string,
  boxes: readonly (readonly [title: string, text: string])[],
): string[] {
  const [left, right, gap] = [30, 930, 14];
  const width = (right - left - gap * (boxes.length - 1)) / boxes.length;
  return [
    line(left, y - 8, name, 'class="lane"'),
    ...boxes.map(([title, text], i) => box({ x: left + i * (width + gap), y, width, title, text, fill })),
  ];
}

const rooms = picture(960, 766, 'The packages of @cnn and the folders of @cnn/core, imports pointing down', [
  ...row(40, 'what people run', colours.package, [
    ['cli', 'the command cnn'],
    ['docs/playground', 'the page'],
    ['bench · fuzz · testing', 'private: speed, random graphs, suites'],
  ]),
  ...row(142, 'packages', colours.package, [
    ['families', 'resnet, vgg, … (core only)'],
    ['classify', 'pictures to classes'],
    ['train', 'steps, loops, checkpoints'],
    ['explain', 'Grad-CAM, filters'],
    ['onnx', 'export'],
    ['image', 'decode, resize, labels'],
  ]),
  ...row(244, '@cnn/core: entries', colours.core, [
    ['@cnn/core', 'index.ts: users'],
    ['@cnn/core/graph', 'graph.ts: passes, ops, back ends'],
    ['@cnn/core/io', 'io.ts: files'],
  ]),
  ...row(346, '@cnn/core: from a model to a session', colours.core, [
    ['model', 'registry, summary'],
    ['io', 'weight files, cache'],
    ['runtime', 'compile, session'],
    ['backends', 'see below'],
  ]),
  ...row(448, '@cnn/core: backends', colours.backend, [
    ['reference', 'plain loops, float64'],
    ['wasm', 'the CPU path: see below'],
    ['gpu', 'WebGPU and WebGL2'],
    ['common', 'what they share'],
  ]),
  ...row(550, '@cnn/core: backends/wasm', colours.backend, [
    ['runtime', 'memory image, workers'],
    ['ops', 'kernels and lowerings'],
    ['schedule', 'fusions, placement'],
    ['memory', 'regions, layouts'],
    ['codegen', 'WebAssembly emitter'],
  ]),
  ...row(652, '@cnn/core: what a network is', colours.core, [
    ['passes', 'graph to graph'],
    ['nn', 'modules, layers, trace'],
    ['ops', 'one record per op'],
    ['pointwise', 'scalar expressions'],
    ['graph', 'nodes, rewrite, verify'],
    ['tensor', 'shape, values'],
  ]),
  line(30, 746, 'Imports point down, and to the right within a row of @cnn/core.', 'class="text"'),
]);

/** A lane of the flow: boxes with arrows between them. */
function lane(
  y: number,
  name: string,
  boxes: readonly (readonly [title: string, text: string, fill: string])[],
): string[] {
  const [left, right, gap] = [30, 1130, 24];
  const width = (right - left - gap * (boxes.length - 1)) / boxes.length;
  return [
    line(left, y - 10, name, 'class="lane"'),
    ...boxes.flatMap(([title, text, fill], i) => {
      const x = left + i * (width + gap);
      const next =
        i < boxes.length - 1
          ? [arrow(x + width + 2, y + HEIGHT / 2, x + width + gap - 2, y + HEIGHT / 2)]
          : [];
      return [box({ x, y, width, title, text, fill }), ...next];
    }),
  ];
}

const flow = picture(1160, 480, 'How a model, a weights file, a picture and a training step flow', [
  ...lane(44, 'A model becomes a program', [
    ['module', 'nn/module.ts', colours.data],
    ['trace', 'neutral graph', colours.core],
    ['passes', 'fold, fuse, prune', colours.core],
    ['schedule', 'fusions, tiles, memory', colours.backend],
    ['ops', 'phases of kernel calls', colours.backend],
    ['memory image', 'code and commands', colours.backend],
    ['session', 'runtime/session.ts', colours.result],
  ]),
  ...lane(156, 'A weights file becomes packed panels (read only when the memory image is filled)', [
    ['file', '.pth, .safetensors', colours.data],
    ['readWeights', 'io: lazy tensors', colours.core],
    ['requireMatch', 'names and shapes', colours.core],
    ['evaluateConstants', 'batch norm folded, lazily', colours.core],
    ['pack', 'ops/data: panels', colours.backend],
    ['fill', 'slices of 12 ms', colours.result],
  ]),
  ...lane(268, 'A picture becomes classes', [
    ['picture', 'JPEG, PNG', colours.data],
    ['transform', 'image: 1x3x224x224', colours.package],
    ['session.run', 'queue, shape check', colours.core],
    ['feeds', 'to the I/O region', colours.backend],
    ['workers', 'execute commands', colours.backend],
    ['logits', 'from the I/O region', colours.backend],
    ['topK', 'probabilities', colours.result],
  ]),
  ...lane(380, 'A batch becomes updated weights', [
    ['batch', 'dataset, augmentation', colours.data],
    ['trainingStep', 'loss, gradients, optimizer', colours.package],
    ['fit', 'one run per step', colours.package],
    ['compute phases', 'may be aborted', colours.backend],
    ['update phases', 'never interrupted', colours.backend],
    ['checkpoint', 'state, position', colours.result],
  ]),
  line(
    30,
    462,
    'Grey: data. Green: @cnn/core. Blue: other packages. Yellow: the wasm back end. Purple: results.',
    'class="text"',
  ),
]);

await Promise.all([writeFile('docs/rooms.svg', rooms), writeFile('docs/flow.svg', flow)]);
