/** Draws a part of a traced network as an SVG, so that pictures in READMEs come from the graph itself. */
import type { Node } from '@cnn/core';
import { type Graph, isParameter } from '@cnn/core/graph';

/** A box of the picture: an op with the batch norm, activation or dropout that follows it. */
interface Box {
  readonly nodes: Node[];
  readonly inputs: Box[];
  layer: number;
  x: number;
}

const [WIDTH, HEIGHT, ACROSS, DOWN, MARGIN] = [196, 48, 24, 30, 12];

/** Ops that share the box of their input. */
const followers = new Set(['batchNorm', 'activation', 'dropout']);

const operandsOf = (node: Node): readonly Node[] => node.inputs.filter((input) => !isParameter(input));

/** Returns the boxes of the nodes under a module path (all for an empty path), each after its inputs. */
function boxesOf(graph: Graph, path: string): readonly Box[] {
  const inside = graph.nodes.filter(
    (node) => !isParameter(node) && (path === '' || node.path === path || node.path.startsWith(`${path}.`)),
  );
  const readers = new Map<Node, number>();
  for (const node of inside)
    for (const operand of operandsOf(node)) readers.set(operand, (readers.get(operand) ?? 0) + 1);
  const boxes: Box[] = [];
  const boxOf = new Map<Node, Box>();
  const open = (node: Node, inputs: Box[]): Box => {
    const box = { nodes: [node], inputs, layer: 1 + Math.max(-1, ...inputs.map(({ layer }) => layer)), x: 0 };
    boxes.push(box);
    boxOf.set(node, box);
    return box;
  };
  for (const node of inside) {
    const operands = operandsOf(node);
    const inputs = operands.map((operand) => boxOf.get(operand) ?? open(operand, []));
    // Inputs of the part have separate boxes.
    const follows =
      followers.has(node.op) &&
      operands.every((operand) => inside.includes(operand) && readers.get(operand) === 1);
    const [before] = inputs;
    if (follows && before) {
      before.nodes.push(node);
      boxOf.set(node, before);
    } else open(node, inputs);
  }
  return boxes;
}

const spaced = (name: string): string => name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);

/** Describes a node in the words of the papers. */
function title(node: Node, outside: boolean): string {
  if (outside) return 'input';
  const { kernel, stride, groups, fn } = node.attrs as {
    readonly kernel?: readonly number[];
    readonly stride?: readonly number[];
    readonly groups?: number;
    readonly fn?: string;
  };
  const step = stride && stride[0]! > 1 ? `, stride ${stride[0]}` : '';
  if (node.op === 'conv2d') {
    const [outC, , ...extent] = node.inputs[1]!.shape;
    const kind = groups === 1 ? 'convolution' : groups === outC ? 'depthwise' : `in ${groups} groups`;
    return `${extent.join('x')} ${kind}${step}`;
  }
  if (node.op === 'activation') return spaced(String(fn));
  if (node.op === 'reshape') return 'flatten';
  return `${kernel ? `${kernel.join('x')} ` : ''}${spaced(node.op)}${kernel ? step : ''}`;
}

/** Sets the x of each box: centred below its inputs, boxes of a row side by side. Returns the rows. */
function arrange(boxes: readonly Box[]): readonly (readonly Box[])[] {
  const rows: Box[][] = [];
  for (const box of boxes) {
    rows[box.layer] ??= [];
    rows[box.layer]!.push(box);
  }
  const step = WIDTH + ACROSS;
  for (const row of rows) {
    for (const box of row)
      box.x = box.inputs.reduce((sum, { x }) => sum + x, 0) / Math.max(1, box.inputs.length);
    row.sort((a, b) => a.x - b.x);
    const centre = row.reduce((sum, { x }) => sum + x, 0) / row.length;
    const crowded = row.some((box, i) => i > 0 && box.x - row[i - 1]!.x < step);
    if (crowded) for (const [i, box] of row.entries()) box.x = centre + (i - (row.length - 1) / 2) * step;
  }
  return rows;
}

/**
 * Returns the x at which an edge passes rows: that of one of its ends if free, else to the right of all
 * boxes.
 */
function lane(rows: readonly (readonly Box[])[], from: Box, to: Box): number {
  const passed = rows.slice(from.layer + 1, to.layer).flat();
  const isFree = (x: number): boolean => passed.every((box) => Math.abs(box.x - x) > WIDTH / 2);
  if (isFree(from.x)) return from.x;
  if (isFree(to.x)) return to.x;
  // Longer edges are further right, so that they do not overlap.
  return Math.max(...passed.map(({ x }) => x)) + WIDTH / 2 + ACROSS / 2 + 2 * (to.layer - from.layer);
}

/**
 * Draws a part of a network as an SVG, from top to bottom: each box has an op, the ops that follow it, and
 * the shape (channels x height x width) of the result. Readable on light and dark pages.
 * @param path - path of a module; empty for the whole network.
 */
export function blockPicture(graph: Graph, path: string): string {
  const boxes = boxesOf(graph, path);
  const rows = arrange(boxes);
  const top = (layer: number): number => MARGIN + layer * (HEIGHT + DOWN);
  const edges = boxes.flatMap((to) =>
    to.inputs.map((from) => ({ from, to, x: to.layer - from.layer > 1 ? lane(rows, from, to) : to.x })),
  );
  const left = Math.min(...boxes.map(({ x }) => x - WIDTH / 2)) - MARGIN;
  const right = Math.max(...boxes.map(({ x }) => x + WIDTH / 2), ...edges.map(({ x }) => x)) + MARGIN;
  const height = top(rows.length) - DOWN + MARGIN;
  const curve = (x: number, y: number, toX: number, toY: number): string =>
    `C${x} ${(y + toY) / 2} ${toX} ${(y + toY) / 2} ${toX} ${toY}`;
  const lines = edges.map(({ from, to, x }) => {
    const [start, end] = [top(from.layer) + HEIGHT, top(to.layer)];
    const passing =
      to.layer - from.layer > 1
        ? `${curve(from.x, start, x, start + DOWN)}L${x} ${end - DOWN}${curve(x, end - DOWN, to.x, end)}`
        : curve(from.x, start, to.x, end);
    return `<path d="M${from.x} ${start}${passing}"/>`;
  });
  const cards = boxes.map(({ nodes, x, layer, inputs }) => {
    const outside = inputs.length === 0;
    const [first, ...rest] = nodes.map((node) => title(node, outside));
    const shape = nodes.at(-1)!.shape.slice(1).join('x');
    const middle = top(layer) + HEIGHT / 2;
    return [
      `<rect x="${x - WIDTH / 2}" y="${top(layer)}" width="${WIDTH}" height="${HEIGHT}" rx="8"/>`,
      `<text x="${x}" y="${middle - 5}" class="op">${first}</text>`,
      `<text x="${x}" y="${middle + 13}">${[...rest, shape].join(' · ')}</text>`,
    ].join('\n');
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="${left} 0 ${right - left} ${height}" width="${right - left}" height="${height}" role="img">
<title>${[graph.name, path].filter(Boolean).join(' ')}</title>
<style>
rect { fill: #f2f6f5; stroke: #2a9d8f; stroke-width: 1.5 }
path { fill: none; stroke: #7b8a88; stroke-width: 1.5 }
text { font: 11px system-ui, sans-serif; fill: #52605e; text-anchor: middle }
text.op { font-weight: 600; font-size: 13px; fill: #16302d }
@media (prefers-color-scheme: dark) {
rect { fill: #14211f } text { fill: #a9b8b5 } text.op { fill: #e4efed }
}
</style>
${[...lines, ...cards].join('\n')}
</svg>
`;
}
